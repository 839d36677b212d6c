"""Calls are merged, padded, split, ordered and refused as they should be."""

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engines.sizes import Sizes, only, steps
from server.errors import Code, ServingError
from server.inference.batching.parameters import Parameters, parse
from server.inference.batching.refusals import Overloaded
from server.inference.batching.scheduler import Scheduler


class Model:
    """Row by row: 2x + 1 and the row's sum. Notes the sizes that it was run with."""

    def __init__(self):
        self.sizes = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, inputs):
        x = inputs["x"]
        self.sizes.append(x.shape[0] if x.ndim else None)
        self.entered.set()
        assert self.gate.wait(30)
        if np.any(x < 0):
            raise ValueError(f"negative input of shape {list(x.shape)}")
        return {"y": 2 * x + 1, "sum": x.reshape(len(x), -1).sum(axis=1)}

    def hold(self):
        self.gate.clear()
        self.entered.clear()


async def call(scheduler, model, x, **options):
    return await scheduler.run(model, "signature", model, {"x": x}, **options)


def serve(test, parameters=Parameters()):  # noqa: B008
    """Runs `await test(scheduler)` and leaves nothing behind."""

    async def main():
        scheduler = Scheduler(parameters)
        try:
            return await asyncio.wait_for(test(scheduler), 60)
        finally:
            scheduler.close()

    return asyncio.run(main())


async def hold(scheduler, model):
    """Occupies a scheduler of one thread; returns the call that does."""
    model.hold()
    task = asyncio.create_task(call(scheduler, model, np.zeros((1, 2), np.float32)))
    await asyncio.to_thread(model.entered.wait, 30)
    return task


ONE_THREAD = Parameters(threads=1)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.integers(1, 12), min_size=1, max_size=40),
    sizes=st.sampled_from([steps(8), steps(7), only([3, 10]), Sizes(5), only([1])]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_call_gets_its_own_rows(rows, sizes, threads, seed):
    rng = np.random.default_rng(seed)
    calls = [rng.random((n, 2, 3), np.float32) for n in rows]
    model = Model()

    async def test(scheduler):
        return await asyncio.gather(*(call(scheduler, model, x) for x in calls))

    # All 40 calls of 12 rows find room.
    results = serve(test, Parameters(sizes, threads=threads, max_enqueued_batches=480))
    for x, result in zip(calls, results, strict=True):
        np.testing.assert_array_equal(result["y"], 2 * x + 1)
        np.testing.assert_array_equal(result["sum"], x.reshape(len(x), -1).sum(axis=1))
    assert set(model.sizes) <= set(sizes.allowed or range(1, sizes.largest + 1))


def test_an_idle_scheduler_executes_at_once_and_alone():
    model = Model()

    async def test(scheduler):
        for _ in range(3):
            await call(scheduler, model, np.zeros((1, 2), np.float32))

    serve(test)
    assert model.sizes == [1, 1, 1]


def test_calls_of_one_turn_and_calls_behind_a_busy_thread_are_merged():
    model = Model()

    async def test(scheduler):
        first = [call(scheduler, model, np.full((1, 2), n, np.float32)) for n in range(4)]
        await asyncio.gather(*first)
        held = await hold(scheduler, model)
        more = [
            asyncio.create_task(call(scheduler, model, np.full((1, 2), n, np.float32)))
            for n in range(6)
        ]
        await asyncio.sleep(0)
        model.gate.set()
        results = await asyncio.gather(*more)
        await held
        return [float(result["y"][0, 0]) for result in results]

    assert serve(test, ONE_THREAD) == [1, 3, 5, 7, 9, 11]
    assert model.sizes == [4, 1, 8]


@pytest.mark.parametrize(("partial", "sizes"), [(1, [1, 4]), (2, [1, 1, 3])])
def test_calls_of_a_kind_wait_to_be_executed_together(partial, sizes):
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        tasks = []
        for _ in range(4):
            tasks.append(asyncio.create_task(call(scheduler, model, np.zeros((1, 2), np.float32))))
            await asyncio.sleep(0.01)
        model.gate.set()
        await asyncio.gather(held, *tasks)

    serve(test, Parameters(only([1, 2, 3, 4, 8]), threads=2, partial=partial))
    assert model.sizes == sizes


def test_a_thread_that_is_done_takes_the_next_batch_while_the_loop_is_busy():
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        waiting = asyncio.create_task(call(scheduler, model, np.zeros((1, 2), np.float32)))
        await asyncio.sleep(0)
        model.entered.clear()
        model.gate.set()
        assert model.entered.wait(30)  # on the loop's thread
        await asyncio.gather(held, waiting)

    serve(test, ONE_THREAD)
    assert model.sizes == [1, 1]


def test_an_idle_scheduler_begins_with_enough_calls_before_it_has_read_the_others():
    model = Model()
    sizes = Sizes(8, (1, 2, 8), {1: 0.002, 2: 0.002, 8: 0.008})

    async def test(scheduler):
        async def busy():
            assert model.entered.wait(30)  # on the loop's thread

        x = np.zeros((1, 2), np.float32)
        first = [call(scheduler, model, x) for _ in range(2)]
        await asyncio.gather(*first, busy(), call(scheduler, model, x))

    serve(test, Parameters(sizes, threads=1))
    assert model.sizes == [2, 1]


def test_enough_rows_are_those_from_which_on_others_gain_little():
    sizes = (1, 2, 4, 8)
    assert Sizes(8, sizes, {1: 0.001, 2: 0.001, 4: 0.00105, 8: 0.002}).enough() == 4
    assert Sizes(8, sizes, dict.fromkeys(sizes, 0.001)).enough() == 8
    assert Sizes(8, sizes, {size: size * 0.001 for size in sizes}).enough() == 1
    assert Sizes(8, sizes).enough() == 8


def test_enough_calls_run_beside_a_batch_of_their_kind():
    model = Model()
    sizes = Sizes(8, (1, 2, 8), {1: 0.002, 2: 0.002, 8: 0.008})

    async def test(scheduler):
        held = await hold(scheduler, model)
        model.entered.clear()
        x = np.zeros((1, 2), np.float32)
        tasks = [asyncio.create_task(call(scheduler, model, x)) for _ in range(2)]
        await asyncio.to_thread(model.entered.wait, 30)
        model.gate.set()
        await asyncio.gather(held, *tasks)

    serve(test, Parameters(sizes, threads=2, partial=1))
    assert model.sizes == [1, 2]


def test_a_full_batch_and_other_models_do_not_wait():
    model, other = Model(), Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        model.entered.clear()
        full = asyncio.create_task(call(scheduler, model, np.zeros((4, 2), np.float32)))
        await asyncio.to_thread(model.entered.wait, 30)
        model.gate.set()
        await asyncio.gather(held, full)
        held = await hold(scheduler, model)
        await call(scheduler, other, np.zeros((1, 2), np.float32))
        model.gate.set()
        await held

    serve(test, Parameters(steps(4), threads=2, partial=1, inline=0.0))
    assert (model.sizes, other.sizes) == ([1, 4, 1], [1])


def test_a_full_queue_refuses():
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        x = np.zeros((2, 2), np.float32)
        waiting = [asyncio.create_task(call(scheduler, model, x)) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="queue to which this task was submitted is full") as e:
            await call(scheduler, model, x)
        assert (e.value.code, e.value.http_status) == (Code.UNAVAILABLE, 429)
        model.gate.set()
        await asyncio.gather(held, *waiting)
        await call(scheduler, model, x)

    serve(test, Parameters(steps(4), max_enqueued_batches=2, threads=1))


def test_an_expired_call_is_answered_and_not_executed_and_makes_room():
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        x = np.zeros((2, 2), np.float32)
        soon = asyncio.get_running_loop().time() + 0.01
        late = [asyncio.create_task(call(scheduler, model, x, deadline=soon)) for _ in range(2)]
        await asyncio.sleep(0.02)
        last = asyncio.create_task(call(scheduler, model, x))  # would find the queue full
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(held, last)
        for task in late:
            with pytest.raises(ServingError, match="timeout exceeded") as error:
                await task
            assert error.value.code == Code.DEADLINE_EXCEEDED
        with pytest.raises(ServingError, match="timeout exceeded"):
            await call(scheduler, model, x, deadline=soon)

    serve(test, Parameters(steps(4), max_enqueued_batches=1, threads=1))
    assert model.sizes == [1, 2]


def test_a_call_that_expires_at_the_head_or_inside_of_a_batch_is_left_out():
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        x = np.zeros((1, 2), np.float32)
        soon = asyncio.get_running_loop().time() + 0.01
        deadlines = [soon, None, soon, None]
        tasks = [asyncio.create_task(call(scheduler, model, x, deadline=d)) for d in deadlines]
        await asyncio.sleep(0.02)
        model.gate.set()
        await held
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = serve(test, ONE_THREAD)
    assert [isinstance(result, ServingError) for result in results] == [True, False, True, False]
    assert model.sizes == [1, 2]


def test_a_cancelled_call_leaves_the_queue():
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        x = np.zeros((1, 2), np.float32)
        tasks = [asyncio.create_task(call(scheduler, model, x)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(held, tasks[0], tasks[2])
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]

    serve(test, ONE_THREAD)
    assert model.sizes == [1, 2]


def test_a_wrong_call_fails_alone_and_in_its_own_words():
    model = Model()

    async def test(scheduler):
        calls = [np.full((1, 2), n, np.float32) for n in (0, -1, 1)]
        return await asyncio.gather(
            *(call(scheduler, model, x) for x in calls), return_exceptions=True
        )

    good, wrong, other = serve(test)
    assert str(wrong) == "negative input of shape [1, 2]"
    assert (good["y"].tolist(), other["y"].tolist()) == ([[1, 1]], [[3, 3]])


def test_a_wrong_call_that_is_alone_runs_once():
    model = Model()

    async def test(scheduler):
        with pytest.raises(ValueError, match="negative"):
            await call(scheduler, model, np.full((1, 2), -1, np.float32))

    serve(test)
    assert model.sizes == [1]


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_a_model_whose_outputs_are_no_rows_runs_each_call_by_itself(rows):
    def mean(inputs):
        return {"mean": inputs["x"].mean(keepdims=True)[0]}

    rng = np.random.default_rng(rows)
    calls = [rng.random((rows, 2)) for _ in range(5)]

    async def test(scheduler):
        return [
            await asyncio.gather(*(scheduler.run(mean, "s", mean, {"x": x}) for x in calls))
            for _ in range(2)
        ]

    for results in serve(test, Parameters(steps(4))):
        for x, result in zip(calls, results, strict=True):
            np.testing.assert_allclose(result["mean"], [x.mean()])


@pytest.mark.parametrize("shape", [(), (0, 2)])
def test_inputs_without_rows_run_by_themselves(shape):
    seen = []

    def echo(inputs):
        seen.append(inputs["x"].shape)
        return inputs

    async def test(scheduler):
        x = np.zeros(shape)
        await asyncio.gather(*(scheduler.run(echo, "s", echo, {"x": x}) for _ in range(3)))

    serve(test)
    assert seen == [shape] * 3


def test_a_busy_model_leaves_another_its_share():
    order = []
    gate = threading.Event()

    def model(name):
        def run(inputs):
            assert gate.wait(30)
            order.append(name)
            return inputs

        return run

    busy, quiet = model("busy"), model("quiet")

    async def test(scheduler):
        x = {"x": np.zeros((4, 1))}
        flood = [asyncio.create_task(scheduler.run(busy, "s", busy, x)) for _ in range(40)]
        await asyncio.sleep(0)
        few = [asyncio.create_task(scheduler.run(quiet, "s", quiet, x)) for _ in range(2)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*flood, *few)

    serve(test, Parameters(steps(4), threads=1))
    assert order.count("busy") == 40
    assert order.index("quiet") <= 2
    assert max(n for n, name in enumerate(order) if name == "quiet") < 20


def test_other_shapes_wait_apart_unless_they_are_padded():
    shapes = []

    def double(inputs):
        shapes.append(inputs["x"].shape)
        return {"y": 2 * inputs["x"]}

    calls = [np.arange(n, dtype=np.float32)[None] + 1 for n in (2, 3, 2)]

    async def test(scheduler):
        return await asyncio.gather(*(scheduler.run(double, "s", double, {"x": x}) for x in calls))

    results = serve(test)
    assert [r["y"].tolist() for r in results] == [[[2, 4]], [[2, 4, 6]], [[2, 4]]]
    assert sorted(shapes) == [(1, 3), (2, 2)]
    shapes.clear()
    results = serve(test, Parameters(Sizes(4), pad_variable_length=True))
    assert shapes == [(3, 3)]
    assert results[0]["y"].tolist() == [[2, 4, 2]]  # filled up with the call's first element


def test_strings_are_merged_as_they_are():
    def upper(inputs):
        return {"y": np.array([v.upper() for v in inputs["x"]], object)}

    async def test(scheduler):
        calls = [np.array([b"a"], object), np.array([b"b\0", b"c"], object)]
        return await asyncio.gather(*(scheduler.run(upper, "s", upper, {"x": x}) for x in calls))

    assert [r["y"].tolist() for r in serve(test)] == [[b"A"], [b"B\0", b"C"]]


def test_a_timeout_lets_batches_fill_up():
    model = Model()

    async def test(scheduler):
        x = np.zeros((1, 2), np.float32)
        tasks = []
        for _ in range(4):
            tasks.append(asyncio.create_task(call(scheduler, model, x)))
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)

    serve(test, Parameters(Sizes(4), timeout=50.0))
    assert model.sizes == [4]


def test_a_timeout_ends():
    model = Model()

    async def test(scheduler):
        await call(scheduler, model, np.zeros((1, 2), np.float32))
        await asyncio.gather(
            *(call(scheduler, model, np.zeros((1, 2), np.float32)) for _ in range(2))
        )

    serve(test, Parameters(Sizes(4), timeout=0.01))
    assert model.sizes == [1, 2]


@given(rows=st.integers(1, 300), largest=st.integers(1, 200))
def test_a_size_holds_the_rows_as_far_as_it_may(rows, largest):
    for sizes in (steps(largest), Sizes(largest), only([largest])):
        assert min(rows, largest) <= sizes.up(rows) <= largest
        assert sizes.best(rows) == sizes.up(rows)


def test_sizes_are_finer_where_padding_costs_more():
    fine = (16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128)
    assert steps(128).allowed == (1, 2, 4, 8, *fine)
    assert steps(18).allowed == (1, 2, 4, 8, 16, 18)
    assert steps(1).allowed == (1,)


def test_a_size_that_is_slower_than_a_larger_one_is_not_used():
    sizes = Sizes(64, (16, 32, 64), {16: 0.004, 32: 0.020, 64: 0.010})
    assert [sizes.up(rows) for rows in (16, 17, 32, 33)] == [16, 64, 64, 64]
    # Two executions of 16 take less time than one of 64.
    assert [sizes.best(rows) for rows in (16, 32, 40, 64)] == [16, 16, 64, 64]


@given(
    rows=st.integers(1, 200),
    seconds=st.lists(st.floats(1e-5, 1.0), min_size=8, max_size=8),
)
def test_no_size_gives_clearly_more_rows_a_second_than_the_best(rows, seconds):
    allowed = steps(64).allowed[:8]
    sizes = Sizes(allowed[-1], allowed, dict(zip(allowed, seconds, strict=True)))
    rate = {size: min(size, rows) / (sizes.seconds[size] + 5e-4) for size in allowed}
    assert rate[sizes.best(rows)] * 1.16 > max(rate[s] for s in allowed if s <= sizes.up(rows))


def test_a_batching_file_is_read():
    text = """
      max_batch_size { value: 32 }  batch_timeout_micros { value: 1500 }
      max_enqueued_batches { value: 7 }  num_batch_threads { value: 3 }
      thread_pool_name { value: "any" }  pad_variable_length_inputs: true
      allowed_batch_sizes: 1  allowed_batch_sizes: 8  allowed_batch_sizes: 32
    """
    assert parse(text) == Parameters(
        Sizes(32, (1, 8, 32)), 0.0015, 7, 3, 3, pad_variable_length=True
    )
    assert parse("").sizes == Sizes(1000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 3", "Error parsing text-format tensorflow.serving.BatchingParameters"),
        ("size { value: 3 }", "Error parsing text-format tensorflow.serving.BatchingParameters"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("num_batch_threads { value: -1 }", "num_batch_threads must be positive; was -1"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative"),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 2 allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4",
        ),
        (
            "max_batch_size { value: 2 } allowed_batch_sizes: 4 allowed_batch_sizes: 2",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
    ],
)
def test_a_wrong_batching_file_is_refused(text, message):
    with pytest.raises(ServingError, match=message) as error:
        parse(text)
    assert error.value.code == Code.INVALID_ARGUMENT


def test_a_short_execution_runs_on_the_loop_while_no_thread_is_busy():
    seen = []

    def run(inputs):
        seen.append(threading.current_thread() is threading.main_thread())
        return inputs

    async def test(scheduler):
        x = {"x": np.zeros((1, 2))}
        for _ in range(3):
            await scheduler.run(run, "s", run, x)

    serve(test, Parameters(inline=60.0))
    assert seen == [False, True, True]  # the first one's time isn't known
    seen.clear()
    serve(test, Parameters(inline=0.0))
    assert seen == [False, False, False]


def test_a_call_waits_for_no_thread_that_is_busy_with_another_model():
    model, quick = Model(), Model()

    async def test(scheduler):
        for _ in range(2):
            await call(scheduler, quick, np.zeros((1, 2), np.float32))
        held = await hold(scheduler, model)
        await call(scheduler, quick, np.zeros((1, 2), np.float32))
        assert not held.done()
        model.gate.set()
        await held

    serve(test, Parameters(threads=2, inline=60.0))
