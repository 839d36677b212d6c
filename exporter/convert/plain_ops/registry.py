"""All rules, by the name of the primitive."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from exporter.convert.plain_ops import (
    broadcasting,
    calls,
    control,
    convolution,
    dynamic_slices,
    elementwise,
    fourier,
    gathers,
    linear,
    logic,
    reductions,
    scatters,
    shapes,
    sorting,
    windows,
)
from exporter.convert.plain_ops.rule import Rule

# In the order of the coverage table.
FAMILIES: tuple[ModuleType, ...] = (
    elementwise,
    logic,
    reductions,
    broadcasting,
    shapes,
    dynamic_slices,
    gathers,
    scatters,
    linear,
    convolution,
    windows,
    sorting,
    fourier,
    control,
    calls,
)


def rules() -> Mapping[str, Rule]:
    """Returns the rule of each supported primitive."""
    return {name: rule for family in FAMILIES for name, rule in family.RULES.items()}
