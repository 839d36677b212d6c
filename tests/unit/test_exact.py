"""Sizes that give equal bits are found, and no others are used."""

import asyncio

import numpy as np
import pytest

from server.engines.signatures import ModelSignature, TensorInfo
from server.engines.sizes import Sizes, steps
from server.errors import Code, ServingError
from server.inference.batching import exact
from server.inference.batching.parameters import Parameters
from server.inference.execution import Execution
from server.inference.predict import EngineCall
from wire import dtypes

PROVEN = frozenset({"s"})


class Function:
    """`function(x, size)` on NumPy arrays as an engine that takes note of the sizes it runs."""

    name, compiles_sizes = "function", True

    def __init__(self, function, fixed=None):
        self.function, self.fixed, self.ran = function, fixed, []

    def batch_sizes(self, signature):
        return self.fixed

    def is_ready(self, signature, shapes):
        return True

    def run(self, signature, inputs, outputs):
        self.ran.append(len(inputs["x"]))
        return {"y": self.function(inputs["x"])}


def found(engine, tmp_path, shape=(-1, 3), dtype="float32"):
    tensor = TensorInfo("x:0", dtypes.number(dtype), shape)
    signatures = {"s": ModelSignature("s", {"x": tensor}, {"y": TensorInfo("y:0", 1, (-1, 3))}, "")}
    return exact.sizes(engine, signatures, PROVEN, steps(32), tmp_path).get("s")


def ulps(x, count):
    """The same answers, some last bits apart."""
    return np.tanh(x).view(np.int32).__add__(np.int32(count)).view(np.float32)


def test_all_sizes_where_all_are_equal(tmp_path):
    assert found(Function(np.tanh), tmp_path) == steps(32)


def test_sizes_of_other_bits_are_left_out(tmp_path):
    sizes = found(Function(lambda x: ulps(x, len(x) < 4)), tmp_path)
    assert sizes.allowed == tuple(size for size in steps(32).allowed if size >= 4)


def test_sizes_whose_places_differ_are_left_out(tmp_path):
    def function(x):
        answers = np.tanh(x)
        whole = len(x) // 8 * 8
        answers[whole:] = ulps(x[whole:], 1)
        return answers

    assert found(Function(function), tmp_path).allowed == (8, 16, 24, 32)


def test_a_single_row_that_differs_in_one_place_is_seen(tmp_path):
    def function(x):
        answers = np.tanh(x)
        if len(x) == 20:
            answers[13, 1:2] = ulps(x[13, 1:2], 1)
        return answers

    assert 20 not in found(Function(function), tmp_path).allowed


def test_the_measure_does_not_depend_on_the_clock(tmp_path, monkeypatch):
    monkeypatch.setattr(exact, "_SECONDS", 0.0)
    assert found(Function(lambda x: ulps(x, len(x) == 16)), tmp_path).allowed == (16,)


def test_row_by_row_where_each_place_differs(tmp_path):
    def function(x):
        return np.stack([ulps(row, place) for place, row in enumerate(x)])

    engine = Function(function)
    sizes = found(engine, tmp_path)
    assert sizes == Sizes(1, (1,), is_single=True)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    engine.ran.clear()
    answers = exact.run(engine, "s", {"x": x}, ["y"], sizes)["y"]
    assert engine.ran == [1] * 5
    np.testing.assert_array_equal(answers, np.tanh(x))


def test_row_by_row_in_the_size_that_there_is(tmp_path):
    def function(x):
        return np.stack([ulps(row, place) for place, row in enumerate(x)])

    engine = Function(function, fixed=[2, 8])
    sizes = found(engine, tmp_path)
    assert sizes == Sizes(2, (2,), is_single=True)
    engine.ran.clear()
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(exact.run(engine, "s", {"x": x}, ["y"], sizes)["y"], np.tanh(x))
    assert engine.ran == [2, 2]


def test_row_by_row_in_as_many_as_a_graph_insists_on(tmp_path):
    sizes = found(Function(np.tanh), tmp_path, shape=(2, 3))
    assert sizes == Sizes(2, (2,), is_single=True)


def test_row_by_row_where_nothing_can_be_tried(tmp_path):
    def fails(x):
        raise RuntimeError("no")

    for engine, more in (
        (Function(np.tanh), {"shape": (-1, -1)}),
        (Function(np.tanh), {"dtype": "string"}),
        (Function(fails), {}),
    ):
        assert found(engine, tmp_path, **more) == Sizes(1, (1,), is_single=True)


def test_a_signature_without_a_program_is_left_to_the_engine(tmp_path):
    class Without(Function):
        def batch_sizes(self, signature):
            raise ServingError(Code.FAILED_PRECONDITION, "no JAX program")

    assert found(Without(np.tanh), tmp_path) is None


@pytest.mark.parametrize("rows", [1, 2, 3, 16, 17, 31, 32, 33, 100])
def test_only_the_sizes_are_run(rows):
    engine = Function(lambda x: x * 2)
    sizes = Sizes(32, (2, 16, 32))
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    answers = exact.run(engine, "s", {"x": x}, ["y"], sizes)["y"]
    np.testing.assert_array_equal(answers, x * 2)
    assert set(engine.ran) <= {2, 16, 32}


def test_inputs_that_do_not_fit_are_the_engines_to_refuse():
    def refuses(x):
        raise ValueError("no rows")

    empty = {"x": np.ones((0, 3), np.float32)}
    with pytest.raises(ValueError, match="no rows"):
        exact.run(Function(refuses), "s", empty, ["y"], Sizes(2, (2,)))


class Servable:
    """What `Execution` asks of a version."""

    name = "m"

    def __init__(self, engine, sizes):
        self.engine, self.batches = engine, {} if sizes is None else {"s": sizes}
        tensor = TensorInfo("x:0", dtypes.number("float32"), (-1, 3))
        self.signatures = {"s": ModelSignature("s", {"x": tensor}, {"y": tensor}, "")}


def served(engine, sizes, requests, **flags):
    """Answers to requests that come together."""

    async def ask():
        batches = Execution(Parameters(), **flags)
        servable = Servable(engine, sizes)
        calls = [batches(servable, EngineCall("s", {"x": x}, ("y",))) for x in requests]
        answers = await asyncio.gather(*calls)
        batches.close()
        return [answer["y"] for answer in answers]

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("sizes", "ran"),
    [(Sizes(32, (2, 16, 32)), {2, 16, 32}), (Sizes(1, (1,), is_single=True), {1}), (None, {50})],
)
def test_requests_that_come_together_run_in_the_sizes_alone(sizes, ran):
    engine = Function(lambda x: x * 2)
    requests = [np.full((50, 3), number, np.float32) for number in range(40)]
    for x, answer in zip(requests, served(engine, sizes, requests, is_exact=True), strict=True):
        np.testing.assert_array_equal(answer, x * 2)
    assert set(engine.ran) <= ran


def test_one_bad_request_costs_the_others_no_bit():
    """Where a batch fails, each request is run by itself: in the same sizes."""

    def function(x):
        if (x < 0).any():
            raise ValueError("negative")
        return x * 2

    engine = Function(function)

    async def ask():
        batches = Execution(Parameters(), is_exact=True)
        servable = Servable(engine, Sizes(32, (4, 32)))
        inputs = [np.ones((1, 3), np.float32)] * 5 + [-np.ones((1, 3), np.float32)]
        calls = [batches(servable, EngineCall("s", {"x": x}, ("y",))) for x in inputs]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        batches.close()
        return answers

    *good, bad = asyncio.run(ask())
    assert isinstance(bad, ValueError)
    assert all((answer["y"] == 2).all() and answer["y"].shape == (1, 3) for answer in good)
    assert set(engine.ran) <= {4, 32}
