"""A signature is batched only where that is proven to change no answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artifact.manifest import Manifest
from server.engines.engine import EngineOptions
from server.engines.signatures import Signature, Tensor
from server.engines.sizes import Sizes, only, steps
from server.inference.batching import preparation
from server.loading.loader import Loader
from tests.support import exports
from wire import dtypes


class Function:
    """A NumPy function as an engine that takes note of the sizes it runs."""

    name, compiles_sizes = "function", True

    def __init__(self, function, sizes=None):
        self.function, self.sizes, self.ran = function, sizes, []

    def batch_sizes(self, signature):
        return self.sizes

    def run(self, signature, inputs, outputs):
        self.ran.append(len(inputs["x"]))
        return {"y": self.function(inputs["x"])}


def signature(dtype="float32", shape=(-1, 3), output=(-1, 3)):
    number = dtypes.number(dtype)
    return {
        "s": Signature(
            "s", {"x": Tensor("x:0", number, shape)}, {"y": Tensor("y:0", 1, output)}, ""
        )
    }


WANTED = steps(8)
PROVEN = frozenset({"s"})


@pytest.mark.parametrize(
    "function",
    [np.tanh, lambda x: x.astype(np.float32).sum(1), lambda x: x - x.mean(1, keepdims=True)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_rows_by_themselves_are_batched_in_all_sizes(function, dtype):
    engine = Function(lambda x: function(x.astype(np.float32)))
    assert preparation.sizes(engine, signature(dtype), PROVEN, WANTED) == {"s": WANTED}
    assert set(engine.ran) == {1, 2, 4, 8}


def test_what_is_not_proven_is_not_batched():
    """Not even rows that look independent: who knows."""
    assert preparation.sizes(Function(np.tanh), signature(), frozenset(), WANTED) == {}


def test_outputs_without_their_rows_are_not_batched():
    for function in (lambda x: x.sum(0), lambda x: np.concatenate([x, x])):
        assert preparation.sizes(Function(function), signature(), PROVEN, WANTED) == {}


def test_what_cannot_be_run_is_not_batched():
    def fails(x):
        raise RuntimeError("no")

    for function, signatures in (
        (fails, signature()),
        (np.tanh, signature(shape=(-1, -1))),
        (np.tanh, signature(shape=(2, 3))),
        (np.tanh, signature(shape=None)),
        (np.tanh, signature("string")),
    ):
        assert preparation.sizes(Function(function), signatures, PROVEN, WANTED) == {}
    assert preparation.sizes(Function(np.tanh), signature(), PROVEN, Sizes(8)) == {}


@pytest.mark.parametrize("shape", [(-1, 3), (2, 3)])
def test_an_export_for_fixed_sizes_is_batched_in_these(shape):
    engine = Function(np.tanh, sizes=[2, 6])
    signatures = signature(shape=shape, output=shape)
    assert preparation.sizes(engine, signatures, PROVEN, WANTED) == {"s": only([2, 6])}
    assert set(engine.ran) == {2, 6}


def test_proofs_are_read_from_the_manifest(tmp_path):
    assert preparation.proven(tmp_path) == frozenset()
    version = exports.scaled(tmp_path, 1)
    assert preparation.proven(version) == {"serving_default"}
    found = Manifest.read(version)
    entry = replace(found.signatures["serving_default"], row_wise=None)
    replace(found, signatures={"serving_default": entry}).write(version)
    assert preparation.proven(version) == frozenset()


def test_an_export_is_ready_in_all_sizes_when_it_is_loaded(tmp_path):
    exports.scaled(tmp_path, 1)
    loader = Loader(EngineOptions(engine="xla"), batch_sizes=WANTED)
    servable = loader("scaled", 1, Path(tmp_path / "scaled" / "1"))
    assert servable.batches["serving_default"] == WANTED


def test_a_model_that_mixes_rows_says_so_and_is_not_batched(tmp_path):
    from exporter.model import Model, Signature, TensorSpec
    from exporter.publish.options import ExportOptions

    rows = TensorSpec(("b", 4))
    model = Model(
        "centred",
        lambda _, x: x - x.mean(0),
        (),
        rows,
        signatures={"scaled": Signature(lambda _, x: x * 2, rows)},
    )
    version = exports.publish(model, tmp_path, ExportOptions(version=1, verify=False))
    found = Manifest.read(version).signatures
    assert found["serving_default"].row_wise is False
    assert "reduce_sum reduces over the batch" in found["serving_default"].row_wise_refusal
    assert found["scaled"].row_wise is True
    for is_exact in (False, True):
        loader = Loader(EngineOptions(engine="xla"), batch_sizes=WANTED, is_exact=is_exact)
        assert loader("centred", 1, version).batches.keys() == {"scaled"}


def test_what_is_around_a_function_does_not_mix_its_rows(tmp_path):
    found = Manifest.read(exports.kind(tmp_path, "image_and_size")).signatures
    assert {name: entry.row_wise for name, entry in found.items()} == dict.fromkeys(found, True)
    assert {"photo", "classify", "regress"} < found.keys()
