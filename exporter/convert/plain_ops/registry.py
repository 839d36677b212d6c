"""All rules, by the name of the primitive."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from exporter.convert.plain_ops import (
    arithmetic,
    broadcasting,
    calls,
    casts,
    collectives,
    control,
    convolution,
    cumulative,
    decompositions,
    definitions,
    dynamic_slices,
    fourier,
    functions,
    gathers,
    linear,
    logic,
    random_keys,
    reductions,
    scatters,
    shapes,
    sorting,
    windows,
)
from exporter.convert.plain_ops.rule import Rule

# In the order of the coverage table.
FAMILIES: tuple[ModuleType, ...] = (
    arithmetic,
    functions,
    casts,
    logic,
    reductions,
    cumulative,
    broadcasting,
    shapes,
    dynamic_slices,
    gathers,
    scatters,
    linear,
    decompositions,
    convolution,
    windows,
    sorting,
    fourier,
    definitions,
    random_keys,
    control,
    calls,
    collectives,
)


def rules() -> Mapping[str, Rule]:
    """Returns the rule of each supported primitive."""
    return {name: rule for family in FAMILIES for name, rule in family.RULES.items()}
