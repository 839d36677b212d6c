"""Models that a user's function gives, named as `pkg.module:build`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporter.errors import UserError
from exporter.model import user_frame
from exporter.model.from_function import model_from_function
from exporter.model.model import Model
from exporter.model.stored_parameters import load as load_parameters


def load(target: str, name: str | None = None, params: Path | None = None) -> Model:
    """Calls a function `build` that gives a model.

    Args:
        target: `pkg.module:build`, found as `import` would find it from the working directory.
            It returns a `Model`, or `(func, params, inputs)` as `model_from_function` takes them.
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
    except UserError as error:
        raise UserError(f"{target}(): {error}") from error
    except Exception as error:
        raise UserError(f"{target}() failed: {user_frame.describe(error)}") from error
    model = replace(_as_model(target, name, built), source=target)
    return model if params is None else replace(model, params=load_parameters(params, model.params))


def default_name(target: str) -> str:
    """Returns what a model is called by default: the last part of its module's name."""
    return target.partition(":")[0].rpartition(".")[2]


def _as_model(target: str, name: str | None, built: Any) -> Model:
    if isinstance(built, Model):
        return built if name is None else replace(built, name=name)
    if not isinstance(built, tuple) or len(built) != 3:
        got = f"{len(built)} things" if isinstance(built, tuple) else type(built).__name__
        raise UserError(
            f"{target}() returned {got}; return (func, params, inputs), the inputs being example "
            "arrays or shapes, or an exporter.Model"
        )
    return model_from_function(name or default_name(target), *built)


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
