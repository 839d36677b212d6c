"""Names for the leaves of a pytree: of inputs, of outputs, of parameters."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from typing import Any

import jax.tree_util as tree

from exporter.errors import UserError
from exporter.model.model import PyTree


def input_names(inputs: PyTree) -> list[str]:
    """Returns a signature's input names, in the order of `jax.tree.flatten`.

    Dictionary keys (and attribute names), nested ones joined with `_`. What has none is called
    `inputs`, or `inputs_0`, `inputs_1` in a tuple or list. TensorFlow takes letters, digits and
    `_`, a letter first, and none of Python's keywords: `my-input` becomes `my_input`, `class`
    becomes `class_`.

    Raises:
        UserError: two leaves would have the same name.
    """
    names = [_name(path, "inputs", alone="inputs") for path in _paths(inputs)]
    return _unique(list(map(_argument_name, names)), "inputs")


def output_names(outputs: PyTree) -> list[str]:
    """Returns a signature's output names; what has no dictionary key is called `output_<i>`.

    Raises:
        UserError: two leaves would have the same name.
    """
    names = [_name(path, "output", alone="output_0") for path in _paths(outputs)]
    return _unique(names, "outputs")


def parameter_paths(params: PyTree) -> list[tuple[str, ...]]:
    """Returns the parts of each parameter's path, such as `("conv1", "kernel")`.

    Raises:
        UserError: two parameters would have the same path.
    """
    stripped = [path[:-1] if _is_boxed(path) else path for path in _paths(params)]
    paths = [tuple(map(_part, path)) or ("parameter",) for path in stripped]
    _unique(["/".join(path) for path in paths], "parameters")
    return paths


def variable_names(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Returns a name for a TensorFlow variable of each parameter: its path, as far as that goes.

    TensorFlow takes fewer characters than JAX (source: tensorflow/python/framework/ops.py,
    `_VALID_SCOPE_NAME_REGEX`); Haiku's `mlp/~/linear` has one that it doesn't.
    """
    names: list[str] = []
    for path in paths:
        name = re.sub(r"[^A-Za-z0-9_./>-]", "_", "/".join(path))
        name = name if name[:1].isalnum() else f"p{name}"
        same = sum(other == name or other.startswith(f"{name}.same") for other in names)
        names.append(f"{name}.same{same}" if same else name)
    return names


def _paths(pytree: PyTree) -> list[tuple[Any, ...]]:
    return [path for path, _ in tree.tree_flatten_with_path(pytree)[0]]


def _name(path: tuple[Any, ...], root: str, *, alone: str) -> str:
    if not path:
        return alone
    parts = [_part(entry) for entry in path]
    if isinstance(path[0], (tree.SequenceKey, tree.FlattenedIndexKey)):
        parts.insert(0, root)
    return "_".join(parts)


def _argument_name(name: str) -> str:
    """The name as TensorFlow takes it for a function's argument.

    Sources: `sanitize_arg_name` in tensorflow/core/function/polymorphism/function_type.py, and
    `_VALID_OP_NAME_REGEX` in tensorflow/python/framework/ops.py, which knows ASCII only.
    """
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    if not plain[:1].isalpha():
        plain = f"arg_{plain}"
    # `self` is that of the functions that take the arguments.
    return f"{plain}_" if keyword.iskeyword(plain) or plain == "self" else plain


def _part(entry: Any) -> str:
    """The key, index or attribute name of one step into a pytree."""
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def _is_boxed(path: tuple[Any, ...]) -> bool:
    """Whether a path ends in a Flax variable, whose array is its `value`."""
    return len(path) > 1 and path[-1] == tree.GetAttrKey("value")


def _unique(names: list[str], what: str) -> list[str]:
    doubles: Sequence[str] = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise UserError(f"{what}: more than one leaf would be called {doubles[0]!r}; rename a key")
    return names
