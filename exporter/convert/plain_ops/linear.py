"""Products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from exporter.convert.plain_ops.rule import Rule, Site, Value


def dot_general(site: Site, lhs: Value, rhs: Value) -> Value:
    """A MatMul; with axes that both share as a batch, a BatchMatMul."""
    (lhs_contracting, rhs_contracting), (lhs_batch, rhs_batch) = site.params["dimension_numbers"]
    left, left_free, left_swapped = _as_matrix(
        site, lhs, site.inputs[0].shape, lhs_batch, lhs_contracting, rows_first=True
    )
    right, right_free, right_swapped = _as_matrix(
        site, rhs, site.inputs[1].shape, rhs_batch, rhs_contracting, rows_first=False
    )
    product = _matmul(site, left, right, left_swapped, right_swapped)
    if len(left_free) == len(right_free) == 1:
        return product
    return site.reshape(product, site.outputs[0].shape)


def _matmul(site: Site, a: Value, b: Value, a_swapped: bool, b_swapped: bool) -> Value:
    """TensorFlow multiplies int32 and int64 alone of the integers; the others' bits are the same.

    A product of booleans tells whether there is any pair of them.
    """
    dtype = site.dtype
    if dtype.is_floating or dtype.is_complex:
        computed = dtype
    else:
        computed = tf.int64 if dtype.size == 8 else tf.int32
    product = tf.matmul(
        _as(a, computed), _as(b, computed), transpose_a=a_swapped, transpose_b=b_swapped
    )
    return tf.not_equal(product, 0) if dtype == tf.bool else _as(product, dtype)


def _as(x: Value, dtype: tf.DType) -> Value:
    """Casts, integers by their lowest bits."""
    own = tf.as_dtype(x.dtype)
    if own != dtype and own.size == dtype.size and own.is_integer and dtype.is_integer:
        return tf.bitcast(x, dtype)
    return tf.cast(x, dtype)


def _as_matrix(
    site: Site,
    x: Value,
    shape: Sequence[Any],
    batch: Sequence[int],
    contracting: Sequence[int],
    *,
    rows_first: bool,
) -> tuple[Value, list[int], bool]:
    """Brings an operand to [batch…, free, contracting], or the last two the other way round.

    Returns:
        The operand, its free axes, and whether the last two axes stand swapped: for the left
        operand (`rows_first`) the free one belongs first, for the right one last.
    """
    free = [axis for axis in range(len(shape)) if axis not in (*batch, *contracting)]
    free_last = [*batch, *contracting, *free]
    free_first = [*batch, *free, *contracting]
    natural, swapped = (free_first, free_last) if rows_first else (free_last, free_first)
    is_swapped = swapped == sorted(swapped) and natural != sorted(natural)
    order = swapped if is_swapped else natural
    if order != sorted(order):
        x = tf.transpose(x, order)
    if len(free) != 1 or len(contracting) != 1:
        sizes = [math.prod(shape[axis] for axis in axes) for axes in (free, contracting)]
        if rows_first == is_swapped:
            sizes.reverse()
        x = site.reshape(x, [*(shape[axis] for axis in batch), *sizes])
    return x, free, is_swapped


RULES = {"dot_general": Rule(dot_general)}
