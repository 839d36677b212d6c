"""A SavedModel that is wrong in any of many ways is refused: the check bites."""

import re
import shutil

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
tf = needs.package("tensorflow", "exporter")

import jax.numpy as jnp

from artifact.manifest import Manifest
from exporter import ExportOptions, Model, TensorSpec
from exporter.errors import CheckFailed
from exporter.publish.version import write
from exporter.verify.check import check
from tests.support.mutations import InThisProcess, assign, edit_graph, rewrite

pytestmark = pytest.mark.slow

CLASSES, TOKENS = 4, 7


def func(params, inputs):
    image, token = inputs["image"], inputs["token"]
    pooled = jax.lax.conv_general_dilated(
        image, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    hidden = jax.nn.relu(pooled - 0.5).mean((1, 2)) + params["table"][token]
    scores = hidden @ params["square"] + params["bias"]
    level = scores[:, 0] * 20 + 128
    return {
        "scores": scores,
        "hidden": hidden,
        "mean": image.mean((1, 2, 3)),
        "level": level,
        "byte": jnp.where(jnp.isnan(level), 0, level).astype(jnp.uint8),
        "class": jnp.argmax(scores, -1),
        "positive": scores[:, 1] > 0,
    }


def model(seed=0):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    params = {
        "kernel": normal(3, 3, 1, CLASSES),
        "table": normal(TOKENS, CLASSES),
        "square": normal(CLASSES, CLASSES),
        "bias": normal(CLASSES),
    }
    inputs = {"image": TensorSpec(("b", 6, 6, 1)), "token": TensorSpec(("b",), "int32")}
    return Model("mutant", func, params, inputs)


KINDS = {"xla": {}, "plain_ops": {"xla": False}, "fixed": {"serving_batch_size": 2}}


def written_version(kind, directory):
    """A version as it is written before the check, with the cases that it doesn't keep."""
    directory.mkdir()
    options = ExportOptions(check_batch_sizes=(1, 3, 5), **KINDS[kind])
    _, cases = write(model(), directory, options)
    return kind, directory, cases


@pytest.fixture(scope="module", params=("xla", "plain_ops"))
def written(request, tmp_path_factory):
    return written_version(request.param, tmp_path_factory.mktemp(request.param) / "version")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    return written_version("fixed", tmp_path_factory.mktemp("fixed") / "version")


@pytest.fixture
def version(written, tmp_path):
    kind, directory, cases = written
    shutil.copytree(directory, tmp_path / "version")
    return kind, tmp_path / "version", cases


def test_what_was_written_passes_as_it_is_and_written_anew(version):
    _, directory, cases = version
    parity = check(directory, "mutant/1", InThisProcess(), cases)
    rewrite(directory)
    again = check(directory, "mutant/1", InThisProcess(), cases)
    assert {(p.output, p.through, p.inputs, p.batch_size) for p in parity} == {
        (p.output, p.through, p.inputs, p.batch_size) for p in again
    }
    assert {p.through for p in parity} == {"signature", "call", "program"}
    assert {p.inputs for p in parity} == {"random", "edges", "extremes"}


def refused(version, words):
    _, directory, cases = version
    with pytest.raises(CheckFailed) as refusal:
        check(directory, "mutant/1", InThisProcess(), cases)
    assert re.search(words, str(refusal.value)), refusal.value


def changed(name, change):
    """The signature with one output changed: `change(output, inputs, outputs)`."""

    def serve(signature, tensors):
        outputs = signature(**tensors)
        return {**outputs, name: change(outputs[name], tensors, outputs)}

    return serve


def with_inputs(change):
    return lambda signature, tensors: signature(**{**tensors, **change(tensors)})


def batch(tensors):
    return tf.shape(tensors["token"])[0]


def only_rows(count, change):
    """A change at one batch size."""
    return lambda value, tensors, outputs: tf.cond(
        batch(tensors) == count, lambda: change(value), lambda: value
    )


def without(name):
    return lambda signature, tensors: {k: v for k, v in signature(**tensors).items() if k != name}


def swapped(one, other):
    def serve(signature, tensors):
        outputs = signature(**tensors)
        return {**outputs, one: outputs[other], other: outputs[one]}

    return serve


SIGNATURES = {
    "two outputs swapped": (swapped("scores", "hidden"), "scores|hidden"),
    "an output missing": (without("hidden"), "hidden is missing"),
    "an output too many": (
        lambda s, t: {**s(**t), "more": s(**t)["hidden"]},
        "more is no output of JAX's",
    ),
    "wider integers": (changed("class", lambda v, *_: tf.cast(v, tf.int64)), "dtype int64"),
    "wider floats": (changed("scores", lambda v, *_: tf.cast(v, tf.float64)), "dtype float64"),
    "another shape": (changed("scores", lambda v, *_: v[..., None]), "has shape"),
    "a little more": (changed("scores", lambda v, *_: v + 1e-4), "differs"),
    "a little larger": (changed("scores", lambda v, *_: v * 1.001), "differs"),
    "rounded to bfloat16": (
        changed("hidden", lambda v, *_: tf.cast(tf.cast(v, tf.bfloat16), tf.float32)),
        "differs",
    ),
    "rows reversed": (changed("scores", lambda v, *_: v[::-1]), "differs"),
    "the neighbour's answer": (changed("class", lambda v, *_: tf.roll(v, 1, 0)), "class isn't"),
    "the first row for all": (
        changed("hidden", lambda v, *_: tf.broadcast_to(v[:1], tf.shape(v))),
        "differs",
    ),
    "less the mean of the batch": (
        changed("scores", lambda v, *_: v - tf.reduce_mean(v, 0, keepdims=True) / 100),
        "differs",
    ),
    "NaN made zero": (
        changed("mean", lambda v, *_: tf.where(tf.math.is_nan(v), 0.0, v)),
        "NaN or infinite where",
    ),
    "large numbers cut off": (
        changed("hidden", lambda v, *_: tf.clip_by_value(v, -20, 20)),
        "differs|NaN",
    ),
    "small numbers flushed": (
        changed("scores", lambda v, *_: tf.where(tf.abs(v) < 0.3, 0.0, v)),
        "differs",
    ),
    "integers that wrap": (
        changed(
            "byte",
            lambda v, t, o: tf.cast(
                tf.cast(tf.where(tf.math.is_finite(o["level"]), o["level"], 0.0), tf.int64) % 256,
                tf.uint8,
            ),
        ),
        "byte isn't JAX's",
    ),
    "another class": (changed("class", lambda v, *_: tf.minimum(v, CLASSES - 2)), "class isn't"),
    "a truth turned": (changed("positive", lambda v, *_: tf.logical_not(v)), "positive isn't"),
    "indices that wrap": (
        with_inputs(lambda t: {"token": t["token"] % TOKENS}),
        "through the SavedModel's signature",
    ),
    "indices that are cut off at zero": (
        with_inputs(lambda t: {"token": tf.maximum(t["token"], 0)}),
        "through the SavedModel's signature",
    ),
    "an image turned": (
        with_inputs(lambda t: {"image": tf.transpose(t["image"], [0, 2, 1, 3])}),
        "differs|isn't",
    ),
    "an input left out": (
        with_inputs(lambda t: {"token": tf.zeros_like(t["token"])}),
        "differs|isn't",
    ),
}
# Of batches that only an export for any size takes.
OF_ANY_SIZE = {
    "one batch size off": (changed("scores", only_rows(3, lambda v: v + 1)), "at batch 3"),
    "large batches from another model": (
        changed("scores", only_rows(5, lambda v: v * 0)),
        "at batch 5",
    ),
    "single rows off": (changed("class", only_rows(1, lambda v: v * 0 + 9)), "at batch 1"),
}


@pytest.mark.parametrize("name", [*SIGNATURES, *OF_ANY_SIZE])
def test_a_wrong_signature_is_refused(version, name):
    serve, words = {**SIGNATURES, **OF_ANY_SIZE}[name]
    rewrite(version[1], serve=serve)
    refused(version, words)


CALLS = {
    "two outputs swapped": lambda f, i: {
        **f(i), "scores": f(i)["hidden"], "hidden": f(i)["scores"]
    },
    "another structure": lambda f, i: {"all": f(i)["scores"], "more": f(i)["class"]},
    "another name": lambda f, i: {
        ("scored" if name == "scores" else name): value for name, value in f(i).items()
    },
    "a little more": lambda f, i: {**f(i), "hidden": f(i)["hidden"] + 1e-4},
    "wider integers": lambda f, i: {**f(i), "class": tf.cast(f(i)["class"], tf.int64)},
    "one row more": lambda f, i: {k: tf.concat([v, v[:1]], 0) for k, v in f(i).items()},
    "infinity made large": lambda f, i: {
        **f(i), "mean": tf.clip_by_value(f(i)["mean"], -3e38, 3e38)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_is_refused(version, name):
    rewrite(version[1], call=CALLS[name])
    refused(version, "__call__|loaded and run")


def last_bit(variables):
    """A weight further off than the tolerance lets its output be, by as little as that takes."""
    bias = variables["bias"]
    array = bias.numpy()
    array[0] += 3e-5 * max(1.0, abs(array[0]))
    assign(bias, array)


def changed_variable(name, change):
    return lambda variables: assign(variables[name], change(variables[name].numpy()))


def exchanged(variables):
    kernel, square = variables["table"].numpy(), variables["square"].numpy()
    assign(variables["table"], np.resize(square, kernel.shape))
    assign(variables["square"], np.resize(kernel, square.shape))


VARIABLES = {
    "the last bits of a bias": last_bit,
    "a transposed matrix": changed_variable("square", lambda a: a.T),
    "a kernel upside down": changed_variable("kernel", lambda a: a[::-1]),
    "a row of a table": changed_variable("table", lambda a: a * (np.arange(TOKENS) != 3)[:, None]),
    "the last row of a table": changed_variable("table", lambda a: np.concatenate([a[:-1], a[:1]])),
    "a NaN": changed_variable("square", lambda a: np.where(a == a.max(), np.nan, a)),
    "a sign": changed_variable("bias", np.negative),
    "bfloat16 weights": changed_variable(
        "square", lambda a: np.asarray(jnp.asarray(a).astype(jnp.bfloat16), np.float32)
    ),
    "two exchanged": exchanged,
}


@pytest.mark.parametrize("name", VARIABLES)
def test_wrong_parameters_are_refused(version, name):
    rewrite(version[1], variables=VARIABLES[name])
    refused(version, "differs|isn't JAX's|NaN")


def test_one_batch_size_of_a_fixed_export_that_is_off_is_refused(fixed, tmp_path):
    for size, words in ((2, "at batch 2"), (16, "at batch 16"), (128, "at batch 128")):
        target = tmp_path / str(size)
        shutil.copytree(fixed[1], target)
        rewrite(
            target,
            serve=changed("scores", only_rows(size, lambda v: v + 1)),
            call=lambda f, i, size=size: {
                **f(i), "scores": f(i)["scores"] + float(i["token"].shape[0] == size)
            },
        )  # fmt: skip
        refused((*fixed[:1], target, *fixed[2:]), words)


def test_another_models_program_is_refused(fixed, tmp_path):
    """Of the same parameters, at one of the batch sizes."""
    kind, original, cases = fixed
    directory = tmp_path / "version"
    shutil.copytree(original, directory)
    other = tmp_path / "other"
    other.mkdir()
    options = ExportOptions(check_batch_sizes=(1,), **KINDS[kind])
    doubled = model()
    doubled = Model(
        doubled.name,
        lambda params, inputs: {
            name: value * 2 if name == "scores" else value
            for name, value in func(params, inputs).items()
        },
        doubled.params,
        doubled.inputs,
    )
    write(doubled, other, options)
    record = Manifest.read(directory).signatures["serving_default"]
    file = record.program.files[-1].file
    for path in (other / "assets.extra").glob(f"{file.rsplit('.', 1)[0]}*"):
        shutil.copy(path, directory / "assets.extra" / path.name)
    refused((kind, directory, cases), "scores differs .*at batch 128 .*through the program")


GRAPHS = {
    "Relu": lambda n: setattr(n, "op", "Relu6"),
    "Maximum": lambda n: setattr(n, "op", "Minimum"),
    "Conv2D": lambda n: n.attr["padding"].__setattr__("s", b"VALID"),
    "ArgMax": lambda n: setattr(n, "op", "ArgMin"),
    "Greater": lambda n: setattr(n, "op", "Less"),
    "MatMul": lambda n: n.attr["transpose_b"].__setattr__("b", not n.attr["transpose_b"].b),
    "Sub": lambda n: setattr(n, "op", "AddV2"),
}


def test_a_wrong_operation_is_refused(written, tmp_path):
    kind, directory, cases = written
    if kind != "plain_ops":
        assert _operations(directory) & {"XlaCallModule"}  # one operation: there's nothing to edit
        return
    there = [op for op in GRAPHS if op in _operations(directory)]
    assert len(there) >= 4, _operations(directory)
    for op in there:
        target = tmp_path / op
        shutil.copytree(directory, target)

        def change(node, op=op):
            found = node.op == op
            if found:
                GRAPHS[op](node)
            return found

        edit_graph(target, change)
        refused((kind, target, cases), "differs|isn't JAX's|NaN|has shape|loaded and run")


def _operations(directory):
    from exporter.inspect.description import operations

    return set(operations(directory))
