"""When a primitive keeps rows apart: one rule each, by its name.

A rule is called where an operand has rows or the batch stands in a shape, and all operands keep
rows apart. It raises `Mixes` unless each row of each result depends on the same row of the
operands alone, in the same way for each row and for each size of the batch. Semantics of the
primitives: https://docs.jax.dev/en/latest/jax.lax.html and https://openxla.org/stablehlo/spec
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from exporter.trace.rows import indexing
from exporter.trace.rows.batch import Mixes
from exporter.trace.rows.operation import Operation

Rule = Callable[[Operation], None]


def elementwise(op: Operation) -> None:
    """Place by place: rows stand in the same axis; what has none is the same for all of them."""
    axes = {axis for _, axis in op.with_rows}
    if len(axes) != 1:
        raise Mixes("joins arrays whose rows stand in different axes")
    axis = axes.pop()
    if any(shape and shape[axis] != 1 for shape in op.shared):
        raise Mixes("gives rows numbers of their own")
    op.expect_all(axis)


def handed_on(op: Operation) -> None:
    """Results are the operands."""
    if list(op.inputs) != list(op.outputs):
        raise Mixes("changes shapes")


def iota(op: Operation) -> None:
    """Counts along an axis: not along that of the rows, which would number them."""
    if op.batch.axis(op.outputs[0]) == op.params["dimension"]:
        raise Mixes("numbers the rows")


def broadcast(op: Operation) -> None:
    """Adds axes: the same for each row, or each row's own."""
    places = op.params["broadcast_dimensions"]
    for shape, axis in op.with_rows:
        if op.outputs[0][places[axis]] != shape[axis]:
            raise Mixes("repeats rows")
        op.expect(0, places[axis])


def tile(op: Operation) -> None:
    """Repeats an array along other axes than that of its rows."""
    for _, axis in op.with_rows:
        if op.params["reps"][axis] != 1:
            raise Mixes("repeats rows")
        op.expect(0, axis)


def reshape(op: Operation) -> None:
    """Regroups places in row-major order: as many must stand before the rows as after it."""
    if op.params.get("dimensions") is not None:
        raise Mixes("reorders axes while it regroups them")
    shape, axis = op.only()
    to = op.batch.axis(op.outputs[0])
    if to is None or math.prod(shape[:axis]) != math.prod(op.outputs[0][:to]):
        raise Mixes("splits the batch, or puts other axes before it")


def transpose(op: Operation) -> None:
    """Moves axes."""
    _, axis = op.only()
    op.expect(0, op.params["permutation"].index(axis))


def squeeze(op: Operation) -> None:
    """Drops axes of one place."""
    _, axis = op.only()
    op.expect(0, _shifted(axis, op.params["dimensions"], "drops the rows' axis"))


def reduction(op: Operation) -> None:
    """Takes together along axes."""
    axes = op.params["axes"] if "axes" in op.params else op.params["dimensions"]
    for _, axis in op.with_rows:
        for index in range(len(op.outputs)):
            op.expect(index, _shifted(axis, axes, "reduces over the batch"))


def along(name: str, text: str) -> Rule:
    """Returns the rule of what works along one axis, which the parameter `name` says."""

    def rule(op: Operation) -> None:
        first = op.axes[0]
        if first is None or any(axis != first for axis in op.axes):
            raise Mixes("joins arrays whose rows stand in different axes")
        if op.params[name] in (first, first - len(op.inputs[0])):
            raise Mixes(text)
        op.expect_all(first)

    return rule


def along_last(op: Operation) -> None:
    """Works along the last axis, unless the primitive says another."""
    shape, axis = op.only()
    if op.params.get("axis", len(shape) - 1) % len(shape) == axis:
        raise Mixes("chooses among rows")
    op.expect_all(axis)


def stack(op: Operation) -> None:
    """A new axis, over which equal arrays are joined."""
    axes = {axis for _, axis in op.with_rows}
    if len(axes) != 1 or len(op.with_rows) < len(op.inputs):
        raise Mixes("joins arrays whose rows stand in different axes")
    axis = axes.pop()
    op.expect(0, axis + (op.params["axis"] <= axis))


def unstack(op: Operation) -> None:
    """An array's parts along an axis, which goes."""
    _, axis = op.only()
    op.expect_all(_shifted(axis, (op.params["axis"],), "takes rows apart"))


def pad(op: Operation) -> None:
    """Adds places at the ends of axes and between their places."""
    _, axis = op.only()
    if tuple(op.params["padding_config"][axis]) != (0, 0, 0):
        raise Mixes("pads the batch")
    op.expect(0, axis)


def dot(op: Operation) -> None:
    """Contracts axes: rows of one operand, or the same rows of both."""
    contracted, paired = op.params["dimension_numbers"]
    results = []
    for side, axis in enumerate(op.axes):
        if axis is None:
            continue
        if axis in contracted[side]:
            raise Mixes("contracts the batch")
        other = 1 - side
        if axis in paired[side]:
            place = paired[side].index(axis)
            if op.axes[other] != paired[other][place]:
                raise Mixes("pairs rows with something else")
            results.append(place)
            continue
        if op.axes[other] is not None:
            raise Mixes("pairs each row with all rows")
        free = [
            n
            for n in range(len(op.inputs[side]))
            if n not in contracted[side] and n not in paired[side]
        ]
        before = 0 if side == 0 else len(op.inputs[0]) - len(contracted[0]) - len(paired[0])
        results.append(len(paired[side]) + before + free.index(axis))
    for result in results:
        op.expect(0, result)


def convolution(op: Operation) -> None:
    """Slides a kernel, the same for all rows, over each."""
    numbers = op.params["dimension_numbers"]
    if op.axes[1] is not None:
        raise Mixes("has a kernel made of rows")
    if op.axes[0] != numbers.lhs_spec[0] or op.params["batch_group_count"] != 1:
        raise Mixes("slides over the batch, or joins it")
    op.expect(0, numbers.out_spec[0])


def window(op: Operation) -> None:
    """Takes together in windows, none of which reaches from one row into another."""
    axes = {axis for _, axis in op.with_rows}
    if len(axes) != 1 or any(op.shared):
        raise Mixes("joins arrays whose rows stand in different axes")
    axis = axes.pop()
    trivial = {
        "window_dimensions": 1,
        "window_strides": 1,
        "padding": (0, 0),
        "base_dilation": 1,
        "window_dilation": 1,
    }
    for name, value in trivial.items():
        found = op.params.get(name)
        if (
            found is not None
            and (tuple(found[axis]) if name == "padding" else found[axis]) != value
        ):
            raise Mixes("slides a window over the batch")
    op.expect_all(axis)


def fourier(op: Operation) -> None:
    """Transforms along the last axes."""
    shape, axis = op.only()
    if axis >= len(shape) - len(op.params["fft_lengths"]):
        raise Mixes("transforms along the batch")
    op.expect(0, axis)


def matrices(op: Operation) -> None:
    """Works on the matrices in the last two axes, one by one."""
    axes = {axis for _, axis in op.with_rows}
    if len(axes) != 1 or len(op.with_rows) < len(op.inputs):
        raise Mixes("joins matrices of rows with others")
    axis = axes.pop()
    if any(axis >= len(shape) - 2 for shape in op.inputs):
        raise Mixes("works on a matrix of rows")
    op.expect_all(axis)


def keys(op: Operation) -> None:
    """Random numbers from keys that rows bring themselves; from a shared key they'd number rows.

    Of JAX's generators, the default one alone gives each key of an array its own numbers:
    https://docs.jax.dev/en/latest/jax.random.html ("rbg" and "unsafe_rbg" under vmap).
    """
    if any(str(dtype).startswith("key<") and str(dtype) != _KEY for dtype in op.dtypes):
        raise Mixes("draws from a generator that takes the keys of all rows together")
    axes = {axis for _, axis in op.with_rows}
    if len(axes) != 1:
        raise Mixes("draws random numbers by the row's number")
    op.expect_all(axes.pop())


def batch_size(op: Operation) -> None:
    """The batch's size as a number."""
    raise Mixes("uses the batch's size as a number")


def _shifted(axis: int, gone: Iterable[int], text: str) -> int:
    """Where an axis stands when others are gone."""
    if axis in gone:
        raise Mixes(text)
    return axis - sum(other < axis for other in gone)


_KEY = "key<fry>"
_ELEMENTWISE = (
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh",
    "bessel_i0e", "bessel_i1e", "cbrt", "ceil", "clamp", "clz", "complex", "conj",
    "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma", "div", "eq", "eq_to", "erf",
    "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "igamma", "igamma_grad_a",
    "igammac", "imag", "integer_pow", "is_finite", "le", "le_to", "lgamma", "log", "log1p",
    "logistic", "lt", "lt_to", "max", "min", "mul", "mulhi", "ne", "neg", "nextafter", "not", "or",
    "polygamma", "population_count", "pow", "real", "reduce_precision",
    "regularized_incomplete_beta", "rem", "round", "rsqrt", "select_n", "shift_left",
    "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square",
    "stop_gradient", "sub", "tan", "tanh", "xor", "zeta",
)  # fmt: skip
_HANDED_ON = ("device_put", "name", "optimization_barrier", "pvary", "sharding_constraint")
_REDUCTIONS = (
    "argmax", "argmin", "reduce", "reduce_and", "reduce_max", "reduce_min", "reduce_or",
    "reduce_prod", "reduce_sum", "reduce_xor",
)  # fmt: skip
_CUMULATIVE = ("cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum")
_WINDOWS = (
    "reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum",
    "select_and_gather_add", "select_and_scatter_add",
)  # fmt: skip
_MATRICES = (
    "cholesky", "eigh", "householder_product", "lu", "qr", "schur", "svd", "triangular_solve",
)  # fmt: skip
_RANDOM = ("random_bits", "random_fold_in", "random_split", "random_unwrap", "random_wrap")

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ELEMENTWISE, elementwise),
    **dict.fromkeys(_HANDED_ON, handed_on),
    **dict.fromkeys(_REDUCTIONS, reduction),
    **dict.fromkeys(_CUMULATIVE, along("axis", "accumulates over the batch")),
    **dict.fromkeys(_WINDOWS, window),
    **dict.fromkeys(_MATRICES, matrices),
    **dict.fromkeys(_RANDOM, keys),
    **indexing.RULES,
    "bitcast_convert_type": elementwise,
    "broadcast_in_dim": broadcast,
    "concatenate": along("dimension", "puts rows behind one another"),
    "conv_general_dilated": convolution,
    "dim_as_value": batch_size,
    "dot_general": dot,
    "fft": fourier,
    "iota": iota,
    "pad": pad,
    "reshape": reshape,
    "rev": indexing.reverse,
    "sort": along("dimension", "sorts rows"),
    "split": along("axis", "takes rows apart"),
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "top_k": along_last,
    "transpose": transpose,
    "unstack": unstack,
}
