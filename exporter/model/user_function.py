"""Models of one's own: `pkg.module:build`, or a function, parameters and inputs in Python."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from exporter.errors import UserError
from exporter.model import user_frame
from exporter.model.model import Examples, Model, PyTree, TensorSpec
from exporter.model.stored_parameters import load as load_parameters

_BATCH = "b"


def load(target: str, name: str | None = None, params: Path | None = None) -> Model:
    """Calls a function `build` that gives a model.

    Args:
        target: `pkg.module:build`, found as `import` would find it from the working directory.
            It returns a `Model`, or `(func, params, inputs)` as `own_model` takes them.
        name: What the model is called; the module's name where None, or the `Model`'s own.
        params: A file or checkpoint with the parameters, in place of those that `build` gives;
            see `stored_parameters`.

    Raises:
        UserError: there is no such function, it failed, or it returned something else.
    """
    module_name, _, function_name = target.partition(":")
    if not module_name or not function_name:
        raise UserError(f"{target}: write it as package.module:function, such as my_model:build")
    build = _find(module_name, function_name)
    try:
        built = build()
    except Exception as error:
        raise UserError(f"{target}() failed: {user_frame.describe(error)}") from error
    model = replace(_as_model(target, name, built), source=target)
    return model if params is None else replace(model, params=load_parameters(params, model.params))


def own_model(
    name: str, func: Callable[[PyTree, PyTree], PyTree], params: PyTree, inputs: PyTree
) -> Model:
    """Makes a model of a function, its parameters and its inputs.

        export(own_model("my_model", func, params, np.zeros((1, 28, 28, 1))), "models")

    Args:
        name: The model's name in the server.
        func: Pure function `(params, inputs) -> outputs`.
        params: Pytree of arrays.
        inputs: Pytree of examples (arrays), shapes (`jax.ShapeDtypeStruct`) or `TensorSpec`s.
            The leading axis of the first array or shape is taken for the batch, and of all others
            that are as long; `TensorSpec`s say themselves what is open.

    Raises:
        UserError: there are no inputs, or they are none of these.
    """
    leaves, structure = jax.tree.flatten(inputs)
    if not leaves:
        raise UserError(
            f"{name}: no example inputs; give an array or a shape for what func takes, such as "
            "jax.ShapeDtypeStruct((1, 28, 28, 1), 'float32')"
        )
    shapes = [_shape(name, leaf) for leaf in leaves]
    lengths = [
        shape[0]
        for shape, leaf in zip(shapes, leaves, strict=True)
        if shape and isinstance(shape[0], int) and not isinstance(leaf, TensorSpec)
    ]
    specs = [
        leaf if isinstance(leaf, TensorSpec) else _spec(leaf, shape, lengths[:1])
        for leaf, shape in zip(leaves, shapes, strict=True)
    ]
    examples = None
    if not any(isinstance(leaf, TensorSpec | jax.ShapeDtypeStruct) for leaf in leaves):
        arrays = [np.asarray(a, s.dtype) for a, s in zip(leaves, specs, strict=True)]
        examples = Examples(structure.unflatten(arrays))
    return Model(name, func, params, structure.unflatten(specs), examples)


def _as_model(target: str, name: str | None, built: Any) -> Model:
    if isinstance(built, Model):
        return built if name is None else replace(built, name=name)
    if not isinstance(built, tuple) or len(built) != 3:
        got = f"{len(built)} things" if isinstance(built, tuple) else type(built).__name__
        raise UserError(
            f"{target}() returned {got}; return (func, params, inputs), the inputs being example "
            "arrays or shapes, or an exporter.Model"
        )
    return own_model(name or default_name(target), *built)


def default_name(target: str) -> str:
    """Returns what a model is called by default: the last part of its module's name."""
    return target.partition(":")[0].rpartition(".")[2]


def _find(module_name: str, function_name: str) -> Callable[[], Any]:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise UserError(f"there is no module {error.name!r} in {here} or installed") from None
        raise UserError(f"{module_name} can't be imported: {user_frame.describe(error)}") from error
    except Exception as error:
        raise UserError(f"{module_name} can't be imported: {user_frame.describe(error)}") from error
    build = getattr(module, function_name, None)
    if not callable(build):
        raise UserError(f"{module.__file__}: there is no function {function_name!r}")
    found: Callable[[], Any] = build
    return found


def _shape(name: str, leaf: Any) -> tuple[int | str, ...]:
    if isinstance(leaf, TensorSpec | jax.ShapeDtypeStruct):
        return tuple(size if isinstance(size, int) else str(size) for size in leaf.shape)
    try:
        return tuple(jax.numpy.asarray(leaf).shape)
    except (TypeError, ValueError):
        raise UserError(
            f"{name}: an input is a {type(leaf).__name__}; give arrays, jax.ShapeDtypeStructs or "
            "exporter.TensorSpecs in the structure that func takes"
        ) from None


def _spec(leaf: Any, shape: tuple[int | str, ...], length: Sequence[int | str]) -> TensorSpec:
    dtype = jax.dtypes.canonicalize_dtype(getattr(leaf, "dtype", None) or np.asarray(leaf).dtype)
    return TensorSpec((_BATCH, *shape[1:]) if [*shape[:1]] == [*length] else shape, dtype.name)
