"""Portable StableHLO artefacts: what they call, and rewriting them for other runtimes.

A StableHLO of version v reads what was written for v or an older version, for five years
(https://github.com/openxla/stablehlo/blob/main/docs/compatibility.md).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from artifact._compat import context, ir, stablehlo
from artifact.errors import ModuleError


def written_for(serialized: bytes) -> str | None:
    """Returns the StableHLO version that an artefact says it was written for."""
    found = re.match(rb"ML\xefR.StableHLO_v([0-9.]+)", serialized, re.DOTALL)
    return found[1].decode() if found else None


def readable_version() -> str:
    """Returns the newest StableHLO version that this JAX reads."""
    return str(stablehlo.get_current_version())


@contextlib.contextmanager
def opened(serialized: bytes) -> Iterator[Any]:
    """Gives the module of an artefact, to be looked at and changed.

    Raises:
        ModuleError: this StableHLO can't read it, or the module can't be written within.
    """
    version = written_for(serialized)
    if version is None:
        raise ModuleError("it is no StableHLO artefact")
    messages: list[str] = []

    def note(diagnostic: Any) -> bool:
        messages.append(diagnostic.message)
        return True

    with context() as current:
        handler = current.attach_diagnostic_handler(note)
        try:
            try:
                module = stablehlo.deserialize_portable_artifact(current, serialized)
            except ValueError as error:
                raise ModuleError(
                    f"it was written for StableHLO {version}, of which {readable_version()} here "
                    f"can't read all: {_reason(messages, error)}"
                ) from None
            yield module
        except ModuleError:
            raise
        except ValueError as error:
            raise ModuleError(_reason(messages, error)) from None
        finally:
            handler.detach()


def serialize(module: Any, version: str) -> bytes:
    """Returns a module as an artefact for a StableHLO version; within `opened`."""
    return bytes(stablehlo.serialize_portable_artifact(module, version))


def operations(module: Any, name: str) -> list[Any]:
    """Returns the operations of that name, in all functions."""
    found: list[Any] = []

    def collect(operation: Any) -> Any:
        if operation.name == name:
            found.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    return found


def custom_calls(module: Any) -> dict[str, str]:
    """Returns the targets of custom calls, each with the primitive that it was lowered from."""
    found: dict[str, str] = {}
    for operation in operations(module, "stablehlo.custom_call"):
        location = re.search(r'"([^"]*)"', str(operation.location))
        primitive = location[1].rpartition("/")[2] if location else ""
        found.setdefault(ir.StringAttr(operation.attributes["call_target_name"]).value, primitive)
    return found


def drop_shardings(module: Any) -> None:
    """Removes what says how a module is spread over devices: it is for one.

    JAX adds such rules to its own calls of LAPACK, whatever is exported.
    """

    def strip(operation: Any) -> Any:
        for name in [_name(attribute) for attribute in operation.attributes]:
            if name.startswith("sdy."):
                del operation.attributes[name]
        return ir.WalkResult.ADVANCE

    module.operation.walk(strip)
    for constraint in operations(module, "sdy.sharding_constraint"):
        constraint.results[0].replace_all_uses_with(constraint.operands[0])
        constraint.erase()
    for mesh in operations(module, "sdy.mesh"):
        mesh.erase()


def call_decompositions(module: Any, keep: Callable[[str], bool] = lambda name: False) -> bool:
    """Replaces composite operations by calls of the functions that define them; True if it did.

    A runtime settles a program's open dimensions before it runs it, and stops at composites that
    it doesn't know: it refines the type of a composite, not that of its definition.

    Args:
        module: What is changed.
        keep: Whether composites of a name stay: these run faster where they are known.
    """
    found = [
        composite
        for composite in operations(module, "stablehlo.composite")
        if not keep(ir.StringAttr(composite.attributes["name"]).value)
    ]
    for composite in found:
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
    return bool(found)


def _name(attribute: Any) -> str:
    return attribute if isinstance(attribute, str) else str(attribute.name)


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
