"""Counters and histograms, and Prometheus's text format.

The official names begin with a colon and their counters don't end in `_total`, which the usual
client library doesn't write; what is needed of it fits here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float]]


class Count:
    """The number of one set of label values."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number: float = 0

    def add(self, amount: float = 1) -> None:
        """Adds to the number."""
        self.number += amount


class Counter:
    """A number that grows, by label values."""

    def __init__(self, name: str, text: str, labels: Labels) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._counts: defaultdict[Labels, Count] = defaultdict(Count)

    def of(self, *values: str) -> Count:
        """Returns the number of these label values, to be kept where it is needed often."""
        return self._counts[values]

    def lines(self) -> Iterable[str]:
        """Renders the counter."""
        yield from _head(self._name, self._text, "counter")
        for values, count in sorted(self._counts.items(), key=lambda item: item[0]):
            yield f"{self._name}{_braces(self._labels, values)} {count.number:.17g}"


class Gauge:
    """Numbers that are looked up when they are asked for."""

    def __init__(self, name: str, text: str, labels: Labels, read: Callable[[], Samples]) -> None:
        self._name, self._text, self._labels, self._read = name, text, labels, read

    def lines(self) -> Iterable[str]:
        """Renders the gauge."""
        yield from _head(self._name, self._text, "gauge")
        for values, number in self._read():
            yield f"{self._name}{_braces(self._labels, values)} {number:.17g}"


class Distribution:
    """The numbers of one set of label values, counted between bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, number: float) -> None:
        """Counts a number."""
        self.counts[bisect_left(self.bounds, number)] += 1
        self.total += number

    def add_all(self, numbers: Sequence[float]) -> None:
        """Counts several numbers."""
        for number in numbers:
            self.counts[bisect_left(self.bounds, number)] += 1
        self.total += sum(numbers)


class Histogram:
    """A distribution, by label values."""

    def __init__(self, name: str, text: str, labels: Labels, bounds: Sequence[float]) -> None:
        self._name, self._text, self._labels, self._bounds = name, text, labels, bounds
        self._found: defaultdict[Labels, Distribution] = defaultdict(lambda: Distribution(bounds))

    def of(self, *values: str) -> Distribution:
        """Returns the distribution of these label values, to be kept where it is needed often."""
        return self._found[values]

    def lines(self) -> Iterable[str]:
        """Renders the histogram."""
        yield from _head(self._name, self._text, "histogram")
        for values, found in sorted(self._found.items(), key=lambda item: item[0]):
            count = 0
            for bound, more in zip((*self._bounds, float("inf")), found.counts, strict=True):
                count += more
                le = "+Inf" if bound == float("inf") else f"{bound:.6g}"
                braces = _braces((*self._labels, "le"), (*values, le))
                yield f"{self._name}_bucket{braces} {count}"
            braces = _braces(self._labels, values)
            yield f"{self._name}_sum{braces} {found.total:.17g}"
            yield f"{self._name}_count{braces} {count}"


def exponential(start: float, factor: float, count: int) -> list[float]:
    """Returns bounds as TensorFlow's `Buckets::Exponential` has them."""
    return [start * factor**index for index in range(count)]


def _head(name: str, text: str, kind: str) -> Iterable[str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _braces(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
