"""Which runtimes an export loads in: its calling convention and StableHLO version.

A serialized module can be read by runtimes whose StableHLO is at least as new as the version it
was written for. JAX writes for runtimes of the last four weeks
(https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees), which TensorFlow
Serving's releases aren't; a portable artifact can be written for any version down to 0.9.0
(https://github.com/openxla/stablehlo/blob/main/docs/compatibility.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jax.export import Exported
from jax.extend.mlir.dialects import stablehlo

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


# TensorFlow 2.19 is the oldest runtime; it reads calling conventions up to 9.
TENSORFLOW_2_19 = Target(calling_convention=9, stablehlo="1.9.1")


def retarget(exported: Exported, target: Target) -> Exported:
    """Returns the same program, its module rewritten for the target.

    Raises:
        UserError: the program uses something that the target's StableHLO can't express.
    """
    try:
        module = stablehlo.deserialize_portable_artifact_str(exported.mlir_module_serialized)
        serialized = stablehlo.serialize_portable_artifact_str(module, target.stablehlo)
    except ValueError as error:
        raise UserError(
            f"{exported.fun_name} can't be written as StableHLO {target.stablehlo}: {error}"
        ) from None
    return replace(
        exported,
        calling_convention_version=target.calling_convention,
        mlir_module_serialized=serialized,
    )
