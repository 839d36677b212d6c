"""JAX programs in plain TensorFlow ops, for runtimes without XLA: servers, TensorFlow.js."""

from exporter.convert.plain_ops.errors import UnsupportedPrimitive
from exporter.convert.plain_ops.function import LoweredFunction, trace
from exporter.convert.plain_ops.module import LoweredModule, lower
from exporter.convert.plain_ops.registry import rules
from exporter.convert.plain_ops.saving import save_lowered

__all__ = [
    "LoweredFunction",
    "LoweredModule",
    "UnsupportedPrimitive",
    "lower",
    "rules",
    "save_lowered",
    "trace",
]
