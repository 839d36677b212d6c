"""What can be seen wrong with a model before anything is traced."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from exporter.errors import UserError
from exporter.model import naming
from exporter.model.dimensions import names
from exporter.model.entry import Entry, entries
from exporter.model.model import Model, TensorSpec
from wire import dtypes

_SLICE_BYTES = 1 << 24


def check(model: Model) -> None:
    """Checks a model's parameters, inputs and functions.

    Raises:
        UserError: a parameter isn't an array, is NaN or has a dtype that no runtime has; there are
            no inputs; a constraint is of a dimension that no input has; or a function takes other
            arguments than `(params, inputs)`.
    """
    paths = naming.parameter_paths(model.params)
    for path, value in zip(paths, jax.tree.leaves(model.params), strict=True):
        _check_parameter(f"{model.name}: parameter {'/'.join(path)}", value)
    for entry in entries(model).values():
        _check_inputs(entry)
        _check_constraints(entry)
        _check_arguments(entry.label, entry.func)


def _check_parameter(label: str, value: Any) -> None:
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        raise UserError(
            f"{label} is a random key, which no runtime takes; leave random state out of the "
            "parameters (in Flax nnx: switch to model.eval() and split off nnx.RngState)"
        )
    if dtype is None and not isinstance(value, bool | int | float | complex):
        raise UserError(
            f"{label} is a {type(value).__name__}, no array; keep settings in the function and "
            "arrays in params"
        )
    array = value if dtype is not None else np.asarray(value)
    _check_dtype(label, array.dtype)
    if jax.numpy.issubdtype(array.dtype, jax.numpy.inexact):
        numbers = np.asarray(array).reshape(-1)
        # A slice at a time: the mask of a large parameter would take memory of its own.
        parts = np.array_split(numbers, 1 + numbers.nbytes // _SLICE_BYTES)
        count = sum(int(np.isnan(part).sum()) for part in parts)
        if count:
            raise UserError(
                f"{label} has {count} NaN of {array.size} numbers; the training diverged: export "
                "parameters of an earlier step"
            )


def _check_inputs(entry: Entry) -> None:
    if not entry.specs:
        raise UserError(f"{entry.label}: no inputs; give a TensorSpec for each array that it takes")
    for name, spec in entry.specs.items():
        label = f"{entry.label}: input {name}"
        if not isinstance(spec, TensorSpec):
            raise UserError(f"{label} is a {type(spec).__name__}; give a TensorSpec")
        _check_dtype(label, spec.dtype)


def _check_constraints(entry: Entry) -> None:
    dimensions = {size for spec in entry.specs.values() for size in spec.shape if type(size) is str}
    for constraint in entry.constraints:
        unknown = sorted(names(constraint) - dimensions)
        if unknown:
            there = ", ".join(sorted(dimensions)) or "none"
            raise UserError(
                f"{entry.label}: constraint {constraint!r}: no input has a dimension "
                f"{unknown[0]!r} (there: {there})"
            )


def _check_dtype(label: str, dtype: Any) -> None:
    try:
        dtypes.number(getattr(dtype, "name", dtype))
    except ValueError:
        raise UserError(
            f"{label} has dtype {dtype}, which the serving API lacks; cast it, to int8 or bfloat16 "
            "for example"
        ) from None


def _check_arguments(label: str, func: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):
        return  # written in C: nothing to see
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise UserError(
            f"{label}: the function takes {signature}, not (params, inputs) ({error}); wrap it: "
            "lambda params, inputs: …, with several inputs in a tuple or dictionary"
        ) from None
