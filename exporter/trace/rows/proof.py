"""Reads a traced program through, and says whether its rows are independent of one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter._compat.jax import Literal, source_line
from exporter.trace.rows import numbers
from exporter.trace.rows.batch import Batch, Mixes, shape_of
from exporter.trace.rows.control import CONTROL, Reason, Reasons
from exporter.trace.rows.numbers import Fact, Never
from exporter.trace.rows.operation import Operation
from exporter.trace.rows.rules import RULES, Rule


@dataclass(frozen=True)
class Verdict:
    """Whether each row of each output depends on the same row of the inputs alone.

    Attributes:
        refusal: Why that isn't proven, with the primitive and the user's line; empty: it is.
    """

    refusal: str = ""

    @property
    def is_proven(self) -> bool:
        """Whether it is proven."""
        return not self.refusal


def prove(
    jaxpr: Any, size: Any, inputs: Mapping[str, Any], outputs: Sequence[str], parameters: int
) -> Verdict:
    """Proves that a program's rows are independent, or says what stands against it.

    What is proven is exact: for all inputs, row i of each output is one function, the same for
    each i and for each size of the batch, of row i of the inputs and of the parameters. How a
    compiler rounds its sums isn't part of it.

    Args:
        jaxpr: `(*parameters, *inputs) -> outputs`, traced with a batch of this size.
        size: The batch's size; no other size may be made of it.
        inputs: The inputs' shapes by name, in the program's order.
        outputs: The outputs' names, in the program's order.
        parameters: How many parameters there are.
    """
    batch = Batch(size)
    for name, shape in inputs.items():
        if not _leads(batch, shape):
            return Verdict(f"input {name} has shape {_text(shape)}, whose first axis has no rows")
    reasons = _Reader(batch).run(jaxpr.jaxpr, [None] * (parameters + len(inputs)))
    for name, reason, variable in zip(outputs, reasons, jaxpr.jaxpr.outvars, strict=True):
        if reason is not None:
            return Verdict(f"output {name}: {reason}")
        shape = shape_of(variable)
        if not _leads(batch, shape):
            return Verdict(f"output {name} has shape {_text(shape)}, whose first axis has no rows")
    return Verdict()


class _Reader:
    """Notes for each value of a program why it mixes rows, if it does.

    A value that doesn't is told by its shape: with the batch in it, it has rows; without, it is
    the same whatever the rows and however many.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def run(self, jaxpr: Any, operands: Sequence[Reason]) -> Reasons:
        """Returns why each result mixes rows; None where it doesn't."""
        found: dict[Any, Reason] = {
            table: "the function holds an array with a place for each row"
            if self.batch.mentions(shape_of(table))
            else None
            for table in jaxpr.constvars
        }
        found.update(zip(jaxpr.invars, operands, strict=True))

        def look_up(atom: Any) -> Reason:
            return None if isinstance(atom, Literal) else found[atom]

        facts: dict[Any, Fact] = {}
        for equation in jaxpr.eqns:
            reasons = list(map(look_up, equation.invars))
            known = [None if isinstance(a, Literal) else facts.get(a) for a in equation.invars]
            results = self._equation(equation, reasons, known)
            found.update(zip(equation.outvars, results, strict=True))
            if any(known) or equation.primitive.name == "iota":
                mixed = [reason is not None for reason in reasons]
                facts[equation.outvars[0]] = numbers.learn(self.batch, equation, known, mixed)
        return list(map(look_up, jaxpr.outvars))

    def _equation(
        self, equation: Any, operands: Sequence[Reason], known: Sequence[Fact]
    ) -> Reasons:
        name = equation.primitive.name
        control, rule = CONTROL.get(name), RULES.get(name)
        mixed = next(filter(None, operands), None)
        outputs = [shape_of(variable) for variable in equation.outvars]
        try:
            if control is not None:
                reasons = control(self, equation, operands)
            elif name == "select_n" and isinstance(known[0], Never):
                reasons = [operands[1]]
            elif numbers.looks_up_own_row(self.batch, equation, known):
                reasons = [operands[0] or next(iter(operands[2:]), None)]
            elif mixed is not None:
                reasons = [mixed] * len(outputs)
            else:
                self._apply(rule, equation, outputs)
                reasons = [None] * len(outputs)
            for shape, reason in zip(outputs, reasons, strict=True):
                if reason is None:
                    self.batch.axis(shape)
        except Mixes as error:
            return [f"{name} {error} at {source_line(equation)}"] * len(outputs)
        return reasons

    def _apply(self, rule: Rule | None, equation: Any, outputs: Sequence[tuple[Any, ...]]) -> None:
        inputs = [shape_of(variable) for variable in equation.invars]
        if not self.batch.mentions([inputs, outputs, equation.params]):
            return  # of the parameters alone
        if rule is None:
            raise Mixes("isn't known to keep rows apart")
        axes = list(map(self.batch.axis, inputs))
        dtypes = [getattr(variable.aval, "dtype", None) for variable in equation.invars]
        rule(Operation(self.batch, equation.params, inputs, outputs, axes, dtypes))


def _leads(batch: Batch, shape: Sequence[Any]) -> bool:
    try:
        return batch.axis(shape) == 0 and bool(shape[0] == batch.size)
    except Mixes:
        return False


def _text(shape: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]"
