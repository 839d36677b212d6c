"""Many calls at once: bounded, in order, and what becomes of errors."""

import asyncio
import itertools
import random
import threading
import time

import pytest

from client.errors import ServingError
from client.many import in_order, in_order_async


class Work:
    """A call that takes a moment, counts how many are under way, and fails for some requests."""

    def __init__(self, *failing):
        self.failing = failing
        self.lock = threading.Lock()
        self.under_way = self.most = 0
        self.seen = []

    def _enter(self, request):
        with self.lock:
            self.seen.append(request)
            self.under_way += 1
            self.most = max(self.most, self.under_way)

    def _leave(self, request):
        with self.lock:
            self.under_way -= 1
        if request in self.failing:
            raise ServingError("INTERNAL", f"request {request}")
        return -request

    def __call__(self, request):
        self._enter(request)
        time.sleep(random.random() / 200)
        return self._leave(request)

    async def in_turn(self, request):
        self._enter(request)
        await asyncio.sleep(random.random() / 200)
        return self._leave(request)


def threads(work, requests, in_flight, collect=False, take=None):
    results = in_order(work, requests, in_flight, collect=collect)
    found = []
    try:
        for result in itertools.islice(results, take):
            found.append(result)
    except ServingError as error:
        found.append(error)
    finally:
        results.close()
    return found


def loop(work, requests, in_flight, collect=False, take=None):
    async def run():
        results = in_order_async(work.in_turn, requests, in_flight, collect=collect)
        found = []
        try:
            async for result in results:
                found.append(result)
                if len(found) == take:
                    break
        except ServingError as error:
            found.append(error)
        finally:
            await results.aclose()
        return found

    return asyncio.run(run())


@pytest.fixture(params=[threads, loop])
def many(request):
    return request.param


@pytest.mark.parametrize("in_flight", [1, 3, 16])
def test_results_are_in_order_and_calls_bounded(many, in_flight):
    work = Work()
    assert many(work, range(60), in_flight) == [-n for n in range(60)]
    assert work.most <= in_flight


def test_so_many_calls_are_under_way_at_once():
    together = threading.Barrier(8, timeout=30)
    assert list(in_order(lambda n: together.wait() * 0 + n, range(32), 8, collect=False)) == [
        *range(32)
    ]

    async def run():
        arrived = []
        everyone = asyncio.Event()

        async def call(request):
            arrived.append(request)
            if len(arrived) == 8:
                everyone.set()
            await asyncio.wait_for(everyone.wait(), 30)
            return request

        results = in_order_async(call, range(32), 8, collect=False)
        return [result async for result in results]

    assert asyncio.run(run()) == [*range(32)]


def test_no_requests_no_results(many):
    assert many(Work(), [], 4) == []


def test_the_first_error_is_raised_and_nothing_more_is_sent(many):
    work = Work(5, 7)
    *results, error = many(work, itertools.count(), 4)
    assert results == [0, -1, -2, -3, -4]
    assert error.message == "request 5"
    assert len(work.seen) < 6 + 4 * 4
    assert work.under_way == 0 or many is loop  # those of the loop were cancelled


def test_errors_are_collected_in_their_places(many):
    results = many(Work(0, 2), range(4), 2, collect=True)
    assert [getattr(r, "message", r) for r in results] == ["request 0", -1, "request 2", -3]


def test_requests_are_taken_as_results_are(many):
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield number

    assert many(Work(), endless(), 2, take=10) == [-n for n in range(10)]
    assert len(taken) <= 10 + 4 * 2


def test_a_result_comes_before_the_next_requests_are_made():
    """A slow source of requests keeps no finished result back."""
    made = []

    def slow():
        for number in range(6):
            made.append(number)
            time.sleep(0.05)
            yield number

    seen = [len(made) for _ in in_order(Work(), slow(), 4, collect=False)]
    assert seen[0] < 6


def test_one_slow_call_holds_the_others_up_only_when_they_are_far_ahead():
    first = threading.Event()
    others = threading.Semaphore(0)

    def call(request):
        if request == 0:
            assert first.wait(30)
        else:
            others.release()
        return request

    results = in_order(call, range(100), 2, collect=False)

    def let_go():
        for _ in range(7):  # all that fit ahead of the slow one
            assert others.acquire(timeout=30)
        first.set()

    helper = threading.Thread(target=let_go)
    helper.start()
    assert list(results) == list(range(100))
    helper.join(30)


def test_an_asynchronous_source():
    async def source():
        for number in range(5):
            await asyncio.sleep(0)
            yield number

    assert loop(Work(), source(), 2) == [0, -1, -2, -3, -4]


@pytest.mark.parametrize("many", [threads, loop])
def test_at_least_one_in_flight(many):
    with pytest.raises(ValueError, match="in_flight is 0"):
        many(Work(), [1], 0)


def test_other_exceptions_are_raised_even_when_errors_are_collected(many):
    class Broken(Work):
        def _leave(self, request):
            raise KeyError(request)

    with pytest.raises(KeyError):
        many(Broken(), range(3), 2, collect=True)
