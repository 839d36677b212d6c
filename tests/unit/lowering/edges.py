"""Edge inputs for each rule: ends of dtypes, infinities, NaN, and indices out of bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax import lax
from jax._src import random as private_random
from jax._src.lax import lax as private_lax

HALVES = ("float16", "bfloat16")
FLOATS = ("float32", *HALVES, "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = (*SIGNED, *UNSIGNED)
BOOL = ("bool",)
COMPLEX = ("complex64",)
REAL = (*FLOATS, *INTEGERS)
ANY = (*REAL, *BOOL, *COMPLEX)


@dataclass(frozen=True)
class Edge:
    """A function at edge inputs.

    Attributes:
        function: Takes the arrays.
        arrays: Each case's; the first axis of the first one is left open.
        rtol: For float32; other floats have their own.
        atol: For all floats.
        zeros: Whether the sign of a zero counts.
    """

    function: Callable[..., Any]
    arrays: Sequence[Sequence[np.ndarray]]
    rtol: float = 1e-5
    atol: float = 0.0
    zeros: bool = True


def ends(dtype: str) -> np.ndarray:
    """Returns the values of a dtype at which functions break."""
    own = jnp.dtype(dtype)
    if own.kind == "b":
        return np.array([False, True])
    if own.kind in "iu":
        info = np.iinfo(own)
        values = [info.min, info.min + 1, -100, -32, -7, -3, -2, -1, 0, 1, 2, 3, 7, 31, 32, 33, 64]
        values += [100, info.max - 1, info.max]
        return np.array([v for v in values if info.min <= v <= info.max], own)
    if own.kind == "c":
        parts = np.array([0, 1, -1, 0.5, -2, 3, 10])
        return (parts[:, None] + 1j * parts).ravel().astype(own)
    info = ml_dtypes.finfo(own)
    values = [0.0, -0.0, np.inf, -np.inf, np.nan]
    for size in (0.001, 0.1, 0.5, 0.999, 1, 1.5, 2, 2.5, 3, 7, 10, 20, 50, 90, 100, 1e4):
        values += [size, -size]
    for end in (info.max, info.min, info.smallest_normal, -info.smallest_normal):
        values.append(float(end))
    with np.errstate(over="ignore"):
        return np.array(values).astype(own)


def numbers(dtype: str) -> np.ndarray:
    """Returns those that are finite and of a middling size, for sums and products."""
    values = ends(dtype)
    sizes = np.abs(values.astype("complex128" if values.dtype.kind == "c" else "float64"))
    return values[np.isfinite(sizes) & (sizes < 1000)]


def singly(values: Callable[[str], np.ndarray], dtypes: Sequence[str]) -> list[list[np.ndarray]]:
    return [[values(dtype)] for dtype in dtypes]


def pairs(dtypes: Sequence[str], values: Callable[[str], np.ndarray] = ends) -> list[Any]:
    """Returns each value with each other."""
    found = []
    for dtype in dtypes:
        a, b = np.meshgrid(values(dtype), values(dtype))
        found.append([a.ravel(), b.ravel()])
    return found


def rows(dtypes: Sequence[str], values: Callable[[str], np.ndarray] = ends) -> list[Any]:
    """Returns matrices whose rows hold the values in three orders."""
    found = []
    for dtype in dtypes:
        own = values(dtype)
        found.append([np.stack([np.resize(np.roll(own, 5 * k), len(own) + 2) for k in range(3)])])
    return found


def unary(function: Any, dtypes: Sequence[str] = FLOATS, **more: Any) -> Edge:
    return Edge(function, singly(ends, dtypes), **more)


def binary(function: Any, dtypes: Sequence[str] = FLOATS, **more: Any) -> Edge:
    return Edge(function, pairs(dtypes), **more)


def _finite(function: Any, dtypes: Sequence[str], **more: Any) -> Edge:
    """For what overflows or isn't defined in other ways in complex numbers."""
    return Edge(function, singly(numbers, dtypes), **more)


def _grids(a: Sequence[float], b: Sequence[float]) -> list[list[np.ndarray]]:
    """Returns each of a with each of b: where a function of two numbers is defined."""
    return [[x.ravel().astype(jnp.dtype(d)) for x in np.meshgrid(a, b)] for d in FLOATS]


_FLOAT64_AND_32 = ("float32", "float64")

FUNCTIONS = {
    "acos": unary(lax.acos),
    "acosh": unary(lax.acosh),
    "asin": unary(lax.asin, atol=1e-37),
    "asinh": unary(lax.asinh),
    "atan": unary(lax.atan),
    "atan2": binary(lax.atan2),
    "atanh": unary(lax.atanh),
    "bessel_i0e": unary(lax.bessel_i0e),
    "bessel_i1e": unary(lax.bessel_i1e),
    "cbrt": unary(lax.cbrt),
    "cos": unary(lax.cos),
    "cosh": unary(lax.cosh),
    "digamma": unary(lax.digamma),
    "erf": unary(lax.erf),
    "erf_inv": unary(lax.erf_inv),
    "erfc": unary(lax.erfc),
    "exp": unary(lax.exp),
    "exp2": unary(lax.exp2),
    "expm1": unary(lax.expm1),
    "igamma": Edge(lax.igamma, pairs(FLOATS, lambda d: ends(d)[::2]), rtol=1e-4),
    "igamma_grad_a": Edge(
        lax.igamma_grad_a, pairs(("float32",), lambda d: ends(d)[::3]), rtol=1e-4
    ),
    "igammac": Edge(lax.igammac, pairs(FLOATS, lambda d: ends(d)[::2]), rtol=1e-4),
    "lgamma": unary(lax.lgamma, atol=1e-6),
    "log": unary(lax.log),
    "log1p": unary(lax.log1p),
    "logistic": unary(lax.logistic),
    "polygamma": Edge(lax.polygamma, _grids([0, 1, 2, 5], [0.1, 1, 10, 1e4]), rtol=1e-4),
    "pow": binary(lax.pow),
    "pow_of_integers": Edge(
        lax.pow,
        [
            [x.ravel() for x in np.meshgrid(ends(base), ends(exponent))]
            for base in FLOATS
            for exponent in ("int32", "uint8")
        ],
    ),
    "regularized_incomplete_beta": Edge(
        lax.betainc,
        [
            [x.ravel() for x in np.meshgrid(*[np.array([0, 0.5, 1, 30, np.inf, np.nan], d)] * 3)]
            for d in FLOATS
        ],
        rtol=1e-4,
    ),
    "rsqrt": unary(lax.rsqrt),
    "sin": unary(lax.sin),
    "sinh": unary(lax.sinh),
    "sqrt": unary(lax.sqrt),
    "tan": unary(lax.tan),
    "tanh": unary(lax.tanh),
    "zeta": Edge(lax.zeta, _grids([1, 1.001, 2, 5, 30], [0.1, 1, 10, 1e4]), rtol=1e-4),
    "functions_of_complex_numbers": _finite(
        lambda z: (lax.sin(z), lax.cos(z), lax.exp(z), lax.log(z), lax.sqrt(z), lax.tanh(z)),
        COMPLEX,
    ),
}

ARITHMETIC = {
    "abs": unary(lax.abs, (*FLOATS, *SIGNED)),
    "add": binary(lax.add, REAL),
    "ceil": unary(lax.ceil),
    "clamp": binary(lambda a, b: (lax.clamp(a, b, a), lax.clamp(b, a, b)), REAL, zeros=False),
    "complex": binary(lax.complex, _FLOAT64_AND_32),
    "conj": Edge(lax.conj, [*singly(numbers, COMPLEX), *singly(ends, _FLOAT64_AND_32)]),
    "div": binary(lax.div, REAL),
    "floor": unary(lax.floor),
    "imag": _finite(lax.imag, COMPLEX),
    "integer_pow": unary(lambda x: [lax.integer_pow(x, y) for y in (0, 1, 2, 3, 7)], REAL),
    "integer_pow_negative": unary(lambda x: [lax.integer_pow(x, y) for y in (-1, -2, -3)]),
    "max": binary(lax.max, (*REAL, *BOOL), zeros=False),
    "max_complex": Edge(lambda a, b: (lax.max(a, b), lax.min(a, b)), pairs(COMPLEX, numbers)),
    "min": binary(lax.min, (*REAL, *BOOL), zeros=False),
    "mul": binary(lax.mul, REAL),
    "neg": unary(lax.neg, REAL),
    "nextafter": binary(lax.nextafter),
    "real": _finite(lax.real, COMPLEX),
    "rem": binary(lax.rem, REAL),
    "round": unary(lambda x: [lax.round(x, lax.RoundingMethod(m)) for m in (0, 1)]),
    "sign": unary(lax.sign, REAL),
    "square": unary(lax.square, REAL),
    "sub": binary(lax.sub, REAL),
    "relu": unary(jax.nn.relu, zeros=False),
    "complex_arithmetic": Edge(
        lambda a, b: (a + b, a - b, a * b, -a, lax.square(a), lax.abs(a), lax.sign(a)),
        pairs(COMPLEX, numbers),
    ),
    "reduce_precision": unary(
        lambda x: [
            lax.reduce_precision(x, e, m) for e, m in ((8, 7), (5, 10), (4, 3), (5, 2), (8, 23))
        ]
    ),
}

_CONVERTED = (*REAL, *BOOL)
CASTS = {
    "convert_element_type": unary(
        lambda x: [lax.convert_element_type(x, jnp.dtype(d)) for d in _CONVERTED], _CONVERTED
    ),
    "convert_complex": _finite(
        lambda x: lax.convert_element_type(x, jnp.complex64), (*FLOATS, *INTEGERS, *BOOL)
    ),
    "bitcast_convert_type": unary(
        lambda x: lax.bitcast_convert_type(x, f"uint{8 * x.dtype.itemsize}"), REAL
    ),
}

LOGIC = {
    **{
        name: binary(getattr(lax, f"bitwise_{name}"), (*INTEGERS, *BOOL))
        for name in ("and", "or", "xor")
    },
    "not": unary(lax.bitwise_not, (*INTEGERS, *BOOL)),
    **{
        name: binary(getattr(lax, name), (*REAL, *BOOL))
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    },
    "eq_complex": Edge(lambda a, b: (a == b, a != b), pairs(COMPLEX, numbers)),
    "is_finite": unary(lax.is_finite),
    "population_count": unary(lax.population_count, INTEGERS),
    "clz": unary(lax.clz, INTEGERS),
    **{
        name: binary(getattr(lax, name), INTEGERS)
        for name in ("shift_left", "shift_right_arithmetic", "shift_right_logical")
    },
    "select_n": Edge(
        lambda which, *cases: lax.select_n(which, *cases),
        [
            [np.array([-(2**31), -1, 0, 1, 2, 3, 2**31 - 1], "int32")]
            + [np.arange(7, dtype=dtype) * 0 + k for k in range(3)]
            for dtype in ("float32", "int8", "uint64")
        ],
    ),
    "select_by_boolean": Edge(
        lax.select, [[np.arange(len(ends(d))) % 2 == 0, ends(d), ends(d)[::-1]] for d in ANY]
    ),
}

_NUMBERS = (*FLOATS, *INTEGERS)


def _pools(x: Any) -> Any:
    low, high = (-np.inf, np.inf) if x.dtype.kind != "i" else (-(2**31), 2**31 - 1)
    image = x[:, :, None, None]
    return [
        lax.reduce_window(image, np.asarray(start, x.dtype), combine, (1, 3, 1, 1), (1, 2, 1, 1), p)
        for start, combine in ((low, lax.max), (high, lax.min), (0, lax.add))
        for p in ("VALID", "SAME", ((0, 0), (3, 3), (0, 0), (0, 0)))
    ]


REDUCTIONS = {
    "argmax": Edge(lambda x: [lax.argmax(x, a, np.int32) for a in (0, 1)], rows((*REAL, *BOOL))),
    "argmin": Edge(lambda x: [lax.argmin(x, a, np.uint8) for a in (0, 1)], rows((*REAL, *BOOL))),
    "cumlogsumexp": Edge(lambda x: lax.cumlogsumexp(x, 1), rows(FLOATS), rtol=1e-4),
    "cummax": Edge(lambda x: lax.cummax(x, 1), rows(REAL), zeros=False),
    "cummin": Edge(lambda x: lax.cummin(x, 1, reverse=True), rows(REAL), zeros=False),
    "cumprod": Edge(lambda x: lax.cumprod(x, 1), rows(INTEGERS)),
    "cumsum": Edge(lambda x: lax.cumsum(x, 1), rows(INTEGERS)),
    "running_sums_with_nan": Edge(
        lambda x: (lax.cumsum(x, 1), lax.cumprod(x, 1)),
        [[np.array([[1, 2, np.nan, 3], [np.inf, 1, 2, 3], [1, np.inf, 1, 2]], d)] for d in FLOATS],
    ),
    "reduce_and": Edge(lambda x: lax.reduce_and(x, (1,)), rows((*INTEGERS, *BOOL))),
    "reduce_or": Edge(lambda x: lax.reduce_or(x, (0,)), rows((*INTEGERS, *BOOL))),
    "reduce_xor": Edge(lambda x: lax.reduce_xor(x, (1,)), rows((*INTEGERS, *BOOL))),
    "reduce_max": Edge(
        lambda x: [lax.reduce_max(x, a) for a in ((0,), (1,))], rows(REAL), zeros=False
    ),
    "reduce_min": Edge(
        lambda x: [lax.reduce_min(x, a) for a in ((0,), (1,))], rows(REAL), zeros=False
    ),
    "extrema_of_complex_numbers": Edge(
        lambda x: (lax.reduce_max(x, (1,)), lax.reduce_min(x, (1,))), rows(COMPLEX, numbers)
    ),
    "reduce_prod": Edge(lambda x: lax.reduce_prod(x, (1,)), rows(INTEGERS)),
    "reduce_sum": Edge(lambda x: lax.reduce_sum(x, (1,)), rows(INTEGERS)),
    "sums_over_rows": Edge(
        lambda x: (lax.reduce_sum(x, (0,)), lax.reduce_prod(x, (0,))), rows(FLOATS, numbers)
    ),
    "reduce": Edge(
        lambda x: lax.reduce(x, np.array(1, x.dtype), lambda a, b: a * b + a + b, (1,)),
        rows(INTEGERS),
    ),
    "reduce_window": Edge(
        lambda x: lax.reduce_window(x, np.array(1, x.dtype), lax.mul, (1, 3), (1, 2), "SAME"),
        rows(INTEGERS),
    ),
    "pools": Edge(_pools, rows(("float32", "int32"), lambda d: ends(d)[::2]), zeros=False),
    "sort": Edge(lambda x: lax.sort(x, dimension=1), rows((*REAL, *BOOL)), zeros=False),
    "sort_with_order": Edge(
        lambda x: lax.sort((x, lax.broadcasted_iota(np.int32, x.shape, 1)), dimension=1),
        rows((*REAL, *BOOL)),
    ),
    "sort_by_two": Edge(
        lambda x: lax.sort((jnp.isnan(x), x, x * 0), dimension=1, num_keys=2), rows(FLOATS)
    ),
    "sort_complex": Edge(
        lambda x: lax.sort((x, lax.broadcasted_iota(np.int32, x.shape, 1)), dimension=1),
        rows(COMPLEX, numbers),
    ),
    "top_k": Edge(lambda x: [lax.top_k(x, k) for k in (1, 5, x.shape[1])], rows(REAL)),
    "approx_top_k": Edge(
        lambda x: (lax.approx_max_k(x, 4), lax.approx_min_k(x, 4)), rows(FLOATS, numbers)
    ),
}

# One of each width and kind: what only moves elements has no other edges.
_MOVED = ("float32", "bfloat16", "int8", "uint16", "int32", "uint32", "int64", "bool", "complex64")

_MOVED_NUMBERS = (*_MOVED[:7], "complex64")


def _moves(x: Any) -> Any:
    return (
        lax.broadcast_in_dim(x, (2, *x.shape), (1, 2)),
        lax.concatenate([x, x], 0),
        lax.pad(x, jnp.ones((), x.dtype), ((0, 1, 0), (-1, 2, 1))),
        lax.rev(x, (0, 1)),
        lax.slice(x, (0, 1), (x.shape[0], 4), (1, 2)),
        lax.squeeze(lax.slice(x, (0, 1), (x.shape[0], 2)), (1,)),
        lax.transpose(x, (1, 0)),
        lax.reshape(x, (x.shape[1], x.shape[0])),
        jnp.split(x, [1, 3], 1),
        jnp.stack([x, x], 1),
        jnp.unstack(x, axis=1)[0],
        jnp.tile(x, (2, 2)),
        lax.optimization_barrier(jnp.copy(x)),
        jnp.zeros_like(x),
    )


SHAPES = {"moves": Edge(_moves, rows(_MOVED))}


def _indices(dtype: str) -> np.ndarray:
    """Returns indices of 4 rows: inside, at the ends, beyond, negative, twice, and far out."""
    # JAX itself makes int32 of int64.
    info = np.iinfo(dtype if dtype != "int64" else "int32")
    values = [0, 1, 3, 4, 5, -1, -4, -5, 2, 2, 1, info.min, info.max, info.max - 1]
    return np.array([v for v in values if info.min <= v <= info.max], dtype)


_INDEX_DTYPES = ("int32", "int64", "uint8", "int8", "uint32")
_ROWS = lax.GatherDimensionNumbers((1,), (0,), (0,))
_WINDOWS = lax.GatherDimensionNumbers((1,), (0,), (0, 1))


def _indexed(dtypes: Sequence[str]) -> list[list[np.ndarray]]:
    by_index = [[_indices(i), np.resize(numbers("float32"), (4, 3))] for i in _INDEX_DTYPES]
    return by_index + [[_indices("int32"), np.resize(ends(d), (4, 3))] for d in dtypes]


def _updated(dtypes: Sequence[str], values: Any = numbers) -> list[list[np.ndarray]]:
    return [
        [index, table, np.resize(values(table.dtype.name)[::-1], (len(index), 3))]
        for index, table in [
            *_indexed(()),
            *([_indices("int32"), np.resize(values(d), (4, 3))] for d in dtypes),
        ]
    ]


def _gathers(i: Any, x: Any) -> Any:
    modes = ("clip", "fill", "promise_in_bounds")
    twice = jnp.stack([i, i[::-1]], 1)
    return [lax.gather(x, i[:, None], _ROWS, (1, 3), mode=mode) for mode in modes] + [
        lax.gather(x, twice, _WINDOWS, (1, 2), mode=mode) for mode in modes[:2]
    ]


def _scatters(name: str) -> Any:
    def scatter(i: Any, x: Any, u: Any) -> Any:
        return [getattr(x.at[i], name)(u, mode=mode) for mode in ("drop", "clip")]

    return scatter


INDEXING = {
    "gather": Edge(_gathers, _indexed(_MOVED)),
    "gather_of_no_axis": Edge(
        lambda i, x: lax.gather(
            x, jnp.zeros((2, 0), "int32"), lax.GatherDimensionNumbers((1, 2), (), ()), (4, 3)
        ),
        _indexed(()),
    ),
    "indexing": Edge(lambda i, x: (x[i], x[i, i], jnp.take(x, i, axis=1)), _indexed(())),
    "dynamic_slice": Edge(
        lambda i, x: [lax.dynamic_slice(x, (i[k], i[-1 - k]), (2, 2)) for k in (0, 1, 3, 5)],
        _indexed(("bool",)),
    ),
    "dynamic_update_slice": Edge(
        lambda i, x: [lax.dynamic_update_slice(x, x[:2, :2], (i[k], i[-k])) for k in (0, 1, 3, 5)],
        _indexed(("bool",)),
    ),
    "scatter": Edge(
        lambda i, x, u: [x.at[i].set(u[:1], mode=mode) for mode in ("drop", "clip")],
        _updated(_MOVED, ends),
    ),
    "scatter-add": Edge(_scatters("add"), _updated(_MOVED_NUMBERS)),
    "scatter-sub": Edge(_scatters("subtract"), _updated(("uint8", "uint32", "float16"))),
    "scatter-mul": Edge(_scatters("multiply"), _updated(_MOVED_NUMBERS), rtol=1e-4),
    "scatter-max": Edge(_scatters("max"), _updated(_MOVED[:7], ends), zeros=False),
    "scatter-min": Edge(_scatters("min"), _updated(_MOVED[:7], ends), zeros=False),
    "no_indices": Edge(
        lambda i, x: (x[i], x.at[i].set(1), x.at[i].add(1)),
        [[np.zeros(0, "int32"), np.ones((4, 3), "float32")]],
    ),
}

LINEAR = {
    "dot_general": Edge(
        lambda x: (
            lax.dot_general(x, x, (((1,), (1,)), ((), ()))),
            lax.dot_general(x, x, (((1,), (1,)), ((0,), (0,)))),
            lax.dot_general(x, x, (((0,), (0,)), ((), ()))),
        ),
        [*rows(FLOATS, numbers), *rows((*INTEGERS, *BOOL)), *rows(COMPLEX, numbers)],
    ),
    "dot_of_narrow_integers": Edge(
        lambda x: lax.dot_general(x, x, (((1,), (1,)), ((), ())), preferred_element_type="int32"),
        rows(("int8", "uint8", "int16", "uint16")),
    ),
    "dot_with_infinities": Edge(
        lambda x: lax.dot_general(x, x, (((1,), (1,)), ((), ()))),
        [[np.array([[1, np.inf], [np.nan, 2], [0, 1]], d)] for d in FLOATS],
    ),
    "conv_general_dilated": Edge(
        lambda x: [
            lax.conv_general_dilated(
                x[:, :, None], jnp.ones((3, 1, 2), x.dtype), (1,), p,
                dimension_numbers=("NWC", "WIO", "NWC"),
            )
            for p in ("VALID", "SAME")
        ],
        [
            *rows(("int8", "int16", "int32", "uint8")),
            # TensorFlow's kernel for bfloat16 makes NaN of infinity.
            *([np.array([[1, np.inf, 2, 3, np.nan, 1]] * 2, d)] for d in FLOATS if d != "bfloat16"),
        ],
    ),
}  # fmt: skip

_SINGULAR = np.array(
    [np.eye(3), -np.eye(3), np.full((3, 3), np.nan), np.diag([1, 0, 1]), np.zeros((3, 3))]
    + [[[4, 9, 9], [1, 3, 9], [0, 1, 2]], [[1, 2, 3], [2, 4, 6], [1, 1, 1]]],
    "float32",
)
_WELL = np.array([[4, 1, 2], [1, 5, 3], [2, 3, 6]], "float32")
_MATRICES = [_SINGULAR, _SINGULAR[::-1]]


def _solve(a: Any, b: Any) -> Any:
    return [
        lax.linalg.triangular_solve(
            a, b, left_side=left, lower=lower, transpose_a=transposed, unit_diagonal=unit
        )
        for left, lower, transposed, unit in (
            (True, True, False, False),
            (True, False, True, False),
            (False, True, True, False),
            (False, False, False, False),
            (True, False, False, True),
        )
    ]


DECOMPOSITIONS = {
    "cholesky": Edge(lax.linalg.cholesky, [[_SINGULAR]]),
    "cholesky_update": Edge(
        lambda r, w: lax.linalg.cholesky_update(r, w),
        [[np.triu(_WELL), np.array([1, 0, 2], "float32")]],
        atol=1e-6,
    ),
    "triangular_solve": Edge(_solve, [[_SINGULAR[[0, 1, 3, 5]], _SINGULAR[[5, 6, 6, 5]]]]),
    "lu": Edge(
        lax.linalg.lu, [[_SINGULAR], [_SINGULAR[:, :2]], [_SINGULAR[:, :, :2]]], zeros=False
    ),
    "inverse": Edge(
        lambda x: (jnp.linalg.inv(x), jnp.linalg.det(x), jnp.linalg.slogdet(x)),
        [[np.stack([_WELL, -_WELL, 2 * np.eye(3, dtype="float32")])]],
        atol=1e-5,
    ),
    "qr": Edge(
        lambda x: (jnp.linalg.qr(x), jnp.linalg.qr(x, mode="complete")),
        [[np.stack([_WELL, -_WELL])[:, :, :2]]],
        rtol=1e-4,
    ),
    "svd": Edge(
        lambda x: jnp.linalg.svd(x, compute_uv=False), [[_SINGULAR[[0, 1, 3, 4, 5]]]], atol=1e-5
    ),
    "svd_with_vectors": Edge(
        lambda x: _product(jnp.linalg.svd(x, full_matrices=False)), [[_WELL[None]]], rtol=1e-4
    ),
    "eigh": Edge(lambda x: jnp.linalg.eigh(x)[0], [[_SINGULAR[[0, 1, 3, 4]]]]),
    "tridiagonal_solve": Edge(
        lambda d, b: lax.linalg.tridiagonal_solve(d, d + 4, d, b),
        [[np.ones((2, 4), "float32"), np.ones((2, 4, 3), "float32")]],
    ),
    "symmetric_product": Edge(
        lambda a, c: lax.linalg.symmetric_product(a, c, symmetrize_output=True), [[_WELL, _WELL]]
    ),
    "custom_linear_solve": Edge(
        lambda b: lax.custom_linear_solve(lambda x: 3 * x, b, lambda _, b: b / 3),
        [[np.array([1, 0, np.inf], "float32")]],
    ),
    "fft": Edge(
        lambda x: (
            jnp.fft.fft(x), jnp.fft.ifft2(x), jnp.fft.rfft(x), jnp.fft.irfft(x), jnp.fft.rfft2(x)
        ),
        [[np.array(x, "float32")] for x in ([[0, 1, -1, 2], [1, 1, 1, 1]], [[np.inf, 1]])],
        atol=1e-5,
        zeros=False,
    ),
    "ragged_dot_general": Edge(
        lax.ragged_dot,
        [[np.ones((4, 3), "float32"), np.ones((2, 3, 2), "float32"), np.array(g, "int32")]
         for g in ([4, 0], [0, 4], [1, 2])],
    ),
}  # fmt: skip


def _product(parts: Any) -> Any:
    u, s, vh = parts
    return s, (u * s[..., None, :]) @ vh


def _max_pool(x: Any) -> Any:
    return lax.reduce_window(x, -np.inf, lax.max, (1, 3, 2, 1), (1, 2, 1, 1), "SAME")


_TIES = np.zeros((2, 4, 3, 1), "float32")

WINDOWS = {
    "select_and_scatter_add": Edge(jax.grad(lambda x: (3 * _max_pool(x)).sum()), [[_TIES]]),
    "select_and_gather_add": Edge(
        lambda x: jax.jvp(_max_pool, (x,), (jnp.arange(24.0, dtype=x.dtype).reshape(2, 4, 3, 1),)),
        [[_TIES]],
    ),
}

_KEYS = np.array([[0, 0], [0, 42], [2**32 - 1, 2**31]], "uint32")


def _draws(numbers: Any) -> Any:
    keys = jax.random.wrap_key_data(numbers)
    return (
        jax.vmap(lambda key: jax.random.bits(key, (3,), "uint8"))(keys),
        jax.vmap(lambda key: jax.random.normal(key, (2,), "float32"))(keys),
        jax.random.key_data(jax.random.split(keys[1], 3)),
        jax.random.key_data(jax.random.fold_in(keys[2], numbers[0, 0])),
        jax.random.key_data(jax.random.clone(keys[0])),
        jax.random.key_data(jnp.where(numbers[:, 0] > 0, keys, keys[::-1])),
        lax.scan(lambda k, _: (jax.random.split(k)[0], jax.random.bits(k)), keys[0], None, 2)[1],
    )


RANDOM = {
    "random_bits": Edge(_draws, [[_KEYS]]),
    "random_seed": Edge(
        lambda seeds: jax.random.key_data(jax.random.key(seeds[0])),
        [[np.array([seed], "int32")] for seed in (0, -1, 2**31 - 1, -(2**31))],
    ),
    "random_gamma": Edge(
        lambda numbers: jax.random.gamma(numbers[1], jnp.array([0.5, 1, 30], "float32")),
        [[_KEYS]],
        rtol=1e-4,
    ),
    "threefry2x32": Edge(
        lambda n: jax.extend.random.threefry_2x32(n[2], jnp.arange(5, dtype="uint32")), [[_KEYS]]
    ),
}


def _count(x: Any) -> Any:
    return jax.vmap(lambda v: lax.while_loop(lambda s: s < 10, lambda s: 2 * s + 1, v))(x)


CONTROL = {
    "cond": Edge(
        lambda i: [
            lax.switch(i[k], [lambda: 1, lambda: 2, lambda: 3]) for k in range(5)
        ],
        [[np.array([-(2**31), -1, 1, 3, 2**31 - 1], "int32")]],
    ),
    "scan": Edge(
        lambda x: (
            lax.scan(lambda c, y: (c + y, c * y), jnp.ones((), x.dtype), x),
            lax.scan(lambda c, y: (c, y), jnp.ones((), x.dtype), x[:0]),
        ),
        [[np.array([1, np.inf, 2, np.nan], "float32")]],
    ),
    "while": Edge(_count, [[np.array([1, 100, np.inf, np.nan], "float32")]]),
}  # fmt: skip

# Counting, whose inputs are shapes, and what JAX writes inside other primitives only.
INSIDE = {
    "iota": Edge(
        lambda x: [lax.broadcasted_iota(d, (3, 2), 0) + x[0].astype(d) for d in (*REAL, *COMPLEX)],
        [[np.array([0], "int32")]],
    ),
    "iota_2x32_shape": Edge(
        lambda x: (private_random.prng.iota_2x32_shape((2, 3))[1] + x[0],),
        [[np.array([2**32 - 1], "uint32")]],
    ),
    **(
        {"mulhi": binary(lax.mulhi, ("int8", "uint16", "int32", "uint32"))}
        if hasattr(lax, "mulhi")
        else {}
    ),
    "total_order": binary(
        lambda a, b: [getattr(private_lax, f"{n}_to_p").bind(a, b) for n in ("eq", "le", "lt")],
        (*REAL, *BOOL),
    ),
    "lu_pivots_to_permutation": Edge(
        lambda p: lax.linalg.lu_pivots_to_permutation(p, 5), [[np.array([4, 4, 2, 3], "int32")]]
    ),
    "linear_call": Edge(
        lambda x: jax.custom_derivatives.linear_call(
            lambda r, x: x * r, lambda r, t: t * r, jnp.float32(3), x
        ),
        [[np.array([0, np.inf, np.nan], "float32")]],
    ),
    "empty": Edge(lambda x: x + private_lax.empty((3,), jnp.float32), [[np.ones(3, "float32")]]),
}


def _generator(name: str, words: tuple[int, int]) -> Edge:
    """One that counts with words of a key."""
    primitive = getattr(getattr(private_random, name), f"{name}_p")
    return Edge(
        lambda n: primitive.bind(
            *(n[k % 3, k % 2] for k in range(words[0])), *(n[:, k % 2] for k in range(words[1]))
        ),
        [[_KEYS]],
    )


# Older versions of JAX have the first one alone.
GENERATORS = {
    f"{name}_generator": _generator(name, words)
    for name, words in {
        "threefry2x32": (2, 2), "philox2x32": (1, 2), "philox4x32": (2, 4), "threefry4x32": (4, 4),
    }.items()
    if hasattr(getattr(private_random, name, None), f"{name}_p")
}  # fmt: skip

ALL: Mapping[str, Edge] = {
    **FUNCTIONS, **ARITHMETIC, **CASTS, **LOGIC, **REDUCTIONS, **SHAPES, **INDEXING, **LINEAR,
    **DECOMPOSITIONS, **WINDOWS, **RANDOM, **CONTROL, **INSIDE,
    **GENERATORS,
}  # fmt: skip
