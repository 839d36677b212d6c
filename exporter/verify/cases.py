"""Inputs with JAX's answers: random ones, real ones, and those at the edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from artifact.comparison import absolute_tolerance, difference, largest_finite
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import Tolerance
from exporter.errors import UserError
from exporter.model.entry import Entry
from exporter.trace.dependence import has_open_loop
from exporter.trace.traced import TracedSignature
from exporter.verify import edges
from exporter.verify.answers import answer, jitted
from exporter.verify.fragile import Fragile, fragile_outputs
from exporter.verify.inputs import Arrays, draw, is_float, usable_batch_sizes
from exporter.verify.leeway import leeway
from exporter.verify.tolerances import of_outputs

Tolerances = Mapping[str, Tolerance]
Cases = Mapping[str, GoldenCase]

# As many real inputs as a version keeps for clients to send.
MAX_EXAMPLES = 256
# How often random inputs are drawn again, whose integers hang on the last bit of a float.
_DRAWS = 8


@dataclass(frozen=True)
class SignatureCases:
    """What a signature is compared at, each by the case's name.

    Attributes:
        tolerances: How far an output may be from JAX's, by its name.
        random: Of several batch sizes.
        examples: Real inputs; empty where there are none.
        edges: Of the ends of dtypes.
        untried: Which of those were left out, and why; empty where none were.
    """

    tolerances: Tolerances
    random: Cases
    examples: Cases
    edges: Cases
    untried: str

    @property
    def all(self) -> Cases:
        """All of them."""
        return {**self.random, **self.examples, **self.edges}


def collect(
    traced: TracedSignature,
    batch_sizes: Sequence[int],
    *,
    seed: int,
    tolerance: Tolerance | None = None,
    allow_non_finite: bool = False,
    max_examples: int = MAX_EXAMPLES,
) -> SignatureCases:
    """Returns what a signature is compared at, with JAX's answers.

    Args:
        traced: The signature; one of fixed batch sizes is compared at those.
        batch_sizes: Of the random inputs, where any is taken.
        seed: Decides the random inputs.
        tolerance: Of all outputs; None: as their dtypes allow.
        allow_non_finite: Whether an output may be without a finite number everywhere.
        max_examples: Real inputs are cut off there.

    Raises:
        UserError: the function answers the same inputs differently the second time, or an output
            shows nothing.
    """
    entry, fixed = traced.entry, traced.fixed_batch_sizes
    tolerances = of_outputs(traced)
    if tolerance is not None:
        tolerances = dict.fromkeys(tolerances, tolerance)
    drawn = random_cases(entry, fixed or batch_sizes, tolerances, seed)
    real = example_case(entry, max_examples)
    fragile, ends, untried = fragile_outputs(traced), {}, ""
    if _has_open_loop(traced):
        untried = "not compared at the ends of dtypes: the length of a loop depends on the inputs"
    else:
        ends = edge_cases(traced, fragile, tolerances, seed)
        if fragile.decomposed:
            untried = (
                "not compared at infinities and NaN: a matrix's decomposition may not end there"
            )
    if not allow_non_finite:
        check_telling(entry.label, [*drawn.values(), *real.values()], tolerances)
    return SignatureCases(tolerances, drawn, real, ends, untried)


def batch_name(batch_size: int) -> str:
    """Returns the name of the case of random inputs of a batch size."""
    return f"batch_{batch_size}"


def random_cases(
    entry: Entry, batch_sizes: Sequence[int], tolerances: Tolerances, seed: int
) -> dict[str, GoldenCase]:
    """Returns random inputs of several batch sizes with JAX's answers, by case name.

    Raises:
        UserError: the function answers the same inputs differently the second time.
    """
    cases = {
        batch_name(size): _settled_case(entry, size, tolerances, seed)
        for size in usable_batch_sizes(entry, batch_sizes)
    }
    first = next(iter(cases.values()))
    again = answer(entry, first.inputs)
    for name, array in first.outputs.items():
        if not difference(again[name], array, Tolerance()).agrees:
            raise UserError(
                f"{entry.label}: {name} is another one for the same inputs the second time; the "
                "function has a side effect or draws random numbers: make it depend on params and "
                "inputs alone"
            )
    return cases


def example_case(entry: Entry, count: int = MAX_EXAMPLES) -> dict[str, GoldenCase]:
    """Returns the first real inputs of a signature with JAX's answers; none where it has none."""
    real = entry.real_inputs()
    if real is None or entry.examples is None:
        return {}
    labels = entry.examples.labels
    inputs = {
        name: array[:count] if name in entry.batched_inputs else array
        for name, array in real.items()
    }
    return {
        EXAMPLES: GoldenCase(
            inputs,
            answer(entry, inputs),
            None if labels is None else np.asarray(labels[:count], np.int64),
        )
    }


def edge_cases(
    traced: TracedSignature, fragile: Fragile, tolerances: Tolerances, seed: int
) -> dict[str, GoldenCase]:
    """Returns inputs at the edges of their dtypes with JAX's answers, and how settled those are.

    Args:
        traced: The signature.
        fragile: Its outputs that an algorithm decides there.
        tolerances: Of the outputs, by name.
        seed: Decides the numbers between the edges.
    """
    entry = traced.entry
    size = traced.serving.batch_size or edges.batch_size(entry)
    found = edges.edge_cases(
        lambda number: draw(entry, size, seed + number),
        entry.batched_inputs,
        size=size,
        longest=edges.longest_table(entry.params),
        seed=seed,
        kinds=(edges.EDGES,) if fragile.decomposed else edges.KINDS,
    )
    run = jitted(entry)
    cases = {}
    for case in found:
        outputs = answer(entry, case.inputs)
        room = leeway(
            run,
            entry.params,
            case.inputs,
            outputs,
            tolerances,
            seed=seed,
            without_rank=fragile.decomposed,
        )
        if edges.kind_of(case.name) == edges.EXTREMES:
            room = {name: _unsettle(fragile, name, outputs[name], a) for name, a in room.items()}
        cases[case.name] = GoldenCase(case.inputs, outputs, leeway=room)
    return cases


def _unsettle(fragile: Fragile, name: str, output: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Leaves out what an algorithm makes of infinities and NaN."""
    if name in fragile.ordered or (name in fragile.dropping_nan and not is_float(output)):
        return np.full(output.shape, np.inf)
    if name in fragile.dropping_nan:
        return np.where(np.isnan(output), np.inf, room)
    return room


def check_telling(label: str, cases: Sequence[GoldenCase], tolerances: Tolerances) -> None:
    """Checks that each output shows something: a NaN equals a NaN, whatever is wrong behind it.

    Raises:
        UserError: an output has no finite number in any of the cases, or only numbers so small
            that the tolerance allows any others.
    """
    for name in cases[0].outputs:
        arrays = [case.outputs[name] for case in cases if case.outputs[name].size]
        if not arrays or not is_float(arrays[0]):
            continue
        if not any(np.isfinite(array).any() for array in arrays):
            raise UserError(
                f"{label}: {name} is NaN or infinite at all inputs that were tried, so nothing can "
                "be compared; mend the model, give it real inputs (Examples), or publish it as it "
                "is: --allow_non_finite"
            )
        sizes = [largest_finite(array) for array in arrays]
        allowed = [absolute_tolerance(array, tolerances[name]) for array in arrays]
        largest = max(sizes)
        if largest and all(size <= room for size, room in zip(sizes, allowed, strict=True)):
            raise UserError(
                f"{label}: {name} is at most {largest:.0e} at all inputs that were tried, and "
                f"differences up to {max(allowed):.0e} are allowed, so nothing can be compared; "
                "scale the output, or give a smaller tolerance (--atol)"
            )


def _has_open_loop(traced: TracedSignature) -> bool:
    """Whether edges could make the function endless."""
    trace = traced.serving
    is_input = [False] * len(trace.param_shapes) + [True] * len(trace.input_shapes)
    return has_open_loop(trace.jaxpr.jaxpr, is_input)


def _settled_case(entry: Entry, batch_size: int, tolerances: Tolerances, seed: int) -> GoldenCase:
    """Random inputs whose integer outputs no rounding changes, if a few draws find some."""
    run = jitted(entry)
    for number in range(_DRAWS):
        inputs: Arrays = draw(entry, batch_size, seed + number)
        for _ in range(2):
            outputs = answer(entry, inputs)
            exact = [name for name, array in outputs.items() if not is_float(array)]
            if not exact or not _has_floats(entry, inputs):
                return GoldenCase(inputs, outputs)
            room = leeway(run, entry.params, inputs, outputs, tolerances, seed=seed)
            if not any(room[name].any() for name in exact):
                return GoldenCase(inputs, outputs)
            inputs = _settled_rows(entry, inputs, [room[name] for name in exact])
    return GoldenCase(inputs, answer(entry, inputs))


def _settled_rows(entry: Entry, inputs: Arrays, rooms: Sequence[np.ndarray]) -> Arrays:
    """The inputs with rows that are settled in place of those that aren't, where there are any."""
    batched = entry.batched_inputs
    if not batched:
        return inputs
    size = len(inputs[batched[0]])
    by_row = [room.reshape(size, -1).any(axis=1) for room in rooms if room.shape[:1] == (size,)]
    settled = np.flatnonzero(~np.any(by_row, axis=0)) if by_row else np.arange(0)
    if not settled.size:
        return inputs
    chosen = np.resize(settled, size)
    return {**inputs, **{name: inputs[name][chosen] for name in batched}}


def _has_floats(entry: Entry, inputs: Arrays) -> bool:
    numbers = [*jax.tree.leaves(entry.params), *inputs.values()]
    return any(map(is_float, numbers))
