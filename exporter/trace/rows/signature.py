"""The proof for a signature as it is exported."""

from __future__ import annotations

from jax import export

from exporter.errors import UserError
from exporter.trace.rows.batch import Batch
from exporter.trace.rows.instances import Comparison, Differs
from exporter.trace.rows.proof import Verdict, prove
from exporter.trace.trace import trace_size
from exporter.trace.traced import Trace, TracedSignature

# In the place of a fixed batch's size; tried one after the other, should one of them be the size
# of something else.
_PRIMES = (211, 331)


def prove_signature(traced: TracedSignature) -> Verdict:
    """Proves that the rows of a signature are independent, or says what stands against it.

    In a program for a fixed batch, a dimension of the same size looks like the batch. So the
    function is traced once more, for a prime number of rows, which no other size is a multiple
    of; that program is proven; and each exported one must be the same but for the multiples of
    its own batch that stand where the prime's do. Then all of them are one function of a row.
    """
    if traced.entry.batch_symbol is None:
        return Verdict("no input has an open first dimension")
    if not traced.fixed_batch_sizes:
        symbol = _symbol(traced)
        if not export.is_symbolic_dim(symbol):
            return Verdict(f"the constraints leave no batch size but {symbol}")
        return _prove(traced, traced.serving, symbol)
    verdict = Verdict()
    for prime in _PRIMES:
        verdict = _prove_fixed(traced, prime)
        if verdict.is_proven:
            break
    return verdict


def _prove_fixed(traced: TracedSignature, prime: int) -> Verdict:
    try:
        measure = trace_size(traced.entry, prime, traced.serving.platforms)
    except UserError as error:
        return Verdict(f"rows are told apart in a batch of {prime}, for which {error}")
    verdict = _prove(traced, measure, prime)
    if not verdict.is_proven:
        return verdict
    for fixed in traced.traces:
        assert fixed.batch_size is not None
        try:
            Comparison(Batch(prime), fixed.batch_size).check(measure.jaxpr, fixed.jaxpr)
        except Differs as error:
            return Verdict(f"the program for batch {fixed.batch_size} {error} than other batches'")
    return Verdict()


def _prove(traced: TracedSignature, measure: Trace, size: object) -> Verdict:
    shapes = [shape.shape for shape in measure.input_shapes]
    return prove(
        measure.jaxpr,
        size,
        dict(zip(traced.entry.specs, shapes, strict=True)),
        traced.output_names,
        len(measure.param_shapes),
    )


def _symbol(traced: TracedSignature) -> object:
    """The batch as JAX has it; what the constraints made of it, where they settle it."""
    specs = traced.entry.specs.items()
    (name, axis) = next(
        (name, spec.shape.index(traced.entry.batch_symbol))
        for name, spec in specs
        if traced.entry.batch_symbol in spec.shape
    )
    return traced.input_shapes[name].shape[axis]
