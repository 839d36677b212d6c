"""Branches and loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from exporter._compat.jax import scan_counts
from exporter.convert.plain_ops.dimensions import is_static, static_shape
from exporter.convert.plain_ops.rule import Rule, Site, Value


def cond(site: Site, index: Value, *operands: Value) -> Sequence[Value]:
    """One branch of several, as a chain of two-way branches."""
    branches = site.params["branches"]
    index = tf.cast(index, tf.int32)

    def run(number: int) -> list[Value]:
        branch = branches[number]
        results = site.run(branch.jaxpr, branch.consts, *operands)
        # Identities: a branch may hand on what comes from outside it.
        return [tf.identity(result) for result in results]

    def choose(number: int) -> list[Value]:
        if number == len(branches) - 1:
            return run(number)
        return tf.cond(index <= number, lambda: run(number), lambda: choose(number + 1))

    return choose(0) if site.outputs else []


def while_loop(site: Site, *operands: Value) -> Sequence[Value]:
    """Runs the body as long as the condition holds."""
    params = site.params
    cond_count, body_count = params["cond_nconsts"], params["body_nconsts"]
    cond_consts = operands[:cond_count]
    body_consts = operands[cond_count : cond_count + body_count]
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]

    batched = len(condition.out_avals[0].shape)

    def each_holds(*carry: Value) -> Value:
        return site.run(condition.jaxpr, condition.consts, *cond_consts, *carry)[0]

    def holds(*carry: Value) -> Value:
        return tf.reduce_any(each_holds(*carry)) if batched else each_holds(*carry)

    def step(*carry: Value) -> list[Value]:
        stepped = site.run(body.jaxpr, body.consts, *body_consts, *carry)
        if not batched:
            return stepped
        # A loop under `vmap`: who is done waits for the others.
        going = each_holds(*carry)
        return [
            tf.where(_leading(going, len(new.shape)), new, old)
            for new, old in zip(stepped, carry, strict=True)
        ]

    return _loop(holds, step, operands[cond_count + body_count :], site.outputs)


def scan(site: Site, *operands: Value) -> Sequence[Value]:
    """A loop over the leading axis; what the user unrolled in full has no loop."""
    params = site.params
    const_count, carry_count = scan_counts(params)
    consts = operands[:const_count]
    carry = list(operands[const_count : const_count + carry_count])
    xs = operands[const_count + carry_count :]
    inner = params["jaxpr"]

    def step(index: Value, carry: Sequence[Value]) -> tuple[list[Value], list[Value]]:
        slices = [tf.gather(x, index) if tf.is_tensor(index) else x[index] for x in xs]
        results = site.run(inner.jaxpr, inner.consts, *consts, *carry, *slices)
        return results[:carry_count], results[carry_count:]

    length = params["length"]
    if is_static(length) and 0 < length <= _unroll(params):
        return _unrolled(step, carry, int(length), reverse=params["reverse"])
    size = site.dimensions.size(length)
    y_specs = site.outputs[carry_count:]
    arrays = [
        tf.TensorArray(
            spec.dtype,
            size=size,
            element_shape=static_shape(spec.shape[1:]),
            clear_after_read=False,
        )
        for spec in y_specs
    ]

    def body(counter: Value, carry: list[Value], arrays: list[Any]) -> tuple[Value, Any, Any]:
        index = size - 1 - counter if params["reverse"] else counter
        carry, ys = step(index, carry)
        carry = [tf.convert_to_tensor(value) for value in carry]
        pairs = zip(arrays, ys, strict=True)
        return counter + 1, carry, [array.write(index, y) for array, y in pairs]

    carry = [tf.convert_to_tensor(value) for value in carry]
    invariants = (
        tf.TensorShape([]),
        [static_shape(spec.shape) for spec in site.outputs[:carry_count]],
        [tf.TensorShape(None) for _ in arrays],
    )
    _, carry, arrays = tf.while_loop(
        lambda counter, *_: counter < size,
        body,
        (tf.constant(0), carry, arrays),
        shape_invariants=invariants,
        parallel_iterations=1,
    )
    return [*carry, *(array.stack() for array in arrays)]


def _leading(going: Value, rank: int) -> Value:
    """Returns booleans that broadcast along the axes behind their own."""
    return going[(...,) + (tf.newaxis,) * (rank - len(going.shape))]


def _unroll(params: Any) -> int:
    return int(params["unroll"])


def _unrolled(step: Any, carry: Sequence[Value], length: int, *, reverse: bool) -> Sequence[Value]:
    rows = []
    for index in reversed(range(length)) if reverse else range(length):
        carry, ys = step(index, carry)
        rows.append(ys)
    if reverse:
        rows.reverse()
    return [*carry, *(tf.stack(column) for column in zip(*rows, strict=True))]


def _loop(holds: Any, step: Any, carry: Sequence[Value], specs: Sequence[Any]) -> Sequence[Value]:
    results = tf.while_loop(
        holds,
        lambda *values: [tf.convert_to_tensor(value) for value in step(*values)],
        [tf.convert_to_tensor(value) for value in carry],
        shape_invariants=[static_shape(spec.shape) for spec in specs],
        parallel_iterations=1,
    )
    return list(results)


RULES = {"cond": Rule(cond), "scan": Rule(scan), "while": Rule(while_loop)}
