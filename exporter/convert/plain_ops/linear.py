"""Products of matrices, and the triangular ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from exporter.convert.plain_ops.errors import UnsupportedForm
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
    product = tf.matmul(
        tf.cast(left, site.dtype),
        tf.cast(right, site.dtype),
        transpose_a=left_swapped,
        transpose_b=right_swapped,
    )
    if len(left_free) == len(right_free) == 1:
        return product
    return site.reshape(product, site.outputs[0].shape)


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


def cholesky(site: Site, x: Value) -> Value:
    """The lower factor; JAX's primitive reads the lower triangle only, as TensorFlow does."""
    return tf.linalg.cholesky(x)


def triangular_solve(site: Site, a: Value, b: Value) -> Value:
    """Solves a x = b, or x a = b by way of the transposed."""
    params = site.params
    if params["unit_diagonal"]:
        a = tf.linalg.set_diag(a, tf.ones_like(tf.linalg.diag_part(a)))
    adjoint = bool(params["transpose_a"])
    if adjoint and site.dtype.is_complex and not params["conjugate_a"]:
        a = tf.math.conj(a)
    if params["left_side"]:
        return tf.linalg.triangular_solve(a, b, lower=params["lower"], adjoint=adjoint)
    if site.dtype.is_complex:
        raise UnsupportedForm("from the right with complex numbers")
    solved = tf.linalg.triangular_solve(
        a, tf.linalg.matrix_transpose(b), lower=params["lower"], adjoint=not adjoint
    )
    return tf.linalg.matrix_transpose(solved)


RULES = {
    "cholesky": Rule(cholesky),
    "dot_general": Rule(dot_general),
    "triangular_solve": Rule(triangular_solve),
}
