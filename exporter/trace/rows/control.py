"""Programs inside programs: calls, branches and loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from exporter._compat.jax import ClosedJaxpr, scan_counts
from exporter.trace.rows.batch import Batch, Mixes, shape_of

# Why a value isn't its own row's alone; None of one that is.
Reason = str | None
Reasons = list[Reason]


class Reader(Protocol):
    """What reads a program through: `proof.py`."""

    batch: Batch

    def run(self, jaxpr: Any, operands: Sequence[Reason]) -> Reasons:
        """Returns why each result of a jaxpr mixes rows, or None, for operands that may do so."""


Control = Callable[[Reader, Any, Sequence[Reason]], Reasons]


def call(reader: Reader, equation: Any, operands: Sequence[Reason]) -> Reasons:
    """Runs the program inside, whatever the parameter is called."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call"):
        inner = equation.params.get(name)
        if inner is not None:
            return reader.run(_open(inner), operands)
    raise Mixes("holds no program that could be read")


def branches(reader: Reader, equation: Any, operands: Sequence[Reason]) -> Reasons:
    """One of several programs, by a number: a scalar, so none that each row has for itself."""
    index, *rest = operands
    found = [reader.run(_open(branch), rest) for branch in equation.params["branches"]]
    return [index or next(filter(None, reasons), None) for reasons in zip(*found, strict=True)]


def loop(reader: Reader, equation: Any, operands: Sequence[Reason]) -> Reasons:
    """A `while`: how often it goes round is one number for all rows, and may not be theirs."""
    params = equation.params
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition, body = operands[:first], operands[first:second]
    carry = _settled(
        lambda carry: reader.run(_open(params["body_jaxpr"]), [*body, *carry]), operands[second:]
    )
    (ends,) = reader.run(_open(params["cond_jaxpr"]), [*condition, *carry])
    return [ends or reason for reason in carry]


def scan(reader: Reader, equation: Any, operands: Sequence[Reason]) -> Reasons:
    """A loop over the places of an axis: not over rows, unless none hears of another.

    `lax.map` over the batch has no carry, and its body sees one row and what all share.
    """
    params = equation.params
    consts, count = scan_counts(params)
    if reader.batch.mentions(params["length"]):
        shared = [shape_of(variable) for variable in equation.invars[:consts]]
        if count:
            raise Mixes("carries something from row to row")
        if reader.batch.mentions(shared) or reader.batch.mentions(params["jaxpr"]):
            raise Mixes("shows each row all rows")
        reason = next(filter(None, operands), None)
        return [reason] * len(equation.outvars)
    inner = _open(params["jaxpr"])
    xs = operands[consts + count :]

    def once(carry: Sequence[Reason]) -> Reasons:
        return reader.run(inner, [*operands[:consts], *carry, *xs])

    carry = _settled(lambda carry: once(carry)[:count], operands[consts : consts + count])
    return [*carry, *once(carry)[count:]]


def _settled(once: Callable[[Sequence[Reason]], Reasons], carry: Sequence[Reason]) -> Reasons:
    """What a loop's carry is after any number of rounds: what mixes once stays so."""
    found = list(carry)
    while True:
        after = [old or new for old, new in zip(found, once(found), strict=True)]
        if after == found:
            return found
        found = after


def _open(jaxpr: Any) -> Any:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


_CALLS = (
    "call", "checkpoint", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call",
    "custom_vjp_call_jaxpr", "custom_vmap_call", "jit", "pjit", "remat2",
)  # fmt: skip

CONTROL: dict[str, Control] = {
    **dict.fromkeys(_CALLS, call),
    "cond": branches,
    "scan": scan,
    "while": loop,
}
