"""The one comparison: what a runtime answers to a case, and JAX's outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from artifact.comparison import describe, difference
from artifact.golden import GoldenCase
from artifact.manifest import Manifest, Tolerance
from exporter.verify.routes import Route

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Found:
    """One output that was compared.

    Attributes:
        output: Its name.
        max_abs_err: The largest difference, of numbers that JAX has an answer for.
        problem: How it isn't JAX's, in words; empty where it agrees.
    """

    output: str
    max_abs_err: float
    problem: str


def rows(
    manifest: Manifest,
    signature: str,
    case_name: str,
    case: GoldenCase,
    route: Route,
    actual: Arrays,
) -> Iterator[dict[str, Any]]:
    """Yields what was found of each output through one way into a version, ready for JSON."""
    for found in compare(actual, case, partial(manifest.tolerance_of, signature)):
        yield {
            "signature": signature,
            "case": case_name,
            "through": route.through,
            "batch_size": route.batch_size,
            **asdict(found),
        }


def compare(
    actual: Arrays, case: GoldenCase, tolerance_of: Callable[[str], Tolerance]
) -> list[Found]:
    """Compares a runtime's outputs with JAX's, all of them and no others.

    Args:
        actual: Arrays by name.
        case: With JAX's outputs.
        tolerance_of: Of an output's name.
    """
    found = []
    for name, expected in case.outputs.items():
        if name not in actual:
            found.append(Found(name, float("inf"), "is missing"))
            continue
        tolerance = tolerance_of(name)
        error, agrees = difference(actual[name], expected, tolerance, case.leeway.get(name))
        problem = "" if agrees else describe(actual[name], expected, tolerance)
        found.append(Found(name, error, problem))
    found += [
        Found(name, float("inf"), "is no output of JAX's") for name in actual.keys() - case.outputs
    ]
    return found
