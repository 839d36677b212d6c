"""Decompositions of matrices, and what is solved with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import tensorflow as tf
from jax import lax

from exporter.convert.plain_ops.definitions import run
from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value


def triangular_solve(site: Site, a: Value, b: Value) -> Sequence[Value]:
    """Solves a x = b or x a = b.

    TensorFlow fails the whole call where one matrix is singular; JAX answers with infinities and
    NaNs, which the equations have when they are solved one after the other.
    """
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
    if site.params["unit_diagonal"]:
        return _solve(site, a, b)
    diagonal = tf.linalg.diag_part(a)
    return tf.cond(
        tf.reduce_any(tf.equal(diagonal, tf.zeros((), site.dtype))),
        lambda: run(site, _substitution(site.params), a, b)[0],
        lambda: _solve(site, a, b),
    )


def _solve(site: Site, a: Value, b: Value) -> Value:
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


def _substitution(params: Any) -> Any:
    """Returns a JAX function that solves one equation after the other."""

    def solve(a: Any, b: Any) -> Any:
        lower = params["lower"]
        if params["transpose_a"]:
            a, lower = a.mT, not lower
            if params["conjugate_a"]:
                a = jnp.conj(a)
        if not params["left_side"]:
            a, b, lower = a.mT, b.mT, not lower
        size = a.shape[-1]

        def step(number: Any, x: Any) -> Any:
            row = number if lower else size - 1 - number
            known = lax.dynamic_index_in_dim(a, row, -2, keepdims=True)
            ahead = jnp.arange(size) < row if lower else jnp.arange(size) > row
            pivot = lax.dynamic_index_in_dim(known, row, -1, keepdims=True)
            sums = jnp.where(ahead, known, 0) @ jnp.where(ahead[:, None], x, 0)
            value = (lax.dynamic_index_in_dim(x, row, -2, keepdims=True) - sums) / pivot
            return lax.dynamic_update_index_in_dim(x, value, row, -2)

        x = lax.fori_loop(0, size, step, b)
        return x if params["left_side"] else x.mT

    return solve


def qr(site: Site, x: Value) -> Sequence[Value]:
    """Orthogonal and upper triangular, by Householder's reflections as in LAPACK."""
    if site.params.get("pivoting"):
        raise UnsupportedForm("with pivoting: TensorFlow has none")
    x, mark = _finite(x)
    return mark(tf.linalg.qr(x, full_matrices=bool(site.params["full_matrices"])))


def svd(site: Site, x: Value) -> Sequence[Value]:
    """Singular values, falling, and vectors, whose signs are nobody's to choose."""
    if site.params.get("subset_by_index") is not None:
        raise UnsupportedForm("of a subset: take all and slice")
    x, mark = _finite(x)
    if not site.params["compute_uv"]:
        return mark([tf.linalg.svd(x, compute_uv=False)])
    s, u, v = tf.linalg.svd(x, full_matrices=bool(site.params["full_matrices"]))
    return mark([s, u, tf.linalg.adjoint(v)])


def eigh(site: Site, x: Value) -> Sequence[Value]:
    """Vectors and rising values of a symmetric matrix, of which one triangle is read."""
    if site.params.get("subset_by_index") is not None:
        raise UnsupportedForm("of a subset: take all and slice")
    if not site.params["lower"]:
        x = tf.linalg.adjoint(x)
    x, mark = _finite(x)
    values, vectors = tf.linalg.eigh(x)
    return mark([vectors, tf.cast(values, tf.as_dtype(site.outputs[1].dtype))])


def eig(site: Site, x: Value) -> Sequence[Value]:
    """Values and right vectors of any square matrix; nobody has promised their order."""
    params = site.params
    if params["compute_left_eigenvectors"]:
        raise UnsupportedForm("with left vectors: take the right ones of the transposed matrix")
    x, mark = _finite(x)
    if not params["compute_right_eigenvectors"]:
        return mark([tf.linalg.eigvals(x)])
    values, vectors = tf.linalg.eig(x)
    # LAPACK turns each vector so that its largest component is real; its norm is 1.
    each = tf.linalg.matrix_transpose(vectors)
    largest = tf.argmax(tf.abs(each), -1, output_type=tf.int32)[..., tf.newaxis]
    component = tf.gather(each, largest, axis=-1, batch_dims=len(each.shape) - 1)
    turned = each * tf.math.conj(component) / tf.cast(tf.abs(component), site.dtype)
    return mark([values, tf.linalg.matrix_transpose(turned)])


def _finite(x: Value) -> tuple[Value, Callable[[Sequence[Value]], list[Value]]]:
    """Matrices without infinities and NaN, of which TensorFlow's iterations may never end.

    Returns:
        The matrices, zeros in place of those; and what makes NaN of the results of those, as JAX
        does: a call of TensorFlow's without an end would be a frozen server.
    """
    x = tf.convert_to_tensor(x)
    size = tf.abs(x) if x.dtype.is_complex else x
    is_whole = tf.reduce_all(tf.math.is_finite(size), axis=(-2, -1), keepdims=True)

    def mark(results: Sequence[Value]) -> list[Value]:
        marked = []
        for result in results:
            is_vector = len(result.shape) < len(x.shape)
            holds = tf.squeeze(is_whole, -1) if is_vector else is_whole
            nan = tf.constant(float("nan"), result.dtype.real_dtype)
            marked.append(tf.where(holds, result, tf.cast(nan, result.dtype)))
        return marked

    return tf.where(is_whole, x, tf.zeros_like(x)), mark


RULES = {
    "eig": Rule(eig),
    "eigh": Rule(eigh),
    "qr": Rule(qr),
    "svd": Rule(svd),
    "triangular_solve": Rule(triangular_solve),
}
