"""A version's JAX programs on disk: portable StableHLO artefacts, and what `jax.export` serialized.

What `jax.export` serializes is promised to be read for six months by newer releases, and for three
weeks by older ones. A portable StableHLO artefact is read for five years by all whose StableHLO is
at least the version that it was written for: it is the one that versions have. Its calling
convention stands beside it in the manifest, and any JAX runs it as if it had exported it itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import jax
from jax.export import Exported, SymbolicScope, is_symbolic_dim, symbolic_shape

from artifact import _compat, modules
from artifact.errors import ModuleError
from artifact.manifest import ModuleRecord, Parameter

# Of the oldest JAX that this project supports, 0.9.0: what it writes, all later ones read.
STABLEHLO = "1.13.7"


def write(exported: Exported, num_parameters: int) -> tuple[bytes, ModuleRecord]:
    """Returns a program as a portable StableHLO artefact, and how it is called.

    It is written for `STABLEHLO`, or, where that can't express the program, for what JAX itself
    writes it for.

    Args:
        exported: A function `(list of parameters, list of inputs) -> list of outputs`, exported.
        num_parameters: How many of its flat arguments are parameters.

    Raises:
        ModuleError: the program is spread over several devices.
    """
    own = modules.written_for(exported.mlir_module_serialized) or modules.readable_version()
    try:
        version, serialized = STABLEHLO, _rewritten(exported, STABLEHLO)
    except ModuleError:
        version, serialized = own, _rewritten(exported, own)
    return serialized, ModuleRecord(
        version,
        tuple(exported.platforms),
        tuple(map(_text, exported.in_avals[num_parameters:])),
        tuple(map(_text, exported.out_avals)),
        tuple(exported.module_kept_var_idx),
    )


def read(
    serialized: bytes, record: ModuleRecord | None, parameters: Sequence[Parameter]
) -> Exported:
    """Returns a program as a function `(list of parameters, list of inputs) -> list of outputs`.

    Args:
        serialized: A file's content.
        record: How it is called; None of what `jax.export` serialized.
        parameters: The model's, flat.

    Raises:
        ModuleError: this JAX can't run it.
    """
    try:
        exported = (
            jax.export.deserialize(bytearray(serialized))
            if record is None
            else _called_as(record, serialized, parameters)
        )
    except ModuleError:
        raise
    except Exception as error:  # whatever JAX raises where it can't read another's bytes
        raise ModuleError(f"{type(error).__name__}: {error}") from error
    return _compat.with_module(exported, _runnable(exported))


def is_open(shape: Iterable[object]) -> bool:
    """Whether a shape has an open dimension."""
    return any(is_symbolic_dim(size) for size in shape)


def _rewritten(exported: Exported, version: str) -> bytes:
    with modules.opened(exported.mlir_module_serialized) as module:
        modules.drop_shardings(module)
        return modules.serialize(module, version)


def _runnable(exported: Exported) -> bytes:
    """The module as this JAX can settle its open shapes and call what it calls."""
    with modules.opened(exported.mlir_module_serialized) as module:
        _compat.initialize_lapack(modules.custom_calls(module))
        if not any(is_open(aval.shape) for aval in exported.in_avals):
            return exported.mlir_module_serialized
        modules.drop_shardings(module)
        if not modules.call_decompositions(module, keep=_compat.refines_composites_of):
            return exported.mlir_module_serialized
        return modules.serialize(module, modules.readable_version())


def _called_as(
    record: ModuleRecord, serialized: bytes, parameters: Sequence[Parameter]
) -> Exported:
    scope = SymbolicScope()
    # With x64 a shape's dtype is what it is; without, JAX takes 32 bits for 64.
    with jax.enable_x64(True):
        params = [jax.ShapeDtypeStruct(p.shape, p.dtype) for p in parameters]
        inputs = [_shape(text, scope) for text in record.inputs]
        is_static = not any(is_open(each.shape) for each in inputs)
        return _compat.exported(
            "the exported function",
            serialized,
            jax.tree.structure((params, inputs)),
            [*params, *inputs],
            [_shape(text, scope) for text in record.outputs],
            kept=record.kept,
            platforms=record.platforms,
            needs_refinement=not is_static or len(record.platforms) > 1,
        )


def _text(aval: Any) -> str:
    return f"{aval.dtype.name}[{','.join(map(str, aval.shape))}]"


def _shape(text: str, scope: SymbolicScope) -> jax.ShapeDtypeStruct:
    matched = re.fullmatch(r"(\w+)\[(.*)\]", text)
    if matched is None:
        raise ModuleError(f"{text!r} is no array")
    return jax.ShapeDtypeStruct(symbolic_shape(matched[2], scope=scope), matched[1])
