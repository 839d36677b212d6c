"""Which runtimes an export loads in: its calling convention and StableHLO version.

A serialized module can be read by runtimes whose StableHLO is at least as new as the version it
was written for. JAX writes for runtimes of the last four weeks
(https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees), which TensorFlow
Serving's releases aren't; a portable artifact can be written for any version down to 0.9.0
(https://github.com/openxla/stablehlo/blob/main/docs/compatibility.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jax.export import Exported, is_symbolic_dim

from exporter._compat.jax import ir, stablehlo
from exporter.errors import UserError


@dataclass(frozen=True)
class Target:
    """The newest features that an export may ask of a runtime.

    Attributes:
        calling_convention: The version of `XlaCallModule`'s calling convention. Versions 9 and 10
            differ only in modules with shardings.
        stablehlo: The StableHLO version of the module.
    """

    calling_convention: int
    stablehlo: str


# Sources: tsl's and StableHLO's headers in these releases, stablehlo/dialect/Version.h and
# tensorflow/compiler/tf2xla/kernels/xla_call_module_loader.h. What fits one also fits later ones.
TARGETS = {
    "serving-2.19": Target(calling_convention=9, stablehlo="1.9.1"),
    "serving-2.20": Target(calling_convention=10, stablehlo="1.12.1"),
    "serving-2.21": Target(calling_convention=10, stablehlo="1.13.7"),
}


def get(name: str) -> Target:
    """The target of that name, such as `serving-2.19`.

    Raises:
        UserError: There is none.
    """
    if name not in TARGETS:
        raise UserError(f"target {name!r} is none of {', '.join(TARGETS)}")
    return TARGETS[name]


def retarget(exported: Exported, target: Target) -> Exported:
    """Returns the same program, its module rewritten for the target.

    Raises:
        UserError: the program uses something that the target's StableHLO can't express.
    """
    messages: list[str] = []
    with ir.Context() as context:
        stablehlo.register_dialect(context)

        def note(diagnostic: Any) -> bool:
            messages.append(diagnostic.message)
            return True

        handler = context.attach_diagnostic_handler(note)
        try:
            module = stablehlo.deserialize_portable_artifact(
                context, exported.mlir_module_serialized
            )
            if any(is_symbolic_dim(size) for aval in exported.in_avals for size in aval.shape):
                _call_decompositions(module)
            serialized = stablehlo.serialize_portable_artifact(module, target.stablehlo)
        except ValueError as error:
            raise UserError(
                f"{exported.fun_name} can't be written for this --target (StableHLO "
                f"{target.stablehlo}): {_reason(messages, error)}; choose a newer --target, or "
                "leave the operation out"
            ) from None
        finally:
            handler.detach()
    return replace(
        exported,
        calling_convention_version=target.calling_convention,
        mlir_module_serialized=serialized,
    )


def _call_decompositions(module: Any) -> None:
    """Replaces composite operations by calls of the functions that define them.

    TensorFlow settles a program's open dimensions before it runs it, and stops at composites:
    it refines the type of a composite, not that of its definition (`lax.top_k` for one).
    """
    composites: list[Any] = []

    def collect(operation: Any) -> Any:
        if operation.name == "stablehlo.composite":
            composites.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for composite in composites:
        with composite.context, composite.location:
            call = ir.Operation.create(
                "func.call",
                results=[result.type for result in composite.results],
                operands=list(composite.operands),
                attributes={"callee": composite.attributes["decomposition"]},
                ip=ir.InsertionPoint(composite),
            )
        for old, new in zip(composite.results, call.results, strict=True):
            old.replace_all_uses_with(new)
        composite.erase()


def _reason(messages: Sequence[str], error: Exception) -> str:
    """Which operation is too new, as far as MLIR says it."""
    text = " ".join(messages) or str(error)
    named = re.search(r"vhlo\.(\w+?)(?:_v\d+)?\b", text)
    attribute = re.search(r'name = #vhlo.string_v1<"([^"]+)">', text)
    if attribute:
        return f"it has no {attribute[1]}"
    if named:
        return f"it has no {named[1]} of this form"
    return text.splitlines()[0]
