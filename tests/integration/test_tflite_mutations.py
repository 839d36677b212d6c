"""A TensorFlow Lite file that is wrong in any of many ways is refused."""

import numpy as np
import pytest

from tests.support import needs

needs.package("jax", "exporter")
needs.package("tensorflow", "exporter")
needs.package("ai_edge_litert", "reuse")

import flatbuffers
from tensorflow.lite.python import schema_py_generated as schema

from exporter import Model
from exporter.errors import CheckFailed
from exporter.formats import tflite
from exporter.formats.tflite import files
from exporter.formats.tflite.check import check
from exporter.formats.tflite.conversion import at_batch_size, convert
from exporter.model.entry import default_entry
from exporter.trace.trace import trace
from exporter.verify.cases import collect
from tests.support import mutants

pytestmark = pytest.mark.slow


def func(params, image):
    outputs = mutants.func(params, image)
    return {**outputs, "sum": (outputs["scores"] - outputs["wide"]).sum(-1)}


def model():
    return mutants.model(func)


@pytest.fixture(scope="module")
def written():
    entry = at_batch_size(default_entry(model()), 3)
    return convert(entry), collect(trace(entry), (3,), seed=0)


def test_what_was_written_passes(written):
    content, cases = written
    found = check("mutant", "float32", mutated(content, lambda m: None), cases)
    assert found.max_abs_err < 1e-5


def mutated(content, change):
    """Changes a flatbuffer: `change(ModelT)`."""
    unpacked = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    change(unpacked)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(unpacked.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def weight(size):
    """Changes the float32 constant of so many numbers."""

    def of(change):
        def edit(found):
            (graph,) = found.subgraphs
            for tensor in graph.tensors:
                buffer = found.buffers[tensor.buffer]
                is_float = tensor.type == schema.TensorType.FLOAT32
                if is_float and buffer.data is not None and len(buffer.data) == 4 * size:
                    array = np.frombuffer(bytes(buffer.data), np.float32).reshape(tensor.shape)
                    array = np.asarray(change(array), np.float32)
                    buffer.data = np.frombuffer(array.tobytes(), np.uint8)
                    return
            raise AssertionError(f"no constant of {size} numbers")

        return edit

    return of


def operators(found, name):
    code = getattr(schema.BuiltinOperator, name)
    codes = {i for i, c in enumerate(found.operatorCodes) if c.builtinCode == code}
    there = [o for o in found.subgraphs[0].operators if o.opcodeIndex in codes]
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    assert there, [names[c.builtinCode] for c in found.operatorCodes]
    return there


def operation(name, other, options=None):
    """Puts another operation in an operation's place."""

    def edit(found):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, other)
        code.version = 1
        for each in operators(found, name):
            each.opcodeIndex = len(found.operatorCodes)
        found.operatorCodes.append(code)

    return edit


def option(name, attribute, value):
    def edit(found):
        for each in operators(found, name):
            assert getattr(each.builtinOptions, attribute) != value
            setattr(each.builtinOptions, attribute, value)

    return edit


def outputs(change):
    def edit(found):
        change({t.name.decode(): t for t in found.signatureDefs[0].outputs}, found)

    return edit


def exchange(one, other):
    def change(tensors, found):
        a, b = tensors[one], tensors[other]
        a.tensorIndex, b.tensorIndex = b.tensorIndex, a.tensorIndex

    return outputs(change)


def drop(tensors, found):
    found.signatureDefs[0].outputs = [
        t for t in found.signatureDefs[0].outputs if t.name != b"wide"
    ]


def rename(tensors, found):
    tensors["wide"].name = b"width"


def exchange_constants(found):
    """The buffers of two constants of one shape."""
    tensors = [
        t
        for t in found.subgraphs[0].tensors
        if list(t.shape) == [16] and found.buffers[t.buffer].data is not None
    ]
    one, other = tensors[:2]
    one.buffer, other.buffer = other.buffer, one.buffer


KERNEL, WIDE, SQUARE, BIAS = 3 * 3 * 8, 288 * 16, 256, 16
MUTATIONS = {
    "a bias": weight(BIAS)(lambda a: a + np.float32(1e-4) * (np.arange(16) == 3)),
    "a bias' sign": weight(BIAS)(np.negative),
    "a NaN": weight(KERNEL)(lambda a: np.where(a == a.max(), np.nan, a)),
    "an infinity": weight(SQUARE)(lambda a: np.where(a == a.max(), np.inf, a)),
    "a kernel upside down": weight(KERNEL)(lambda a: a[:, ::-1]),
    "a transposed matrix": weight(SQUARE)(np.transpose),
    "a row of zeros": weight(WIDE)(lambda a: a * (np.arange(16) != 3)[:, None]),
    "one weight": weight(SQUARE)(lambda a: np.where(a == a.max(), a.min(), a)),
    "weights rounded to float16": weight(WIDE)(lambda a: a.astype(np.float16)),
    "all a little larger": weight(SQUARE)(lambda a: a * np.float32(1.0005)),
    "columns turned": weight(WIDE)(lambda a: a[:, ::-1]),
    "two constants exchanged": exchange_constants,
    "sigmoid for tanh": operation("TANH", "LOGISTIC"),
    "the smallest for the largest": operation("ARG_MAX", "ARG_MIN"),
    "no padding": option("CONV_2D", "padding", schema.Padding.VALID),
    "another stride": option("CONV_2D", "strideW", 2),
    "no relu": option("CONV_2D", "fusedActivationFunction", schema.ActivationFunctionType.NONE),
    "relu6": option("CONV_2D", "fusedActivationFunction", schema.ActivationFunctionType.RELU6),
    "a relu too many": option(
        "FULLY_CONNECTED", "fusedActivationFunction", schema.ActivationFunctionType.RELU
    ),
    "another sum": option("SUM", "keepDims", True),
    "added for subtracted": operation("SUB", "MUL"),
    "two outputs exchanged": exchange("scores", "wide"),
    "an output missing": outputs(drop),
    "an output of another name": outputs(rename),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_wrong_file_is_refused(written, name):
    content, cases = written
    with pytest.raises(CheckFailed, match=r"mutant: .*not written|interpreter can't run"):
        check("mutant", "float32", mutated(content, MUTATIONS[name]), cases)


@pytest.mark.parametrize("kind", ["float16", "dynamic", "int8"])
def test_a_quantised_file_beyond_its_bound_is_refused(tmp_path, monkeypatch, kind):
    def wrong(entry, **options):
        return convert(
            default_entry_of(
                Model(
                    "mutant",
                    lambda params, image: {
                        k: v[::-1] if k == "scores" else v for k, v in func(params, image).items()
                    },
                    model().params,
                    entry.inputs,
                )
            ),
            **options,
        )

    default_entry_of = default_entry
    monkeypatch.setattr(files, "convert", wrong)
    with pytest.raises(CheckFailed, match=r"scores is .* of its largest number from JAX's"):
        list(tflite.write(model(), tmp_path, kinds=(kind,), batch_size=3))
    assert not list(tmp_path.iterdir())
