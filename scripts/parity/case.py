"""The models of the run: what each is, and where it is built."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# One file a family below `models/`.
FAMILIES = (
    "flax_linen",
    "flax_nnx",
    "haiku",
    "equinox",
    "hugging_face",
    "keras",
    "sequences",
    "science",
    "probability",
    "numbers",
    "pictures",
    "programs",
    "structures",
    "wide",
)
_PACKAGE = "scripts.parity.models"


@dataclass(frozen=True)
class Case:
    """One model of the run.

    Attributes:
        name: Its name, which is also its function's.
        family: The file that has the function.
        title: What it is, in a few words.
        build: The function: no arguments, gives `(func, params, inputs)` or an `exporter.Model`.
        ranges: The least and the largest number of an input, by its name; any where it isn't here.
        edges: Whether NaN, infinities and the ends of dtypes are tried besides.
        environment: What the process needs to have in its environment.
    """

    name: str
    family: str
    title: str
    build: Callable[[], Any]
    ranges: Mapping[str, tuple[int, int]]
    edges: bool
    environment: Mapping[str, str]

    @property
    def target(self) -> str:
        """The function as the command line takes it."""
        return f"{_PACKAGE}.{self.family}:{self.name}"


_CASES: dict[str, Case] = {}


def case(
    *,
    ranges: Mapping[str, tuple[int, int]] | None = None,
    edges: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Makes a function one of the run's models, its docstring the title; see `Case`."""

    def register(build: Callable[[], Any]) -> Callable[[], Any]:
        family = build.__module__.rpartition(".")[2]
        name, title = build.__name__, str(build.__doc__).rstrip(".")
        # Each command builds the model anew; the random parameters are drawn once.
        once = functools.cache(build)
        _CASES[name] = Case(name, family, title, once, ranges or {}, edges, environment or {})
        return once

    return register


def cases() -> dict[str, Case]:
    """Returns all models by name, in the order of the families; none of them is built."""
    for family in FAMILIES:
        importlib.import_module(f"{_PACKAGE}.{family}")
    return dict(_CASES)
