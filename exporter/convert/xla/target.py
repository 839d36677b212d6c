"""Which runtimes an export loads in: its calling convention and StableHLO version.

A serialized module can be read by runtimes whose StableHLO is at least as new as the version it
was written for. JAX writes for runtimes of the last four weeks
(https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees), which TensorFlow
Serving's releases aren't; a portable artifact can be written for any version down to 0.9.0
(https://github.com/openxla/stablehlo/blob/main/docs/compatibility.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jax.export import Exported, is_symbolic_dim

from artifact import modules
from artifact.errors import ModuleError
from exporter._compat.jax import ClosedJaxpr, line_of
from exporter.convert.xla import custom_calls
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


def retarget(exported: Exported, target: Target, jaxpr: ClosedJaxpr | None = None) -> Exported:
    """Returns the same program, its module rewritten for the target.

    Args:
        exported: The program.
        target: What it is rewritten for.
        jaxpr: The same program, to name the line of the user's code in errors.

    Raises:
        UserError: the program uses something that the target's StableHLO can't express, or calls
            what TensorFlow hasn't.
    """
    open_shapes = any(is_symbolic_dim(size) for aval in exported.in_avals for size in aval.shape)
    try:
        with modules.opened(exported.mlir_module_serialized) as module:
            modules.drop_shardings(module)
            custom_calls.write_as_operations(module)
            for call, primitive in custom_calls.unknown(module).items():
                line = jaxpr and line_of(primitive, jaxpr.jaxpr)
                raise UserError(
                    f"{exported.fun_name} calls {call}, which JAX brings and TensorFlow hasn't "
                    f"({primitive}{f' at {line}' if line else ''}); leave it out, or try --no_xla, "
                    "which writes TensorFlow's own operations and keeps JAX's program beside them"
                )
            if open_shapes:
                modules.call_decompositions(module)
            serialized = modules.serialize(module, target.stablehlo)
    except ModuleError as error:
        raise UserError(
            f"{exported.fun_name} can't be written for this --target (StableHLO "
            f"{target.stablehlo}): {error}; choose a newer --target, or leave the operation out"
        ) from None
    return replace(
        exported,
        calling_convention_version=target.calling_convention,
        mlir_module_serialized=serialized,
    )
