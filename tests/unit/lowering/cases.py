"""One case or more for each rule: a function, and how its inputs are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax
from jax.experimental import custom_partitioning, layout

FLOATS = ("float32", "float16", "bfloat16")
FLOAT = ("float32",)
INTEGERS = ("int32", "uint8", "int8")
INT = ("int32",)
BOOL = ("bool",)


@dataclass(frozen=True)
class Case:
    """A function of arrays.

    Attributes:
        function: Takes as many arrays as `shapes` has entries.
        shapes: Each array's; `"b"` is a batch dimension left open, `"n"` a size drawn at random.
        dtypes: One is drawn for all arrays; or, for each array, its own.
        low, high: The range of the values.
        rtol: For float32; half precision has its own.
    """

    function: Callable[..., Any]
    shapes: tuple[tuple[int | str, ...], ...] = (("b", "n"),)
    dtypes: tuple[str, ...] = FLOAT
    low: float = -3.0
    high: float = 3.0
    each: tuple[str, ...] | None = None
    rtol: float = 1e-5


def _unary(function: Callable[..., Any], *, dtypes: tuple[str, ...] = FLOAT, **more: Any) -> Case:
    return Case(function, (("b", "n"),), dtypes, **more)


def _binary(function: Callable[..., Any], *, dtypes: tuple[str, ...] = FLOAT, **more: Any) -> Case:
    return Case(function, (("b", "n"), ("b", "n")), dtypes, **more)


_NUMBERS = (*FLOATS, "int32")

ELEMENTWISE = {
    "abs": _unary(lax.abs, dtypes=(*_NUMBERS, "int8")),
    "acos": _unary(lax.acos, low=-0.99, high=0.99),
    "acosh": _unary(lax.acosh, low=1.1),
    "add": _binary(lax.add, dtypes=(*_NUMBERS, "uint8")),
    "add_bias": Case(lambda x, b: x + b, (("b", 3, 4), (4,)), FLOATS),
    "add_column": Case(lambda x, b: x + b, (("b", 3, 4), (3, 1))),
    "add_any": _unary(jax.grad(lambda x: jnp.sum(jnp.sin(x) * x))),
    "asin": _unary(lax.asin, low=-0.99, high=0.99),
    "asinh": _unary(lax.asinh),
    "atan": _unary(lax.atan),
    "atan2": _binary(lax.atan2),
    "atanh": _unary(lax.atanh, low=-0.9, high=0.9),
    "bessel_i0e": _unary(lax.bessel_i0e),
    "bessel_i1e": _unary(lax.bessel_i1e),
    "bitcast_convert_type": _unary(lambda x: lax.bitcast_convert_type(x, jnp.int32)),
    "cbrt": _unary(lax.cbrt),
    "ceil": _unary(lax.ceil, dtypes=FLOATS),
    "clamp": _unary(
        lambda x: lax.clamp(jnp.zeros((), x.dtype), x, jnp.ones((), x.dtype)), dtypes=_NUMBERS
    ),
    "complex": _binary(lambda a, b: jnp.abs(lax.complex(a, b))),
    "conj": _binary(lambda a, b: jnp.real(jnp.conj(lax.complex(a, b)) * lax.complex(b, a))),
    "imag": _binary(lambda a, b: jnp.imag(lax.complex(a, b) * lax.complex(b, a))),
    "convert_element_type": _unary(
        lambda x: (x.astype("int32"), x.astype("float32"), x.astype(bool)),
        dtypes=(*_NUMBERS, "uint8", "bool"),
        low=0,
    ),
    "cos": _unary(lax.cos),
    "cosh": _unary(lax.cosh),
    "digamma": _unary(lax.digamma, low=0.2),
    "div": _binary(lax.div),
    "div_int": _unary(lambda x: (x // 3, lax.div(x, jnp.int32(-2))), dtypes=INT, low=-20, high=20),
    "erf": _unary(lax.erf, dtypes=FLOATS),
    "erf_inv": _unary(lax.erf_inv, low=-0.9, high=0.9),
    "erfc": _unary(lax.erfc),
    "exp": _unary(lax.exp, dtypes=FLOATS),
    "exp2": _unary(lax.exp2),
    "expm1": _unary(lax.expm1),
    "floor": _unary(lax.floor, dtypes=FLOATS),
    "igamma": _binary(lax.igamma, low=0.5, rtol=1e-4),
    "igammac": _binary(lax.igammac, low=0.5, rtol=1e-4),
    "integer_pow": _unary(lambda x: (x**3, x**7, x**-2), low=0.5),
    "lgamma": _unary(lax.lgamma, low=0.2),
    "log": _unary(lax.log, low=0.1),
    "log1p": _unary(lax.log1p, low=-0.9),
    "logistic": _unary(lax.logistic, dtypes=FLOATS),
    "max": _binary(lax.max, dtypes=(*_NUMBERS, "bool")),
    "relu": _unary(jax.nn.relu, dtypes=FLOATS),
    "min": _binary(lax.min, dtypes=(*_NUMBERS, "bool")),
    "mul": _binary(lax.mul, dtypes=_NUMBERS),
    "neg": _unary(lax.neg, dtypes=_NUMBERS),
    "nextafter": _binary(lax.nextafter),
    "polygamma": _unary(lambda x: lax.polygamma(jnp.ones_like(x), x), low=0.5, rtol=1e-4),
    "pow": _binary(lax.pow, low=0.2),
    "real": _binary(lambda a, b: jnp.real(lax.complex(a, b) * lax.complex(a, b))),
    "reduce_precision": _unary(lambda x: lax.reduce_precision(x, 8, 7)),
    "regularized_incomplete_beta": Case(
        lambda a, b, x: lax.betainc(a, b, x / 4), (("b", 3),) * 3, low=0.5, rtol=1e-4
    ),
    "rem": _binary(lax.rem, low=0.5),
    "rem_int": _unary(lambda x: (x % 3, lax.rem(x, jnp.int32(-4))), dtypes=INT, low=-20, high=20),
    "round": _unary(lambda x: (lax.round(2 * x), jnp.round(2 * x)), dtypes=FLOATS),
    "rsqrt": _unary(lax.rsqrt, low=0.1),
    "sign": _unary(lax.sign, dtypes=_NUMBERS),
    "sin": _unary(lax.sin),
    "sinh": _unary(lax.sinh),
    "sqrt": _unary(lax.sqrt, low=0),
    "square": _unary(lax.square, dtypes=_NUMBERS),
    "sub": _binary(lax.sub, dtypes=_NUMBERS),
    "tan": _unary(lax.tan, low=-1.2, high=1.2),
    "tanh": _unary(lax.tanh, dtypes=FLOATS),
    "zeta": _binary(lambda x, q: lax.zeta(x + 2, q), low=0.5, rtol=1e-4),
}

LOGIC = {
    "and": _binary(lax.bitwise_and, dtypes=("bool", *INTEGERS)),
    "or": _binary(lax.bitwise_or, dtypes=("bool", *INTEGERS)),
    "xor": _binary(lax.bitwise_xor, dtypes=("bool", *INTEGERS)),
    "not": _unary(lax.bitwise_not, dtypes=("bool", *INTEGERS)),
    "compare": _binary(
        lambda a, b: (a == b, a != b, a < b, a <= b, a > b, a >= b), dtypes=(*_NUMBERS, "bool")
    ),
    "is_finite": _unary(lambda x: lax.is_finite(1 / jnp.round(x))),
    "select_n": Case(
        lambda x, a, b, c: (jnp.where(x > 0, a, b), lax.select_n(x % 3, a, b, c)),
        (("b", 3),) * 4,
        each=("int32", "float32", "float32", "float32"),
        low=0,
    ),
    "select_scalar": Case(
        lambda a, b: lax.select_n(jnp.sum(a) > 0, a, b), (("b", 3), ("b", 3)), FLOATS
    ),
    "population_count": _unary(lax.population_count, dtypes=("uint8", "int32"), low=0, high=100),
    "clz": _unary(lax.clz, dtypes=("uint8", "int32"), low=0, high=100),
    "shift_left": _unary(
        lambda x: lax.shift_left(x, jnp.full(x.shape, 3, x.dtype)), dtypes=INTEGERS
    ),
    "shift_too_far": _unary(
        lambda x: lax.shift_left(x, jnp.full(x.shape, 40, x.dtype)), dtypes=INTEGERS
    ),
    "shift_right_arithmetic": _unary(
        lambda x: lax.shift_right_arithmetic(x, jnp.full(x.shape, 1, x.dtype)),
        dtypes=INTEGERS,
        high=100,
    ),
    "shift_right_logical": _unary(
        lambda x: lax.shift_right_logical(x, jnp.full(x.shape, 2, x.dtype)),
        dtypes=INTEGERS,
        high=100,
    ),
}

REDUCTIONS = {
    "argmax": Case(
        lambda x: (jnp.argmax(x, 1), jnp.argmax(x)), (("b", "n", 2),), (*_NUMBERS, "bool")
    ),
    "argmin": Case(lambda x: jnp.argmin(x, -1), (("b", "n"),), _NUMBERS),
    "cumlogsumexp": Case(lambda x: lax.cumlogsumexp(x, 1), (("b", "n"),)),
    "cummax": Case(lambda x: lax.cummax(x, 1), (("b", "n"),), _NUMBERS),
    "cummin": Case(lambda x: lax.cummin(x, 1, reverse=True), (("b", "n"),), _NUMBERS),
    "cumprod": Case(lambda x: lax.cumprod(x, 1), (("b", "n"),)),
    "cumsum": Case(
        lambda x: (lax.cumsum(x, 1), lax.cumsum(x, 0, reverse=True)),
        (("b", "n"),),
        ("float32", "int32"),
    ),
    "reduce_and": Case(lambda x: jnp.all(x, 1), dtypes=BOOL),
    "reduce_or": Case(lambda x: jnp.any(x, 0), dtypes=BOOL),
    "reduce_max": Case(lambda x: (jnp.max(x, 1), jnp.max(x)), dtypes=_NUMBERS),
    "reduce_min": Case(lambda x: (jnp.min(x, 1), jnp.min(x)), dtypes=_NUMBERS),
    "reduce_prod": Case(lambda x: jnp.prod(x, 1), dtypes=("float32", "int32")),
    "reduce_sum": Case(lambda x: (x.sum(1), x.sum(0), x.sum()), dtypes=("float32", "int32")),
    "reduce_xor": Case(lambda x: lax.reduce_xor(x, (1,)), dtypes=BOOL),
    "mean": Case(lambda x: (x.mean(0), x.var(1))),
}

SHAPES = {
    "broadcast_in_dim": Case(
        lambda x: (jnp.broadcast_to(x[:, None], (x.shape[0], 2, x.shape[1])), jnp.zeros_like(x)),
        dtypes=(*_NUMBERS, "bool"),
    ),
    "broadcast_scalar": Case(lambda x: jnp.full(x.shape, x.sum()) + jnp.zeros((4, *x.shape))),
    "concatenate": Case(
        lambda a, b: jnp.concatenate([a, b, a], 1), (("b", "n"), ("b", 2)), (*_NUMBERS, "bool")
    ),
    "dim_as_value": Case(lambda x: x * x.shape[0] + 2 * x.shape[0] ** 2 // 3),
    "iota": Case(
        lambda x: x + lax.broadcasted_iota(x.dtype, x.shape, 0) * lax.iota(x.dtype, x.shape[1]),
        dtypes=("float32", "int32"),
    ),
    "pad": Case(
        lambda x: (
            lax.pad(x, jnp.ones((), x.dtype), ((1, 2, 0), (0, 1, 0))),
            lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 2), (3, -1, 1))),
        ),
        (("b", 4),),
        (*_NUMBERS,),
    ),
    "reshape": Case(
        lambda x: (x.reshape(-1), x.reshape(2, -1, 3), x.reshape(1, 1, *x.shape)),
        (("b", 2, 3),),
        (*_NUMBERS, "bool"),
    ),
    "rev": Case(lambda x: (x[::-1], x[:, ::-1]), dtypes=_NUMBERS),
    "slice": Case(
        lambda x: (x[:, 1:], x[:, 1:4:2], x[1:], x[:, -2:]), (("b", 5),), (*_NUMBERS, "bool")
    ),
    "split": Case(lambda x: jnp.split(x, [1, 3], axis=1), (("b", 5),), _NUMBERS),
    "squeeze": Case(lambda x: (x[:, 0], jnp.squeeze(x, 2)), (("b", "n", 1),), _NUMBERS),
    "stack": Case(
        lambda x: (jnp.stack([x, x], 1), jnp.unstack(x, axis=1)), dtypes=(*_NUMBERS, "bool")
    ),
    "tile": Case(lambda x: (jnp.tile(x, (2, 3)), jnp.repeat(x, 2, axis=1)), dtypes=_NUMBERS),
    "transpose": Case(
        lambda x: (x.T, jnp.moveaxis(x, 1, 2)), (("b", "n", 2),), (*_NUMBERS, "bool")
    ),
}


def _at(indices: Any) -> Any:
    return jnp.asarray(indices, jnp.int32)


INDEXING = {
    "gather_constant": Case(
        lambda x: (x[:, _at([0, 2, 2])], x[:, _at([[1], [0]])]), (("b", 3, 2),), (*_NUMBERS, "bool")
    ),
    "gather_rows": Case(
        lambda table, ids: (table[ids], jnp.take(table, ids, axis=0)),
        ((5, 3), ("b", "n")),
        each=("float32", "int32"),
        low=0,
        high=5,
    ),
    "gather_fill": Case(
        lambda x, i: (jnp.take(x, i, axis=1), x.at[i, 0].get(mode="fill", fill_value=7.0)),
        ((4, 3), ("b",)),
        each=("float32", "int32"),
        low=-6,
        high=9,
    ),
    "gather_clip": Case(
        lambda x, i: jnp.take(x, i, axis=1, mode="clip"),
        ((4, 3), ("b",)),
        each=("float32", "int32"),
        low=-6,
        high=9,
    ),
    "gather_batched": Case(
        lambda x, i: jnp.take_along_axis(x, i, axis=1),
        (("b", 4), ("b", 2)),
        each=("float32", "int32"),
        low=0,
        high=4,
    ),
    "gather_two_axes": Case(
        lambda x, i: (x[i, :, i], x[:, i, i]),
        ((4, 4, 4), ("b",)),
        each=("float32", "int32"),
        low=0,
        high=4,
    ),
    "gather_windows": Case(
        lambda x, i: jax.vmap(lambda j: lax.dynamic_slice(x, (j, 0), (2, 3)))(i),
        ((6, 3), ("b",)),
        each=("float32", "int32"),
        low=-2,
        high=8,
    ),
    "scatter": Case(
        lambda x, u: (x.at[:, 1].set(u), x.at[:, _at([0, 2])].set(u[:, None])),
        (("b", 3), ("b",)),
        (*_NUMBERS, "bool"),
    ),
    "scatter_drop": Case(
        lambda x, i: x.at[i].set(-1.0, mode="drop"),
        (("b", 3), (4,)),
        each=("float32", "int32"),
        low=0,
        high=9,
    ),
    "scatter-add": Case(
        lambda x, i: (x.at[i].add(2.0), jnp.zeros((6,)).at[i].add(1.0)),
        ((5, 3), ("b",)),
        each=("float32", "int32"),
        low=-2,
        high=8,
    ),
    "scatter-max": Case(
        lambda x, i: x.at[i].max(1.0), ((5, 3), ("b",)), each=("float32", "int32"), low=-2, high=8
    ),
    "scatter-min": Case(
        lambda x, i: x.at[i].min(1.0), ((5, 3), ("b",)), each=("float32", "int32"), low=-2, high=8
    ),
    "scatter-mul": Case(
        lambda x: x.at[:, _at([0, 2])].multiply(3.0, unique_indices=True), (("b", 4),)
    ),
    "scatter-sub": Case(
        lambda x, i: x.at[i].subtract(2.0),
        ((5, 3), ("b",)),
        each=("float32", "int32"),
        low=0,
        high=5,
    ),
    "scatter_windows": Case(
        lambda x, i: jax.vmap(lambda row, j: lax.dynamic_update_slice(row, jnp.ones(2), (j,)))(
            x, i
        ),
        (("b", 5), ("b",)),
        each=("float32", "int32"),
        low=-2,
        high=8,
    ),
    "segment_sum": Case(
        lambda x, i: jax.ops.segment_sum(x, i, num_segments=4),
        (("b", 3), ("b",)),
        each=("float32", "int32"),
        low=0,
        high=4,
    ),
    "dynamic_slice": Case(
        lambda x, i: (
            lax.dynamic_slice(x, (0, i[0]), (x.shape[0], 2)),
            lax.dynamic_index_in_dim(x, i[1], 1),
        ),
        (("b", 4), (2,)),
        each=("float32", "int32"),
        low=-3,
        high=7,
    ),
    "dynamic_update_slice": Case(
        lambda x, i: (
            lax.dynamic_update_slice(x, jnp.full((1, 2), 9.0), (i[0], i[1])),
            lax.dynamic_update_index_in_dim(x, jnp.full((x.shape[0], 1), 5.0), i[1], 1),
        ),
        (("b", 4), (2,)),
        each=("float32", "int32"),
        low=-3,
        high=7,
    ),
}


def _conv(dimensions: str, **more: Any) -> Callable[..., Any]:
    kernel = {1: "WIO", 2: "HWIO", 3: "DHWIO"}[len(dimensions) - 2]

    def convolve(x: Any, k: Any) -> Any:
        arguments = {"window_strides": (1,) * (len(dimensions) - 2), "padding": "SAME"} | more
        return lax.conv_general_dilated(
            x, k, dimension_numbers=(dimensions, kernel, dimensions), **arguments
        )

    return convolve


LINEAR = {
    "dot_dense": Case(lambda x, w: x @ w, (("b", "n", 3), (3, 4))),
    "dot_transposed": Case(
        lambda x, w: (x @ w.T, lax.dot_general(x, w, (((0,), (1,)), ((), ())))), ((4, 4), ("b", 4))
    ),
    "dot_batched": Case(
        lambda q, k: (
            jnp.einsum("bqhd,bkhd->bhqk", q, k),
            jnp.einsum("bhqk,bkhd->bqhd", jnp.einsum("bqhd,bkhd->bhqk", q, k), k),
        ),
        (("b", 3, 2, 4), ("b", 3, 2, 4)),
    ),
    "dot_vector": Case(lambda x, v: (x @ v, v @ v, jnp.outer(v, v)), (("b", 3), (3,))),
    "dot_several": Case(
        lambda x, w: jnp.einsum("bijk,jkl->bil", x, w), (("b", 2, 3, 4), (3, 4, 5))
    ),
    "dot_integers": Case(lambda x, w: x @ w, (("b", 3), (3, 4)), INT),
    "dot_half": Case(
        lambda x, w: jnp.matmul(x, w, preferred_element_type="float32"), (("b", 3), (3, 4)), FLOATS
    ),
    "cholesky": Case(lambda x: jnp.linalg.cholesky(x @ x.mT + 4 * jnp.eye(3)), (("b", 3, 3),)),
    "triangular_solve": Case(
        lambda x, y: (
            lax.linalg.triangular_solve(
                x @ x.mT + 4 * jnp.eye(3), y, left_side=True, lower=True, unit_diagonal=False
            ),
            lax.linalg.triangular_solve(
                x @ x.mT + 4 * jnp.eye(3), y.mT, lower=True, transpose_a=True
            ),
            lax.linalg.triangular_solve(
                x / 8, y, left_side=True, transpose_a=True, unit_diagonal=True
            ),
        ),
        (("b", 3, 3), ("b", 3, 2)),
        rtol=1e-4,
    ),
    "conv_1d": Case(_conv("NWC", window_strides=(2,)), (("b", 7, 3), (3, 3, 4))),
    "conv_2d_same": Case(_conv("NHWC", window_strides=(2, 1)), (("b", 6, 5, 2), (3, 3, 2, 3))),
    "conv_2d_explicit": Case(
        _conv("NHWC", padding=((2, 1), (0, 3))), (("b", 6, 5, 2), (3, 2, 2, 3))
    ),
    "conv_nchw": Case(lambda x, k: lax.conv(x, k, (1, 1), "VALID"), (("b", 2, 6, 5), (4, 2, 3, 3))),
    "conv_dilated": Case(_conv("NHWC", rhs_dilation=(2, 2)), (("b", 8, 7, 2), (3, 3, 2, 3))),
    "conv_transposed": Case(
        lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME"), (("b", 4, 3, 2), (3, 3, 2, 3))
    ),
    "conv_depthwise": Case(_conv("NHWC", feature_group_count=3), (("b", 5, 5, 3), (3, 3, 1, 6))),
    "conv_grouped": Case(_conv("NHWC", feature_group_count=2), (("b", 5, 5, 4), (3, 3, 2, 6))),
    "conv_3d": Case(_conv("NDHWC"), (("b", 3, 4, 3, 2), (2, 2, 2, 2, 3))),
}


def _pool(dimensions: tuple[int, ...], strides: tuple[int, ...], padding: Any, **more: Any) -> Any:
    def pool(x: Any) -> Any:
        def reduce(start: Any, combine: Any) -> Any:
            return lax.reduce_window(x, start, combine, dimensions, strides, padding, **more)

        low, high = (-np.inf, np.inf) if x.dtype.kind == "f" else (-(2**31), 2**31 - 1)
        start = np.asarray(low, x.dtype), np.asarray(high, x.dtype), np.asarray(0, x.dtype)
        return reduce(start[0], lax.max), reduce(start[1], lax.min), reduce(start[2], lax.add)

    return pool


WINDOWS = {
    "pool_valid": Case(
        _pool((1, 2, 2, 1), (1, 2, 2, 1), "VALID"), (("b", 6, 5, 3),), ("float32", "int32")
    ),
    "pool_same": Case(
        _pool((1, 3, 2, 1), (1, 2, 2, 1), "SAME"), (("b", 6, 5, 3),), ("float32", "int32")
    ),
    "pool_1d": Case(_pool((1, 3, 1), (1, 2, 1), "SAME"), (("b", 7, 3),), ("float32", "int32")),
    "pool_dilated": Case(
        _pool((1, 2, 2, 1), (1, 1, 1, 1), "VALID", window_dilation=(1, 2, 1, 1)), (("b", 6, 5, 2),)
    ),
    "pool_spread": Case(
        _pool((1, 2, 1), (1, 1, 1), "VALID", base_dilation=(1, 2, 1)), (("b", 5, 2),)
    ),
}

SORTING = {
    "sort": Case(
        lambda x: (jnp.sort(x), jnp.sort(x, 0), jnp.sort(x, descending=True)),
        dtypes=("float32", "int32", "uint8", "bool"),
    ),
    "argsort": Case(
        lambda x: (jnp.argsort(x), jnp.argsort(x, descending=True)), dtypes=("float32", "int32")
    ),
    "lexsort": Case(lambda x, y: jnp.lexsort((x, y)), ((5,), (5,)), INT),
    "median": Case(lambda x: jnp.median(x, axis=1)),
    "top_k": Case(
        lambda x: (lax.top_k(x, 2), lax.top_k(x.T, 1)), (("b", 5),), ("float32", "int32")
    ),
    "approx_top_k": Case(lambda x: (lax.approx_max_k(x, 2), lax.approx_min_k(x, 2)), (("b", 5),)),
}

FOURIER = {
    "fft": Case(
        lambda x: (
            jnp.abs(jnp.fft.fft(x)),
            jnp.abs(jnp.fft.ifft(x)),
            jnp.abs(jnp.fft.rfft2(x)),
            jnp.fft.irfft(jnp.fft.rfft(x), 6),
            jnp.real(jnp.fft.fft2(x)),
        ),
        (("b", 4, 6),),
        rtol=1e-4,
    )
}

CONTROL = {
    "cond": Case(
        lambda x: (
            lax.cond(x.sum() > 0, jnp.sin, lambda v: v, x),
            lax.switch(x.shape[0] + jnp.int32(x.sum()), [jnp.sin, jnp.cos, jnp.tanh], x),
        )
    ),
    "while": Case(
        lambda x: lax.while_loop(
            lambda s: s[0].sum() < 50, lambda s: (s[0] + jnp.abs(x) + 1, s[1] + 1), (x, 0)
        )
    ),
    "fori": Case(lambda x: lax.fori_loop(0, 3, lambda i, s: s * 0.5 + i * x, x)),
    "scan": Case(
        lambda x: lax.scan(lambda c, y: (jnp.tanh(c + y), {"y": c * y}), jnp.zeros(x.shape[0]), x.T)
    ),
    "scan_reversed": Case(
        lambda x: lax.scan(lambda c, y: (c + y, c), jnp.zeros(x.shape[1]), x, reverse=True)
    ),
    "scan_unrolled": Case(
        lambda x: lax.scan(
            lambda c, y: (c + y, c), jnp.zeros(x.shape[0]), x.T, reverse=True, unroll=True
        )
    ),
    "map": Case(lambda x: lax.map(jnp.sort, x)),
}

CALLS = {
    "jit": Case(lambda x: jax.jit(lambda v: v * 2)(x)),
    "checkpoint": Case(lambda x: jax.checkpoint(jnp.sin)(x)),
    "custom_jvp_call": Case(jax.nn.silu),
    "custom_vjp_call": Case(lambda x: _custom_vjp(x)),
    "custom_vmap_call": Case(lambda x: _custom_vmap(x)),
    "sharding_constraint": Case(
        lambda x: lax.with_sharding_constraint(
            x, jax.sharding.SingleDeviceSharding(jax.devices()[0])
        )
    ),
    "handed_on": Case(
        lambda x: lax.optimization_barrier(jax.device_put(jnp.copy(lax.stop_gradient(x)))),
        dtypes=_NUMBERS,
    ),
    "name": Case(lambda x: _named(x)),
    "platform_index": Case(lambda x: lax.platform_dependent(x, cpu=jnp.sin, default=jnp.cos)),
    "constants": Case(lambda x: x + jax.random.normal(jax.random.key(0), (1, 3)), (("b", 3),)),
    "resize": Case(
        lambda x: (
            jax.image.resize(x, (x.shape[0], 6, 3, 1), "linear"),
            jax.image.resize(x, (x.shape[0], 2, 5, 1), "cubic"),
            jax.image.resize(x, (x.shape[0], 6, 3, 1), "nearest"),
        ),
        (("b", 4, 4, 1),),
    ),
    "attention": Case(
        lambda q: jax.nn.dot_product_attention(q, q, q, is_causal=True), (("b", 4, 2, 3),)
    ),
    "activations": Case(
        lambda x: (
            jax.nn.gelu(x),
            jax.nn.gelu(x, approximate=False),
            jax.nn.elu(x),
            jax.nn.softplus(x),
            jax.nn.log_softmax(x),
            jax.nn.hard_swish(x),
            jax.nn.one_hot(jnp.argmax(x, 1), 4),
        )
    ),
}


_MESH = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("i",))
_EXPLICIT = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Explicit,))
_P = jax.sharding.PartitionSpec


def _collect(x: Any) -> Any:
    return (
        lax.psum(x, "i") + lax.axis_index("i"),
        lax.pmax(x, "i"),
        lax.pmin(x, "i"),
        lax.all_gather(x, "i"),
        lax.all_gather(x, "i", tiled=True),
        lax.all_to_all(x, "i", 1, 1, tiled=True),
        lax.psum_scatter(x, "i", scatter_dimension=1, tiled=True),
        lax.ppermute(x, "i", [(0, 0)]),
        lax.ppermute(x, "i", []),
    )


def _sharded(function: Any, *, check: bool = False) -> Any:
    return jax.shard_map(function, mesh=_MESH, in_specs=_P(), out_specs=_P(), check_vma=check)


def _inspected(x: Any) -> Any:
    jax.debug.inspect_array_sharding(x, callback=lambda sharding: None)
    return x


@custom_partitioning.custom_partitioning
def _partitioned(x: Any) -> Any:
    return jnp.sin(x)


_partitioned.def_partition(
    partition=lambda mesh, args, result: (mesh, jnp.sin, result.sharding, (args[0].sharding,)),
    sharding_rule="i j -> i j",
)


def _unvmapped(x: Any) -> Any:
    largest = eqx.internal.unvmap_max(jnp.int32(3 * x))
    return eqx.internal.unvmap_any(x > 0), eqx.internal.unvmap_all(x > 0), largest


def _looped(kind: str, **more: Any) -> Any:
    def run(x: Any) -> Any:
        return eqx.internal.while_loop(
            lambda s: s < 10, lambda s: 2 * s + 1, jnp.abs(x), kind=kind, **more
        )

    return lambda x: jax.vmap(run)(x)


SHARDING = {
    "shard_map": Case(_sharded(_collect)),
    "shard_map_checked": Case(_sharded(lambda x: lax.psum(x, "i"), check=True)),
    "custom_partitioning": Case(lambda x: _partitioned(x)),
    "layout_constraint": Case(lambda x: layout.with_layout_constraint(x, layout.Layout((1, 0)))),
    "reshard": Case(
        lambda x: jax.sharding.reshard(x, jax.NamedSharding(_EXPLICIT, _P("i"))), ((4, 3),)
    ),
}

PACKAGES = {
    "inspected": Case(_inspected),
    "composite": Case(lambda x: lax.composite(jnp.sin, name="my.sin")(x)),
    "unvmapped": Case(lambda x: jax.vmap(_unvmapped)(x)),
    "equinox_loop": Case(_looped("lax"), (("b",),)),
    "equinox_bounded_loop": Case(_looped("bounded", max_steps=16), (("b",),)),
    "equinox_marks": Case(
        lambda x: eqx.internal.nontraceable(
            eqx.internal.nonbatchable(eqx.internal.nondifferentiable_backward(x))
        )
    ),
    "equinox_choice": Case(
        lambda x: eqx.internal.select_if_vmap_p.bind(x[0, 0] == x[0, 0], x, x + 1)
    ),
    "searchsorted": Case(
        lambda x, v: (
            jnp.searchsorted(x[0], v),
            jnp.searchsorted(x[0], v, side="right", method="compare_all"),
            jnp.digitize(v, jnp.arange(3.0)),
            jnp.interp(v, jnp.arange(4.0), jnp.arange(4.0) ** 2),
            jnp.histogram(v, bins=4)[0],
        ),
        ((2, 5), ("b", "n")),
    ),
    "vmapped_loops": Case(
        lambda x: (
            jax.vmap(lambda v: lax.fori_loop(0, jnp.int32(3 * v), lambda i, s: s + i, v))(x),
            jax.vmap(lambda v: lax.cond(v > 0, jnp.sin, jnp.cos, v))(x),
        ),
        (("b",),),
    ),
    "random": Case(
        lambda numbers, x: (
            jax.random.uniform(numbers, x.shape),
            jax.random.categorical(jax.random.wrap_key_data(numbers), x),
            jax.random.bernoulli(jax.random.fold_in(jax.random.key(numbers[0]), 1), 0.3, x.shape),
            jax.random.permutation(jax.random.split(numbers)[1], 5),
        ),
        ((2,), ("b", "n")),
        each=("uint32", "float32"),
        high=100,
    ),
    "gradient_of_convolution": Case(
        lambda x, k: jax.grad(lambda k: (_conv("NHWC")(x, k) ** 2).sum())(k),
        (("b", 4, 5, 2), (3, 3, 2, 3)),
        rtol=1e-4,
    ),
    "gradient_of_depthwise_convolution": Case(
        lambda x, k: jax.grad(lambda k: (_conv("NHWC", feature_group_count=2)(x, k) ** 2).sum())(k),
        ((3, 4, 5, 2), (3, 3, 1, 4)),
        rtol=1e-4,
    ),
    "conv_complex": Case(
        lambda x, k: jnp.abs(_conv("NHWC")(x + 2j * x * x, k * (1 - 1j))),
        (("b", 4, 5, 2), (3, 3, 2, 3)),
    ),
    "conv_of_no_dimension": Case(
        lambda x, k: lax.conv_general_dilated(
            x, k, (), "VALID", dimension_numbers=lax.ConvDimensionNumbers((0, 1), (1, 0), (0, 1))
        ),
        (("b", 3), (3, 4)),
    ),
    "eig": Case(lambda x: jnp.sort(jnp.abs(jnp.linalg.eigvals(x))), (("b", 3, 3),), rtol=1e-4),
    "eig_vectors": Case(
        lambda x: _rebuilt(*jnp.linalg.eig(x + 4 * jnp.diag(jnp.arange(3.0)))),
        (("b", 3, 3),),
        rtol=1e-3,
    ),
    "eigh": Case(
        lambda x: _rebuilt(*jnp.linalg.eigh(x @ x.mT + jnp.eye(3))), (("b", 3, 3),), rtol=1e-4
    ),
    "solve": Case(
        lambda x, y: jnp.linalg.solve(x + 9 * jnp.eye(4), y), (("b", 4, 4), ("b", 4, 2)), rtol=1e-4
    ),
    "cumulative_over_an_open_axis": Case(
        lambda x: (lax.cummax(x, 0), lax.cummin(x, 0, reverse=True), lax.cumlogsumexp(x, 0))
    ),
}


def _rebuilt(values: Any, vectors: Any) -> Any:
    return jnp.abs((vectors * values[..., None, :]) @ jnp.linalg.inv(vectors))


@jax.custom_batching.custom_vmap
def _custom_vmap(x: Any) -> Any:
    return jnp.sin(x)


@_custom_vmap.def_vmap
def _custom_vmap_rule(size: int, batched: Any, x: Any) -> Any:
    return jnp.sin(x), batched[0]


@jax.custom_vjp
def _custom_vjp(x: Any) -> Any:
    return jnp.sin(x)


_custom_vjp.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))


def _named(x: Any) -> Any:
    from jax.ad_checkpoint import checkpoint_name

    return checkpoint_name(x, "here")


ALL: Mapping[str, Case] = {
    **ELEMENTWISE, **LOGIC, **REDUCTIONS, **SHAPES, **INDEXING, **LINEAR, **WINDOWS, **SORTING,
    **FOURIER, **CONTROL, **CALLS, **SHARDING, **PACKAGES,
}  # fmt: skip


def draw_inputs(draw: Any, case: Case) -> tuple[list[np.ndarray], list[tuple[int | str, ...]]]:
    """Draws a case's arrays, and the shapes that their specs have."""
    batch, size = draw(st.sampled_from((1, 2, 5))), draw(st.integers(2, 4))
    dtype = draw(st.sampled_from(case.dtypes))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    arrays, shapes = [], []
    for number, shape in enumerate(case.shapes):
        named = tuple(size if axis == "n" else axis for axis in shape)
        own = jnp.dtype(case.each[number] if case.each else dtype)
        sizes = [batch if axis == "b" else axis for axis in named]
        low = max(case.low, 0) if own.kind in "ub" else case.low
        if own.kind in "iub":
            values = random.integers(int(low), 2 if own.kind == "b" else int(case.high), sizes)
        else:
            values = random.uniform(low, case.high, sizes)
        arrays.append(values.astype(own))
        shapes.append(named)
    return arrays, shapes
