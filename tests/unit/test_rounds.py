"""Work that is read on the event loop takes no more of a round than its share."""

from __future__ import annotations

import asyncio

from server.inference.rounds import Rounds

BYTES = 100


async def take(rounds: Rounds, size: int) -> None:
    if not rounds.take(size):
        await rounds.wait(size)


async def rounds_of(sizes: list[int]) -> list[int]:
    """Returns in which round of the loop each of some works goes on, the first in 0."""
    rounds, now, found = Rounds(BYTES), 0, [-1] * len(sizes)

    async def work(index: int, size: int) -> None:
        await take(rounds, size)
        found[index] = now

    tasks = [asyncio.ensure_future(work(index, size)) for index, size in enumerate(sizes)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        now += 1
    return found


def test_what_fits_goes_on_in_one_round() -> None:
    assert len(set(asyncio.run(rounds_of([40, 60])))) == 1


def test_what_does_not_fit_waits_first_come_first_served() -> None:
    found = asyncio.run(rounds_of([60, 60, 10, 90, 10]))
    assert found == sorted(found)
    assert found[0] < found[1] == found[2] < found[3] == found[4]


def test_what_is_larger_than_a_round_has_one_of_its_own() -> None:
    first, large, last = asyncio.run(rounds_of([1, 1000, 1]))
    assert first < large < last


def test_who_is_gone_keeps_nobody_waiting() -> None:
    async def main() -> None:
        rounds = Rounds(BYTES)
        assert rounds.take(BYTES)
        gone = asyncio.ensure_future(take(rounds, BYTES))
        next_one = asyncio.ensure_future(take(rounds, BYTES))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(next_one, 5)

    asyncio.run(main())


def test_a_round_ends_where_nobody_waits() -> None:
    async def main() -> None:
        rounds = Rounds(BYTES)
        for _ in range(3):
            assert rounds.take(BYTES)
            assert not rounds.take(1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    asyncio.run(main())
