"""One scheduler for every call: bounded, fair, blocked by no compilation, told in metrics."""

import asyncio
import threading

import numpy as np
import pytest

from server.engines.signatures import ModelSignature, TensorInfo
from server.engines.sizes import Sizes, steps
from server.errors import Code, ServingError
from server.inference.batching import tensors
from server.inference.batching.parameters import Parameters, cores
from server.inference.batching.queue import _MAX_LANES
from server.inference.batching.refusals import Overloaded
from server.inference.batching.scheduler import Scheduler
from server.inference.execution import Execution, fits
from server.inference.predict import EngineCall
from server.telemetry.queues import QueueMetrics


class Model:
    """Gives back its input; notes the shapes that it was run with."""

    name = "m"

    def __init__(self):
        self.shapes = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, inputs):
        self.shapes.append(inputs["x"].shape)
        self.entered.set()
        assert self.gate.wait(30)
        return {"y": inputs["x"]}

    def hold(self):
        self.gate.clear()
        self.entered.clear()


ONE_THREAD = Parameters(steps(4), max_enqueued_batches=2, threads=1)


def serve(test, parameters=ONE_THREAD, metrics=None):
    """Runs `await test(scheduler)` and leaves nothing behind."""

    async def main():
        scheduler = Scheduler(parameters, metrics)
        try:
            return await asyncio.wait_for(test(scheduler), 60)
        finally:
            scheduler.close()

    return asyncio.run(main())


async def call(scheduler, model, shape, signature="s", **options):
    x = {"x": np.zeros(shape, np.float32)}
    return (await scheduler.run(model, signature, model, x, **options))["y"]


def start(*arguments, **options):
    return asyncio.create_task(call(*arguments, **options))


async def hold(scheduler, model, signature="hold"):
    """Occupies a thread; returns the call that does."""
    model.hold()
    task = start(scheduler, model, (1, 2), signature)
    await asyncio.to_thread(model.entered.wait, 30)
    return task


async def refused(*arguments, **options):
    with pytest.raises(ServingError) as caught:
        await call(*arguments, **options)
    return caught.value


def queues(scheduler, model):
    return scheduler._shares[model].queues


@pytest.mark.parametrize("is_mergeable", [True, False])
def test_every_queue_is_bounded_by_rows(is_mergeable):
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        options = {"is_mergeable": is_mergeable}
        waiting = [start(scheduler, model, (2, 2), **options) for _ in range(4)]
        await asyncio.sleep(0)
        error = await refused(scheduler, model, (1, 2), **options)
        assert isinstance(error, Overloaded)
        assert error.message.endswith("is full; 8 rows are waiting")
        other = start(scheduler, model, (1, 2), "other", **options)  # has a queue of its own
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(held, other, *waiting)
        await call(scheduler, model, (1, 2), **options)
        assert [(q.rows, q.calls) for q in queues(scheduler, model).values()] == [(0, 0)] * 3
        assert scheduler._room.load.nbytes == 0

    serve(test)


def test_all_queues_together_are_bounded_by_their_bytes():
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        waiting = [start(scheduler, model, (1, 100), signature) for signature in "ab"]
        await asyncio.sleep(0)
        error = await refused(scheduler, model, (1, 100), "c")
        assert error.message.endswith("is full; 800 bytes are waiting")
        model.gate.set()
        await asyncio.gather(held, *waiting)
        await call(scheduler, model, (1, 10_000))  # alone, anything may come

    serve(test, Parameters(steps(4), threads=1, waiting_bytes=1000))


def test_a_large_call_waits_in_few_parts_and_leaves_room_for_others():
    model = Model()
    parameters = Parameters(steps(4), max_enqueued_batches=40, threads=1)  # 160 rows

    async def test(scheduler):
        held = await hold(scheduler, model)
        large = start(scheduler, model, (1001, 2))
        await asyncio.sleep(0.01)
        queue = queues(scheduler, model)["s"]
        assert (queue.calls, queue.rows) == (16, 64)  # 16 parts of 4 rows
        small = start(scheduler, model, (1, 2))
        model.gate.set()
        assert (await large).shape == (1001, 2)
        await asyncio.gather(held, small)
        assert queue.rows == 0

    serve(test, parameters)
    assert max(model.shapes) == (4, 2)


def test_a_large_call_that_fails_or_is_cancelled_leaves_nothing_behind():
    async def test(scheduler):
        def fails(inputs):
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await scheduler.run(fails, "s", fails, {"x": np.zeros((1000, 2))})
        model = Model()
        held = await hold(scheduler, model)
        large = start(scheduler, model, (1000, 2))
        await asyncio.sleep(0.01)
        large.cancel()
        await asyncio.sleep(0.01)
        model.gate.set()
        await held
        queue = queues(scheduler, model)["s"]
        assert (queue.rows, queue.calls, scheduler._room.load.nbytes) == (0, 0, 0)

    serve(test)


def test_rows_without_content_are_refused_before_anything_is_cut():
    model = Model()

    async def test(scheduler):
        for shape in ((100_000_000, 0), (2**40, 0, 3)):
            error = await refused(scheduler, model, shape)
            assert error.code is Code.INVALID_ARGUMENT
            assert f"has shape {list(shape)}, which holds nothing" in error.message
        assert model.shapes == []
        await call(scheduler, model, (3, 0))  # a batch of them may be: no words, no features
        await call(scheduler, model, (0, 10**9))

    serve(test)
    tensors.check_content({"a": np.zeros((9, 1)), "b": np.zeros((9, 0))}, 4)
    with pytest.raises(ServingError, match='"b" has shape'):
        tensors.check_content({"a": np.zeros((9, 1)), "b": np.zeros((10, 0))}, 4)


def test_signatures_of_a_model_have_equal_shares_of_its_time():
    model, order = Model(), []

    def note(signature):
        def run(inputs):
            order.append(signature)
            return model(inputs)

        return run

    async def test(scheduler):
        held = await hold(scheduler, model)
        x = {"x": np.zeros((4, 2), np.float32)}
        flood = [
            asyncio.create_task(scheduler.run(model, "busy", note("busy"), x)) for _ in range(40)
        ]
        await asyncio.sleep(0)
        few = [
            asyncio.create_task(scheduler.run(model, "quiet", note("quiet"), x)) for _ in range(2)
        ]
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(held, *flood, *few)

    serve(test, Parameters(steps(4), threads=1))
    assert order.count("busy") == 40
    assert max(n for n, name in enumerate(order) if name == "quiet") < 20


def test_layouts_of_a_signature_are_served_in_their_order():
    """A lane that never empties doesn't keep another waiting."""
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        tasks = []
        for width in (2, 3, 2, 3):
            tasks += [start(scheduler, model, (4, width)) for _ in range(2)]
            await asyncio.sleep(0.02)  # the loop's clock is coarse
        model.gate.set()
        await asyncio.gather(held, *tasks)

    serve(test, Parameters(steps(4), threads=1))
    assert [width for _, width in model.shapes] == [2, *[2] * 2, *[3] * 2, *[2] * 2, *[3] * 2]


def test_ever_new_layouts_make_few_lanes():
    model = Model()

    async def test(scheduler):
        for width in range(1, 10 * _MAX_LANES):
            await call(scheduler, model, (1, width))
        queue = queues(scheduler, model)["s"]
        assert len(list(queue)) <= 1 + _MAX_LANES
        held = await hold(scheduler, model)
        many = [start(scheduler, model, (1, width)) for width in range(1, 2 * _MAX_LANES)]
        await asyncio.sleep(0)
        assert len(list(queue)) <= 1 + _MAX_LANES
        model.gate.set()
        await asyncio.gather(held, *many)

    serve(test, Parameters(steps(4), threads=1))


def test_what_a_version_leaves_behind_goes_with_it():
    async def test(scheduler):
        model = Model()
        await call(scheduler, model, (1, 2))
        assert len(scheduler._shares) == 1
        del model
        for _ in range(1000):  # a thread may not have left the last call yet
            if not scheduler._shares:
                return
            await asyncio.sleep(0.01)
        pytest.fail("a version is held by the scheduler")

    serve(test)


def test_shapes_that_do_not_fit_are_run_one_by_one_and_make_no_lanes():
    model = Model()

    async def test(scheduler):
        held = await hold(scheduler, model)
        shapes = [(n,) for n in range(1, 20)]
        calls = [start(scheduler, model, shape, fits=lambda: False) for shape in shapes]
        await asyncio.sleep(0)
        assert len(list(queues(scheduler, model)["s"])) == 1
        model.gate.set()
        await asyncio.gather(held, *calls)
        assert model.shapes[1:] == shapes

    serve(test, Parameters(steps(4), threads=1))


@pytest.mark.parametrize(
    ("declared", "shape", "is_fixed", "expected"),
    [
        ((-1, 3), (5, 3), False, True),
        ((-1, -1), (5, 7), False, True),
        (None, (5, 7), False, True),
        ((-1, 3), (5, 4), False, False),
        ((-1, 1), (1,), False, False),
        ((-1,), (), False, False),
        ((), (), False, False),
        ((2, 3), (2, 3), False, False),
        ((2, 3), (2, 3), True, True),
        ((2, 3), (2, 4), True, False),
    ],
)
def test_only_shapes_of_the_signature_fit(declared, shape, is_fixed, expected):
    signature = ModelSignature("s", {"x": TensorInfo("x:0", 1, declared)}, {}, "")
    assert fits(signature, {"x": np.zeros(shape)}, is_fixed) is expected


class Compiler(Model):
    """Compiles each shape when it is first run, which takes as long as its gate is closed."""

    def __init__(self, order=None):
        super().__init__()
        self.order = [] if order is None else order
        self.compiled = set()
        self.threads = []

    def is_ready(self, shapes):
        return shapes["x"] in self.compiled

    def __call__(self, inputs):
        self.threads.append(threading.current_thread().name.partition("_")[0])
        if inputs["x"].shape not in self.compiled:
            super().__call__(inputs)
            self.order.append(self)
            self.compiled.add(inputs["x"].shape)
        return {"y": inputs["x"]}


@pytest.mark.parametrize("is_mergeable", [True, False])
def test_a_compilation_holds_up_no_other_call(is_mergeable):
    compiler, other = Compiler(), Model()

    async def test(scheduler):
        options = {"is_ready": compiler.is_ready, "is_mergeable": is_mergeable}
        await call(scheduler, compiler, (1, 2), **options)
        compiler.hold()
        slow = start(scheduler, compiler, (1, 3), **options)
        await asyncio.to_thread(compiler.entered.wait, 30)
        assert scheduler.is_busy
        for _ in range(3):  # with one thread
            await call(scheduler, other, (1, 2))
            await call(scheduler, compiler, (1, 2), **options)
        assert not slow.done()
        compiler.gate.set()
        await slow
        await call(scheduler, compiler, (1, 3), **options)

    serve(test)
    assert compiler.threads.count("compile") == 2
    assert compiler.threads[-1] == "batch" or is_mergeable


def test_what_waits_to_be_compiled_is_bounded_and_expires_and_goes_in_turn():
    order = []
    flood, other = Compiler(order), Compiler(order)

    async def test(scheduler):
        def ask(model, width, **more):
            return start(
                scheduler, model, (1, width), is_ready=model.is_ready, is_mergeable=False, **more
            )

        flood.hold()
        first = ask(flood, 1)
        await asyncio.to_thread(flood.entered.wait, 30)
        soon = asyncio.get_running_loop().time() + 0.02
        late = ask(flood, 2, deadline=soon)
        left = ask(flood, 3)
        more = [ask(flood, 4 + n) for n in range(6)]
        await asyncio.sleep(0.05)
        error = await refused(
            scheduler, flood, (1, 99), is_ready=flood.is_ready, is_mergeable=False
        )
        assert isinstance(error, Overloaded)
        left.cancel()
        quick = ask(other, 1)
        await asyncio.sleep(0.01)
        flood.gate.set()
        await quick
        with pytest.raises(ServingError, match="timeout exceeded"):
            await late
        await asyncio.gather(first, *more)
        queue = queues(scheduler, flood)["s"]
        assert (queue.rows, queue.calls, queue.alone.running) == (0, 0, 0)

    serve(test)
    assert {(1, 2), (1, 3)}.isdisjoint(flood.shapes)
    assert order.index(other) <= 2


def test_a_call_is_refused_early_where_its_deadline_cannot_be_met():
    metrics = QueueMetrics()
    model = Model()

    async def test(scheduler):
        lane = None
        for _ in range(20):
            await call(scheduler, model, (4, 2))
        lane = next(lane for lane in queues(scheduler, model)["s"] if lane.is_mergeable)
        lane._seconds, lane._longest = dict.fromkeys(lane._seconds, 10.0), 10.0
        now = asyncio.get_running_loop().time()
        await call(scheduler, model, (4, 2), deadline=now + 5)  # nobody waits: the time is learned
        held = await hold(scheduler, model, "s")
        waiting = [start(scheduler, model, (4, 2)) for _ in range(2)]
        await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        error = await refused(scheduler, model, (4, 2), deadline=now + 5)
        assert error.code is Code.DEADLINE_EXCEEDED
        assert "this one's deadline is in 5 s; it was not executed" in error.message
        patient = start(scheduler, model, (4, 2), deadline=now + 1000)
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(held, patient, *waiting)

    serve(test, Parameters(Sizes(4, (4,)), threads=1), metrics)
    lines = [line for metric in metrics.all for line in metric.lines()]
    assert 'model_queue_refusals_total{model="m",signature="s",reason="hopeless"} 1' in lines


def test_no_call_is_refused_before_times_are_well_known():
    model = Model()

    async def test(scheduler):
        for _ in range(3):
            await call(scheduler, model, (4, 2))
        (lane,) = [lane for lane in queues(scheduler, model)["s"] if lane.is_mergeable]
        lane._seconds, lane._longest = dict.fromkeys(lane._seconds, 1e9), 1e9
        held = await hold(scheduler, model, "s")
        waiting = [start(scheduler, model, (1, 2), deadline=2**40) for _ in range(3)]
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(held, *waiting)

    serve(test)


def test_queues_are_told_by_model_and_signature():
    metrics = QueueMetrics()
    model = Model()

    def lines():
        return [line for metric in metrics.all for line in metric.lines()]

    async def test(scheduler):
        held = await hold(scheduler, model)
        soon = asyncio.get_running_loop().time() + 0.02
        tasks = [start(scheduler, model, (n, 2)) for n in (1, 2)]
        late = start(scheduler, model, (1, 2), deadline=soon)
        await asyncio.sleep(0.05)
        found = lines()
        assert 'model_queue_rows{model="m",signature="s"} 4' in found
        assert 'model_queue_calls{model="m",signature="s"} 3' in found
        tasks += [start(scheduler, model, (5, 2)), start(scheduler, model, (1, 2))]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await tasks.pop()
        model.gate.set()
        await asyncio.gather(held, late, *tasks, return_exceptions=True)

    serve(test, metrics=metrics)
    found = lines()
    assert 'model_queue_rows{model="m",signature="s"} 0' in found
    assert 'model_queue_refusals_total{model="m",signature="s",reason="expired"} 1' in found
    assert 'model_queue_refusals_total{model="m",signature="s",reason="full"} 1' in found
    assert 'model_batch_rows_count{model="m",signature="hold"} 1' in found
    waited = next(x for x in found if x.startswith('model_queue_seconds_count{model="m",s'))
    assert waited.endswith(" 1")


def test_without_batching_calls_are_not_merged_and_wait_in_a_queue_of_their_own():
    class Engine:
        compiles_sizes = False

        def __init__(self, model):
            self.model = model

        def batch_sizes(self, signature):
            return None

        def is_ready(self, signature, shapes):
            return True

        def run(self, signature, inputs, outputs):
            return self.model(inputs)

    class Servable:
        name = "m"

        def __init__(self, model):
            self.engine, self.batches = Engine(model), {"s": steps(4)}
            tensor = TensorInfo("x:0", 1, (-1, 2))
            self.signatures = {"s": ModelSignature("s", {"x": tensor}, {"y": tensor}, "")}

    model = Model()

    async def main():
        execution = Execution(ONE_THREAD, merges_proven=False)
        servable = Servable(model)
        model.hold()
        x = {"x": np.zeros((2, 2), np.float32)}
        tasks = [
            asyncio.ensure_future(execution(servable, EngineCall("s", x, ("y",)))) for _ in range(5)
        ]
        await asyncio.to_thread(model.entered.wait, 30)
        with pytest.raises(Overloaded):
            await execution(servable, EngineCall("s", x, ("y",)))
        model.gate.set()
        await asyncio.gather(*tasks)
        execution.close()

    asyncio.run(main())
    assert model.shapes == [(2, 2)] * 5


def test_there_are_as_many_threads_as_cores():
    assert Parameters().threads == max(cores(), 2)
