"""A signature is batched only where that is proven to change no answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artifact.manifest import Manifest
from server.engines.engine import EngineOptions
from server.engines.signatures import ModelSignature, TensorInfo
from server.engines.sizes import Sizes, only, steps
from server.inference.batching.preparation import LONGEST_S, Preparation, by_use
from server.loading import loader as loading
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
        "s": ModelSignature(
            "s", {"x": TensorInfo("x:0", number, shape)}, {"y": TensorInfo("y:0", 1, output)}, ""
        )
    }


def sizes(engine, signatures, row_wise, wanted):
    preparation = Preparation(engine, signatures, row_wise, wanted)
    assert preparation.run(60.0)
    return preparation.sizes


WANTED = steps(8)
PROVEN = frozenset({"s"})


@pytest.mark.parametrize(
    "function",
    [np.tanh, lambda x: x.astype(np.float32).sum(1), lambda x: x - x.mean(1, keepdims=True)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_rows_by_themselves_are_batched_in_all_sizes(function, dtype):
    engine = Function(lambda x: function(x.astype(np.float32)))
    assert sizes(engine, signature(dtype), PROVEN, WANTED) == {"s": WANTED}
    assert set(engine.ran) == {1, 2, 4, 8}


def test_what_is_not_proven_is_not_batched():
    """Not even rows that look independent: who knows."""
    assert sizes(Function(np.tanh), signature(), frozenset(), WANTED) == {}


def test_outputs_without_their_rows_are_not_batched():
    for function in (lambda x: x.sum(0), lambda x: np.concatenate([x, x])):
        assert sizes(Function(function), signature(), PROVEN, WANTED) == {}


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
        assert sizes(Function(function), signatures, PROVEN, WANTED) == {}
    assert sizes(Function(np.tanh), signature(), PROVEN, Sizes(8)) == {}


@pytest.mark.parametrize("shape", [(-1, 3), (2, 3)])
def test_an_export_for_fixed_sizes_is_batched_in_these(shape):
    engine = Function(np.tanh, sizes=[2, 6])
    signatures = signature(shape=shape, output=shape)
    assert sizes(engine, signatures, PROVEN, WANTED) == {"s": only([2, 6])}
    assert set(engine.ran) == {2, 6}


def test_the_most_useful_sizes_come_first():
    assert by_use(steps(128).allowed)[:9] == [1, 16, 64, 4, 128, 32, 8, 2, 20]
    assert sorted(by_use(steps(100).allowed)) == list(steps(100).allowed)
    assert by_use([5]) == [5]
    assert by_use([2, 6]) == [2, 6]


def test_what_is_not_prepared_in_time_is_prepared_later():
    engine = Function(np.tanh)
    preparation = Preparation(engine, signature(), PROVEN, WANTED)
    assert not preparation.run(0.0)
    assert preparation.sizes == {"s": Sizes(1, (1,))}
    told = []
    preparation.finish(lambda: len(told) < 2, told.append)
    assert [found["s"].allowed for found in told] == [(1, 4), (1, 4, 8)]  # and then it was enough
    preparation.finish(lambda: True, told.append)
    assert [found["s"].allowed for found in told[2:]] == [(1, 2, 4, 8)]
    preparation.finish(lambda: True, told.append)
    assert len(told) == 3


def test_every_signature_has_a_size_before_any_has_more():
    ran = []

    class Engine(Function):
        def run(self, signature, inputs, outputs):
            ran.append((signature, len(inputs["x"])))
            return super().run(signature, inputs, outputs)

    both = {name: replace(signature()["s"], name=name) for name in "ab"}
    preparation = Preparation(Engine(np.tanh), both, frozenset("ab"), WANTED)
    assert not preparation.run(0.0)
    assert {size for _, size in ran} == {1}
    assert preparation.sizes.keys() == {"a", "b"}


def test_sizes_that_take_too_long_are_not_used_nor_tried(monkeypatch):
    """A row takes a tenth of what the longest batch may take."""
    from server.inference.batching import preparation as module

    now = 0.0

    def compute(x):
        nonlocal now
        now += len(x) * LONGEST_S / 10
        return x

    monkeypatch.setattr(module.time, "perf_counter", lambda: now)
    engine = Function(compute)
    assert sizes(engine, signature(), PROVEN, steps(128))["s"].allowed == (1, 2, 4, 8, 16)
    assert max(engine.ran) == 16


def test_a_signature_that_fails_later_keeps_what_it_has():
    def function(x):
        if len(x) == 4:
            raise RuntimeError("out of memory")
        return x

    assert sizes(Function(function), signature(), PROVEN, WANTED)["s"].allowed == (1,)


def test_a_manifest_is_read_once(tmp_path, monkeypatch):
    version = exports.scaled(tmp_path, 1)
    reads = []
    read = Manifest.read
    monkeypatch.setattr(Manifest, "read", lambda path: reads.append(path) or read(path))
    Loader(EngineOptions(engine="auto"), batch_sizes=WANTED)("scaled", 1, version)
    assert reads == [version]


def test_a_version_is_available_before_all_its_sizes_are(tmp_path):
    version = exports.scaled(tmp_path, 1)
    loader = Loader(EngineOptions(engine="xla"), batch_sizes=WANTED, preparation_s=0.0)
    servable = loader("scaled", 1, version)
    assert servable.batches["serving_default"] == Sizes(1, (1,))
    before = servable.batches
    servable.prepare()
    assert servable.batches["serving_default"] == WANTED
    assert before["serving_default"] == Sizes(1, (1,))
    retired = loader("scaled", 1, version)
    retired.is_retired = True
    retired.prepare()
    assert retired.batches["serving_default"] == Sizes(1, (1,))


def test_exact_sizes_are_all_found_at_once(tmp_path):
    version = exports.scaled(tmp_path, 1)
    options = {"batch_sizes": WANTED, "is_exact": True}
    found = [
        Loader(EngineOptions(engine="xla"), preparation_s=seconds, **options)("m", 1, version)
        for seconds in (0.0, 10.0)
    ]
    assert [servable.prepare for servable in found] == [None, None]
    assert found[0].batches == found[1].batches != {}


def test_proofs_are_read_from_the_manifest(tmp_path):
    class Engine:
        def has_one_batch(self, signature):
            return True

    def proven(path):
        return loading._row_wise(Engine(), loading._manifest(path))

    assert proven(tmp_path) == frozenset()
    version = exports.scaled(tmp_path, 1)
    assert proven(version) == {"serving_default"}
    found = Manifest.read(version)
    entry = replace(found.signatures["serving_default"], row_wise=None)
    replace(found, signatures={"serving_default": entry}).write(version)
    assert proven(version) == frozenset()


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
