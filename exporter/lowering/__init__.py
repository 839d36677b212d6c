"""JAX programs in plain TensorFlow ops, for runtimes without XLA: servers, TensorFlow.js."""

from exporter.lowering.errors import UnsupportedPrimitive
from exporter.lowering.function import LoweredFunction, trace
from exporter.lowering.module import LoweredModule, lower
from exporter.lowering.registry import rules
from exporter.lowering.saving import save_lowered

__all__ = [
    "LoweredFunction",
    "LoweredModule",
    "UnsupportedPrimitive",
    "lower",
    "rules",
    "save_lowered",
    "trace",
]
