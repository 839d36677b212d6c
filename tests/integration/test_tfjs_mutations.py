"""A TensorFlow.js model that is wrong in any of many ways is refused, with Node and without."""

import json
import shutil
from contextlib import nullcontext

import numpy as np
import pytest

from tests.support import needs

needs.package("jax", "exporter")
needs.package("tensorflow", "exporter")

from exporter.errors import CheckFailed
from exporter.formats import tfjs
from exporter.formats.tfjs import graph_model, node
from exporter.formats.tfjs.check import check
from exporter.formats.tfjs.export import frozen_graph
from exporter.model.entry import default_entry
from exporter.trace.trace import trace
from exporter.verify.cases import collect
from tests.support.mutants import model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=("float32", "float16", "uint8"))
def written(request, tmp_path_factory):
    """A model's files, the model in memory and its cases, by how weights are stored."""
    directory = tmp_path_factory.mktemp(request.param)
    traced = trace(default_entry(model()))
    built = graph_model.build(frozen_graph(traced), request.param)
    graph_model.write(built, directory)
    return request.param, directory, built, collect(traced, (1, 3), seed=0)


def compare(written, directory, backends=()):
    weights, _, built, cases = written
    bound = {"float32": 0.0, "float16": 0.01, "uint8": 0.1}[weights]
    return check("mutant", built, directory, cases, backends=backends, weights=weights, bound=bound)


def test_what_was_written_passes(written):
    differences = compare(written, written[1])
    assert {d.output for d in differences} == {"scores", "wide", "class"}
    assert {d.inputs for d in differences} == {"random", "edges", "extremes"}


def edited(change):
    """Changes `model.json`."""

    def edit(directory):
        path = directory / "model.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return edit


def nodes(document):
    topology = document["modelTopology"]
    functions = [f.get("nodeDef", []) for f in topology.get("library", {}).get("function", [])]
    return [n for each in [topology["node"], *functions] for n in each]


def every(op, change):
    """Changes all nodes of an operation."""

    def change_document(document):
        found = [n for n in nodes(document) if n["op"] == op]
        assert found, sorted({n["op"] for n in nodes(document)})
        for n in found:
            change(n)

    return edited(change_document)


def renamed(op, other):
    return every(op, lambda n: n.update(op=other))


def attribute(op, name, value):
    return every(op, lambda n: n["attr"].update({name: value}))


def weight(shape):
    """Changes the bytes of the weight of a shape: `change(array of what is stored) -> array`."""

    def of(change):
        def edit(directory):
            document = json.loads((directory / "model.json").read_text())
            (group,) = document["weightsManifest"]
            path = directory / group["paths"][0]
            content, start = path.read_bytes(), 0
            for entry in group["weights"]:
                details = entry.get("quantization", entry)
                dtype = np.dtype(details["dtype"])
                size = int(np.prod(entry["shape"])) * dtype.itemsize
                if entry["shape"] == list(shape) and entry["dtype"] == "float32":
                    array = np.frombuffer(content, dtype, size // dtype.itemsize, start)
                    array = np.asarray(change(array.reshape(shape)), dtype)
                    content = content[:start] + array.tobytes() + content[start + size :]
                    path.write_bytes(content)
                    return
                start += size
            raise AssertionError(f"no weight of shape {shape}")

        return edit

    return of


def signature(change):
    return edited(lambda document: change(document["signature"]))


def swap_nodes(found):
    outputs = found["outputs"]
    outputs["scores"]["name"], outputs["wide"]["name"] = (
        outputs["wide"]["name"],
        outputs["scores"]["name"],
    )


def exchange_names(document):
    """The nodes of two outputs exchanged, so that names and signature still fit."""
    names = {"scores": "wide", "wide": "scores"}
    for each in document["modelTopology"]["node"]:
        each["name"] = names.get(each["name"], each["name"])
        each["input"] = [names.get(text, text) for text in each.get("input", [])]


def entries(change):
    return edited(lambda document: change(document["weightsManifest"][0]["weights"]))


def exchange_entries(found):
    """Two weights exchanged that have the same shape."""
    one, other = (e for e in found if e["shape"] == [16])
    one["name"], other["name"] = other["name"], one["name"]


def cut_off(directory):
    path = next(directory.glob("*.bin"))
    path.write_bytes(path.read_bytes()[:-4])


BIAS, SQUARE, WIDE, KERNEL = (16,), (16, 16), (288, 16), (3, 3, 1, 8)
MUTATIONS = {
    "a bias": weight(BIAS)(lambda a: a + np.float32(1e-3) * (np.arange(16) == 3)),
    "a bias' sign": weight(BIAS)(np.negative),
    "a NaN": weight(KERNEL)(lambda a: np.where(a == a.max(), np.nan, a)),
    "a kernel upside down": weight(KERNEL)(lambda a: a[::-1]),
    "a transposed matrix": weight(SQUARE)(np.transpose),
    "a column of zeros": weight(WIDE)(lambda a: a * (np.arange(16) != 3)),
    "one weight": weight(SQUARE)(lambda a: np.where(a == a.max(), a.min(), a)),
    "rows turned": weight(WIDE)(lambda a: a[::-1]),
    "two weights exchanged": entries(exchange_entries),
    "the order of weights": entries(lambda e: e.reverse()),
    "a weight's dtype": entries(lambda e: e[-1].update(dtype="int32")),
    "a shard cut off": cut_off,
    "relu6": renamed("Relu", "Relu6"),
    "no relu": renamed("Relu", "Identity"),
    "relu of something else": renamed("Relu", "Abs"),
    "sigmoid for tanh": renamed("Tanh", "Sigmoid"),
    "the smallest for the largest": renamed("ArgMax", "ArgMin"),
    "no padding": attribute("Conv2D", "padding", {"s": "VkFMSUQ="}),
    "another stride": attribute("Conv2D", "strides", {"list": {"i": ["1", "2", "2", "1"]}}),
    "a matrix transposed by the operation": attribute("MatMul", "transpose_b", {"b": True}),
    "two nodes exchanged": edited(exchange_names),
    "two outputs exchanged": signature(swap_nodes),
    "an output missing": signature(lambda s: s["outputs"].pop("wide")),
    "another output": signature(
        lambda s: s["outputs"].update(more=dict(s["outputs"].pop("wide"), name="wide:0"))
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_wrong_file_is_refused_without_node(written, tmp_path, name):
    shutil.copytree(written[1], tmp_path / "mutant")
    MUTATIONS[name](tmp_path / "mutant")
    with pytest.raises(CheckFailed):
        compare(written, tmp_path / "mutant")


SCALES = {
    "another scale": lambda q: q.update(scale=q["scale"] * 1.02),
    "another zero": lambda q: q.update(min=q["min"] * 0.98),
    "no zero": lambda q: q.update(min=0.0),
}


@pytest.mark.parametrize("name", SCALES)
def test_a_wrong_quantisation_is_refused(written, tmp_path, name):
    if written[0] != "uint8":
        return
    shutil.copytree(written[1], tmp_path / "mutant")

    def change(found):
        details = [e["quantization"] for e in found if "quantization" in e]
        assert details
        for each in details:
            SCALES[name](each)

    entries(change)(tmp_path / "mutant")
    with pytest.raises(CheckFailed):
        compare(written, tmp_path / "mutant")


@pytest.mark.parametrize("backend", node.BACKENDS)
def test_what_only_tensorflow_js_does_wrong_is_refused(written, monkeypatch, backend):
    """Its answers are compared themselves, not the graph's in their place."""
    needs.tensorflow_js()
    run = node.run

    def wrong(directory, cases, backends):
        answers = run(directory, cases, backends)
        for case in answers[backend]:
            case["scores"] = case["scores"] * np.float32(1.001)
        return answers

    compare(written, written[1], backends=(backend,))
    monkeypatch.setattr(node, "run", wrong)
    with pytest.raises(CheckFailed, match=f"scores on {backend}"):
        compare(written, written[1], backends=(backend,))


def test_nothing_is_written_where_it_is_refused(tmp_path, monkeypatch):
    write = graph_model.write

    def wrong(built, directory):
        write(built, directory)
        MUTATIONS["two nodes exchanged"](directory)

    monkeypatch.setattr(graph_model, "write", wrong)
    options = tfjs.TfjsOptions(verify_in_node=False, weights="uint8")
    with pytest.raises(CheckFailed, match="nothing was published"):
        tfjs.export(model(), tmp_path / "out", options, stage=lambda text: nullcontext())
    assert not list(tmp_path.iterdir())
