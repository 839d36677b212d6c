"""Counters and histograms, and Prometheus's text format.

The official names begin with a colon and their counters don't end in `_total`, which the usual
client library doesn't write; what is needed of it fits here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float]]


class Counter:
    """A number that grows, by label values."""

    def __init__(self, name: str, text: str, labels: Labels) -> None:
        self._name, self._text, self._labels = name, text, labels
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Adds to the number of these label values."""
        self.values[labels] = self.values.get(labels, 0) + amount

    def lines(self) -> Iterable[str]:
        """Renders the counter."""
        yield from _head(self._name, self._text, "counter")
        for values, number in sorted(self.values.items()):
            yield f"{self._name}{_braces(self._labels, values)} {number:.17g}"


class Gauge:
    """Numbers that are looked up when they are asked for."""

    def __init__(self, name: str, text: str, labels: Labels, read: Callable[[], Samples]) -> None:
        self._name, self._text, self._labels, self._read = name, text, labels, read

    def lines(self) -> Iterable[str]:
        """Renders the gauge."""
        yield from _head(self._name, self._text, "gauge")
        for values, number in self._read():
            yield f"{self._name}{_braces(self._labels, values)} {number:.17g}"


class Histogram:
    """A distribution, by label values."""

    def __init__(self, name: str, text: str, labels: Labels, bounds: Sequence[float]) -> None:
        self._name, self._text, self._labels, self._bounds = name, text, labels, bounds
        self.values: dict[Labels, tuple[list[int], list[float]]] = {}

    def add(self, labels: Labels, number: float) -> None:
        """Adds a number to the distribution of these label values."""
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = ([0] * (len(self._bounds) + 1), [0.0])
        found[0][bisect_left(self._bounds, number)] += 1
        found[1][0] += number

    def lines(self) -> Iterable[str]:
        """Renders the histogram."""
        yield from _head(self._name, self._text, "histogram")
        for values, (counts, (total,)) in sorted(self.values.items()):
            count = 0
            for bound, more in zip((*self._bounds, float("inf")), counts, strict=True):
                count += more
                le = "+Inf" if bound == float("inf") else f"{bound:.6g}"
                braces = _braces((*self._labels, "le"), (*values, le))
                yield f"{self._name}_bucket{braces} {count}"
            braces = _braces(self._labels, values)
            yield f"{self._name}_sum{braces} {total:.17g}"
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
