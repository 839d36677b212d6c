"""The batch sizes in which a version's program is executed, and how long each takes."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# How much faster another size must be, to be worth rows that wait or are padded.
_CLEARLY = 1.15
# The share of the best rate from which on a batch needn't grow.
_NEARLY = 0.9
# What an execution costs beside its own time: a thread is woken, a batch put together and cut.
_OVERHEAD_S = 0.0005
_FINE_FROM = 16  # from here on, there are four sizes where there is one power of two


@dataclass(frozen=True)
class Sizes:
    """The numbers of rows that an execution may have.

    Attributes:
        largest: At most so many rows.
        allowed: Ascending, the last one equal to `largest`; empty: any up to it.
        seconds: How long an execution of each allowed size takes; empty where that isn't known.
        is_single: An execution is for one row, whatever its size.
    """

    largest: int
    allowed: tuple[int, ...] = ()
    seconds: Mapping[int, float] = field(default_factory=dict, compare=False)
    is_single: bool = False

    def up(self, rows: int) -> int:
        """Returns the size for so many rows: the smallest, unless a larger one is faster.

        Compilers choose other code for other sizes, and one can be a multiple slower than its
        neighbours.
        """
        if not self.allowed:
            return min(rows, self.largest)
        first = min(bisect.bisect_left(self.allowed, rows), len(self.allowed) - 1)
        smallest = self.allowed[first]
        if not self.seconds:
            return smallest
        fastest = min(self.allowed[first:], key=self.seconds.__getitem__)
        is_clear = self.seconds[smallest] > _CLEARLY * self.seconds[fastest]
        return fastest if is_clear else smallest

    def best(self, rows: int) -> int:
        """Returns the size that gives the most rows a second, for so many that wait.

        It may be smaller than their number: the rest then is the next execution's.
        """
        size = self.up(rows)
        if not self.seconds:
            return size

        def rate(size: int) -> float:
            return min(size, rows) / (self.seconds[size] + _OVERHEAD_S)

        fastest = max((s for s in self.allowed if s <= size), key=rate)
        return fastest if rate(fastest) > _CLEARLY * rate(size) else size

    def enough(self) -> int:
        """Returns the rows from which on more of them hardly make an execution more efficient."""
        if not self.seconds:
            return self.largest
        rate = {size: size / seconds for size, seconds in self.seconds.items()}
        best = max(rate.values())
        return min(size for size in self.allowed if rate[size] >= _NEARLY * best)


def steps(largest: int) -> Sizes:
    """Returns 1, 2, 4, 8, 16, 20, 24, 28, 32, 40, … up to and including the largest size."""
    powers = [1 << n for n in range(largest.bit_length())]
    quarters = [power * n // 4 for power in powers if power >= _FINE_FROM for n in (5, 6, 7)]
    below = sorted(size for size in powers + quarters if size < largest)
    return Sizes(largest, (*below, largest))


def only(sizes: Sequence[int]) -> Sizes:
    """Returns exactly these sizes, given in ascending order."""
    return Sizes(sizes[-1], tuple(sizes))
