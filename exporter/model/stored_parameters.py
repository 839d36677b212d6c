"""Parameters from a file: an Orbax checkpoint, safetensors or Flax's msgpack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from exporter.errors import UserError
from exporter.model import naming
from exporter.model.model import PyTree
from exporter.model.parameters import shape_of_parameter

_SHOWN = 3  # names in a message


def load(path: Path, like: PyTree) -> PyTree:
    """Reads parameters into the structure that a model has.

    Names are compared part by part, whether a file joins them by `/` or by `.`; they may all
    stand below one more name, such as `params`, beside an optimizer's state.

    Args:
        path: A `.safetensors` or `.msgpack` file, or the directory of an Orbax checkpoint (of a
            manager's: its latest step).
        like: Pytree of arrays: the structure, shapes and dtypes.

    Raises:
        UserError: the file can't be read, or holds other names, shapes or dtypes.
    """
    if not path.exists():
        raise UserError(f"{path}: there is no such file or directory")
    paths = ["/".join(parts) for parts in naming.parameter_paths(like)]
    stored = _below_common_name(_read(path), paths)
    missing = [name for name in paths if name not in stored]
    extra = [name for name in stored if name not in set(paths)]
    if missing or extra:
        problems = [
            f"{what} {', '.join(names[:_SHOWN])}" + (" …" if len(names) > _SHOWN else "")
            for what, names in (("lacks", missing), ("has besides", extra))
            if names
        ]
        raise UserError(
            f"{path} {' and '.join(problems)}; give parameters of the model that build() makes"
        )
    leaves, structure = jax.tree.flatten(like)
    for name, leaf in zip(paths, leaves, strict=True):
        found, wanted = stored[name], shape_of_parameter(leaf)
        if tuple(found.shape) != wanted.shape or found.dtype != wanted.dtype:
            raise UserError(
                f"{path}: {name} is {found.dtype}{list(found.shape)}, the model that build() makes "
                f"has {wanted.dtype}{list(wanted.shape)}; give it the same sizes and dtypes"
            )
    return structure.unflatten([stored[name] for name in paths])


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.is_dir():
            return _flat(_read_orbax(path))
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        if path.suffix == ".msgpack":
            from flax import serialization

            return _flat(serialization.msgpack_restore(path.read_bytes()))
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: reading it needs {error.name}: pip install {error.name}"
        ) from None
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} can't be read: {reason}") from error
    raise UserError(
        f"{path}: give a .safetensors or .msgpack file, or an Orbax checkpoint's directory"
    )


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="flax") as file:
        return {name.replace(".", "/"): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _read_orbax(path: Path) -> Any:
    import orbax.checkpoint as ocp

    steps = [child for child in path.iterdir() if child.name.isdigit()]
    if steps:
        path = max(steps, key=lambda step: int(step.name))
    items = [child for child in path.iterdir() if (child / "_METADATA").exists()]
    if len(items) == 1 and not (path / "_METADATA").exists():
        path = items[0]
    with ocp.PyTreeCheckpointer() as checkpointer:
        return checkpointer.restore(path.absolute())


def _flat(pytree: Any) -> dict[str, Any]:
    leaves = jax.tree.leaves(pytree)
    paths = naming.parameter_paths(pytree)
    return {
        "/".join(parts[:-1] if parts[-1] == "value" else parts): leaf
        for parts, leaf in zip(paths, leaves, strict=True)
    }


def _below_common_name(stored: Mapping[str, Any], paths: list[str]) -> dict[str, Any]:
    """The parameters without a name that all of them stand below."""
    for root in dict.fromkeys(name.partition("/")[0] for name in stored):
        if all(f"{root}/{path}" in stored for path in paths):
            return {path: stored[f"{root}/{path}"] for path in paths}
    return dict(stored)
