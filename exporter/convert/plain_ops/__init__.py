"""JAX programs in plain TensorFlow ops, for runtimes without XLA: servers, TensorFlow.js."""

from exporter.convert.plain_ops.conversion import to_tensorflow
from exporter.convert.plain_ops.errors import UnsupportedPrimitive
from exporter.convert.plain_ops.registry import rules

__all__ = ["UnsupportedPrimitive", "rules", "to_tensorflow"]
