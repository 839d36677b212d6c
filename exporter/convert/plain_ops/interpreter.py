"""Runs a jaxpr with TensorFlow ops: equation by equation, each by its primitive's rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from exporter._compat.jax import Literal, evaluate, jaxprs_in_params, source_line
from exporter._compat.jax_definitions import is_key, physical, wrap_key
from exporter.convert.plain_ops.broadcasting import materialize
from exporter.convert.plain_ops.dimensions import Dimensions, is_static, static_shape
from exporter.convert.plain_ops.errors import (
    UnsupportedForm,
    UnsupportedPrimitive,
    without_rule,
)
from exporter.convert.plain_ops.random_keys import MOVES, MOVES_OF_KEYS
from exporter.convert.plain_ops.rule import Rule, Site, Value

# Folding a larger result would only swell the graph.
_LARGEST_FOLDED = 2**22


@dataclass(frozen=True)
class Interpreter:
    """Lowers jaxprs inside a TensorFlow graph.

    Attributes:
        rules: By the primitive's name.
        dimensions: The sizes of the symbolic dimensions.
        portable: Whether only ops that TensorFlow.js has may be used.
    """

    rules: Mapping[str, Rule]
    dimensions: Dimensions
    portable: bool = False

    def run(self, jaxpr: Any, consts: Sequence[Value], *args: Value) -> list[Value]:
        """Runs a jaxpr.

        Args:
            jaxpr: A `Jaxpr`, without its constants.
            consts: Its constants.
            args: Its inputs: tensors or NumPy arrays.

        Returns:
            Its results, in full shape.

        Raises:
            UnsupportedPrimitive: there is no rule for an equation.
        """
        values: dict[Any, Value] = {}
        values.update(zip(jaxpr.constvars, map(constant, consts), strict=True))
        values.update(zip(jaxpr.invars, args, strict=True))

        def read(atom: Any) -> Value:
            if isinstance(atom, Literal):
                return np.asarray(atom.val, atom.aval.dtype)
            return values[atom]

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            results = self._fold(equation, operands) or self._apply(equation, operands)
            values.update(zip(equation.outvars, results, strict=True))
        site = self._site(None)
        return [
            materialize(site, numbers_of(read(atom)), _spec(atom).shape) for atom in jaxpr.outvars
        ]

    def _fold(self, equation: Any, operands: Sequence[Value]) -> list[Value] | None:
        """Lets JAX compute what depends on neither inputs nor parameters."""
        name = equation.primitive.name
        shapes = [var.aval.shape for var in equation.outvars]
        if (
            any(map(tf.is_tensor, operands))
            or equation.effects
            or name in ("broadcast_in_dim", "dim_as_value")
            or not all(is_static(size) for shape in shapes for size in shape)
            or any(np.prod(shape, dtype=np.int64) > _LARGEST_FOLDED for shape in shapes)
            or "dim_as_value" in _primitives(equation)
        ):
            return None
        arrays = [
            _logical(value, var.aval) for var, value in zip(equation.invars, operands, strict=True)
        ]
        with tf.init_scope(), jax.ensure_compile_time_eval():
            results = evaluate(equation, arrays)
        return list(map(constant, results))

    def _apply(self, equation: Any, operands: Sequence[Value]) -> list[Value]:
        name = equation.primitive.name
        rule = self.rules.get(name)
        if rule is None:
            raise UnsupportedPrimitive(name, without_rule(name), source_line(equation))
        site = self._site(equation)
        operands = list(map(numbers_of, operands))
        if name in MOVES and any(is_key(atom.aval.dtype) for atom in equation.outvars):
            rule = MOVES_OF_KEYS
        if not rule.lazy:
            operands = [
                materialize(site, value, spec.shape)
                for value, spec in zip(operands, site.inputs, strict=True)
            ]
        try:
            results = rule.apply(site, *operands)
        except UnsupportedPrimitive as error:
            if error.source:
                raise
            # JAX's own functions are traced without the user's line; who calls them has it.
            source = source_line(equation)
            raise UnsupportedPrimitive(error.primitive, error.reason, source) from None
        except UnsupportedForm as error:
            raise UnsupportedPrimitive(name, str(error), source_line(equation)) from None
        except (tf.errors.OpError, TypeError, ValueError, NotImplementedError) as error:
            reason = f"TensorFlow refuses it: {str(error).strip().splitlines()[0]}"
            raise UnsupportedPrimitive(name, reason, source_line(equation)) from error
        if not isinstance(results, list | tuple):
            results = [results]
        for value, var in zip(results, equation.outvars, strict=True):
            shape = _spec(var).shape
            if tf.is_tensor(value) and len(value.shape) == len(shape):
                lazily = [1 if size == 1 else None for size in value.shape]
                full = static_shape(shape).as_list()
                value.set_shape([a if a == 1 else b for a, b in zip(lazily, full, strict=True)])
        return list(results)

    def _site(self, equation: Any) -> Site:
        return Site(
            primitive=equation.primitive if equation else None,
            params=equation.params if equation else {},
            logical=[_logical_spec(atom) for atom in equation.invars] if equation else [],
            inputs=[_spec(atom) for atom in equation.invars] if equation else [],
            outputs=[_spec(atom) for atom in equation.outvars] if equation else [],
            dimensions=self.dimensions,
            portable=self.portable,
            run=self.run,
        )


def constant(value: Any) -> Value:
    """Returns a NumPy array; a random key, which NumPy can't hold, stays as it is."""
    return value if is_key(getattr(value, "dtype", np.float32)) else np.asarray(value)


def numbers_of(value: Value) -> Value:
    """Returns what stands for a value in a graph: for random keys that are constants, numbers."""
    is_constant_key = isinstance(value, jax.Array) and is_key(value.dtype)
    return np.asarray(jax.random.key_data(value)) if is_constant_key else value


def _logical(value: Value, aval: Any) -> Any:
    """Returns a constant as JAX takes it: in full, and keys as keys."""
    if not isinstance(value, np.ndarray):
        return value
    if is_key(aval.dtype):
        return wrap_key(np.broadcast_to(value, physical(aval.shape, aval.dtype).shape), aval.dtype)
    return np.broadcast_to(value, aval.shape)


def _primitives(equation: Any) -> set[str]:
    """The names of the primitives inside an equation, its own included."""
    names = {equation.primitive.name}
    for inner in jaxprs_in_params(equation.params):
        for equation_inside in inner.eqns:
            names |= _primitives(equation_inside)
    return names


def _logical_spec(atom: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype)


def _spec(atom: Any) -> jax.ShapeDtypeStruct:
    return physical(atom.aval.shape, atom.aval.dtype)
