"""Broadcasts that wait: a value may be smaller than its shape until an op needs it in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.dimensions import is_static
from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy


def actual_shape(x: Value, shape: Sequence[Any]) -> list[Any]:
    """Returns the shape that a value has, where `shape` is the one that it stands for.

    Both agree but for axes of size 1 and missing leading ones.
    """
    standing_for = list(shape)[len(shape) - len(x.shape) :]
    return [1 if own == 1 else size for own, size in zip(x.shape, standing_for, strict=True)]


def materialize(site: Site, x: Value, shape: Sequence[Any]) -> Value:
    """Returns a value in full."""
    own = actual_shape(x, shape)
    if own == list(shape):
        return x
    if isinstance(x, np.ndarray) and all(map(is_static, shape)):
        return np.broadcast_to(x, tuple(shape))
    if _strip(own) == _strip(shape):
        return site.reshape(x, shape)
    return tf.broadcast_to(x, site.sizes(shape))


def broadcast_in_dim(site: Site, x: Value, *_: Value) -> Value:
    """Only reshapes, and not even that where the axes already stand at the end."""
    shape = site.outputs[0].shape
    own = actual_shape(x, site.inputs[0].shape)
    own = [1] * (len(site.inputs[0].shape) - len(own)) + own
    target: list[Any] = [1] * len(shape)
    for axis, size in zip(site.params["broadcast_dimensions"], own, strict=True):
        target[axis] = size
    return _reshape_lazily(site, x, _strip(target))


def reshape(site: Site, x: Value, *_: Value) -> Value:
    """Reshapes; adding leading axes of size 1 changes nothing, broadcasting adds them."""
    before, after = site.inputs[0].shape, site.outputs[0].shape
    if _strip(before) == _strip(after) and len(x.shape) <= len(after):
        return x
    return _reshape_lazily(site, materialize(site, x, before), after)


def _reshape_lazily(site: Site, x: Value, shape: Sequence[Any]) -> Value:
    if len(x.shape) == len(shape) and all(
        own == size or (own is None and not is_static(size))
        for own, size in zip(x.shape, shape, strict=True)
    ):
        return x
    if isinstance(x, np.ndarray) and all(map(is_static, shape)):
        return x.reshape(tuple(shape))
    return site.reshape(x, shape)


def _strip(shape: Sequence[Any]) -> list[Any]:
    """Drops leading axes of size 1."""
    first = next((axis for axis, size in enumerate(shape) if not _is_one(size)), len(shape))
    return list(shape)[first:]


def _is_one(size: Any) -> bool:
    return is_static(size) and int(size) == 1


RULES = {"broadcast_in_dim": lazy(broadcast_in_dim), "reshape": lazy(reshape)}

__all__ = ["RULES", "Rule", "actual_shape", "materialize"]
