"""The order of axes."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from exporter.convert.plain_ops.rule import Value


def reordered(x: Value, order: Sequence[int]) -> Value:
    """Transposes; axes that are in order already cost no op."""
    return x if list(order) == sorted(order) else tf.transpose(x, list(order))
