"""Inputs and outputs of all kinds: scalars, dataclasses, named tuples, names that clash."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from exporter import TensorSpec
from scripts.parity.case import case

_WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
Scored = collections.namedtuple("Scored", ["scores", "best"])


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Detection:
    """A dataclass that JAX knows as a pytree."""

    boxes: Any
    scores: Any


@case()
def scalar_inputs() -> Any:
    """Scalars as inputs, given as example arrays."""

    def func(params: Any, inputs: Any) -> dict[str, jax.Array]:
        return {"scaled": inputs["x"] * inputs["temperature"] + inputs["offset"] * params}

    examples = {"x": np.ones((2, 3), np.float32), "temperature": np.float32(0.7), "offset": 3}
    return func, jnp.float32(1.5), examples


@case(ranges={"count": (0, 9)})
def without_batch() -> Any:
    """No batch at all: vectors and a number."""

    def func(params: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        return {
            "sum": inputs["vector"].sum() * inputs["count"],
            "scaled": inputs["vector"] * params,
        }

    return (
        func,
        jnp.float32(2.0),
        {"vector": TensorSpec((5,)), "count": TensorSpec((), "int32")},
    )


@case()
def flax_dataclass_output() -> Any:
    """Output in flax.struct's dataclass."""
    from flax import struct

    @struct.dataclass
    class Prediction:
        logits: Any
        label: Any

    def func(params: jax.Array, x: jax.Array) -> Any:
        logits = x @ params
        return Prediction(logits, jnp.argmax(logits, -1))

    return func, jnp.asarray(_WEIGHTS), TensorSpec(("b", 4))


@case()
def registered_dataclass_output() -> Any:
    """Output in a dataclass registered with JAX."""

    def func(params: jax.Array, x: jax.Array) -> Detection:
        return Detection(boxes=x @ params, scores=jax.nn.sigmoid(x.sum(-1)))

    return func, jnp.asarray(_WEIGHTS), TensorSpec(("b", 4))


@case()
def registered_dataclass_input() -> Any:
    """Inputs in a dataclass registered with JAX."""

    def func(params: jax.Array, inputs: Detection) -> jax.Array:
        return inputs.boxes @ params * inputs.scores[:, None]

    return func, jnp.asarray(_WEIGHTS), Detection(TensorSpec(("b", 4)), TensorSpec(("b",)))


@case()
def named_tuples() -> Any:
    """Named tuple in and out."""

    def func(params: jax.Array, inputs: Scored) -> Scored:
        return Scored(inputs.scores @ params, inputs.best + 1)

    return func, jnp.asarray(_WEIGHTS), Scored(TensorSpec(("b", 4)), TensorSpec(("b",), "int32"))


@case()
def nested_outputs() -> Any:
    """Dictionaries, lists and tuples inside one another."""

    def func(params: jax.Array, inputs: Any) -> Any:
        first, second = inputs["pair"]
        return {"a": [first @ params, (second, first.sum(-1))], "b": {"c": {"d": second * 2}}}

    return func, jnp.asarray(_WEIGHTS), {"pair": (TensorSpec(("b", 4)), TensorSpec(("b", 2)))}


@case()
def same_names() -> Any:
    """An output named like an input."""

    def func(params: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        return {"x": inputs["x"] @ params, "y": inputs["y"]}

    return func, jnp.asarray(_WEIGHTS), {"x": TensorSpec(("b", 4)), "y": TensorSpec(("b",))}


@case()
def passed_through() -> Any:
    """An output that is an input, and one that is a constant."""

    def func(params: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        return {
            "same": inputs["x"],
            "parameter": params,
            "constant": jnp.arange(3),
            "twice": inputs["x"],
        }

    return func, jnp.asarray(_WEIGHTS), {"x": TensorSpec(("b", 4)), "unused": TensorSpec(("b",))}


@case()
def unusual_names() -> Any:
    """Names that TensorFlow lacks: my-input, a/b, class."""

    def func(params: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        return {
            "my-output": inputs["my-input"] @ params,
            "class": inputs["class"] + 1,
            "c d": inputs["a/b"] * 2,
        }

    return (
        func,
        jnp.asarray(_WEIGHTS),
        {
            "my-input": TensorSpec(("b", 4)),
            "class": TensorSpec(("b",)),
            "a/b": TensorSpec(("b",)),
        },
    )


@case()
def two_open_dimensions() -> Any:
    """Two open dimensions that meet in one product."""

    def func(params: jax.Array, inputs: Any) -> jax.Array:
        scores = jnp.einsum("bqd,bkd->bqk", inputs["queries"] @ params, inputs["keys"])
        return jax.nn.softmax(scores) @ inputs["keys"]

    return (
        func,
        jnp.eye(4),
        {"queries": TensorSpec(("b", "q", 4)), "keys": TensorSpec(("b", "k", 4))},
    )


@case()
def plain_parameters() -> Any:
    """An integer as its only parameter, a list of parameters, a bool input."""

    def func(params: Any, inputs: Any) -> jax.Array:
        return jnp.where(inputs["flag"][:, None], inputs["x"] * params[0], params[1])

    return (
        func,
        [3, np.arange(4, dtype=np.float32)],
        {"flag": TensorSpec(("b",), "bool"), "x": TensorSpec(("b", 4))},
    )


@case()
def without_parameters() -> Any:
    """No parameters."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        return jax.nn.softmax(x * 2)

    return func, {}, TensorSpec(("b", 4))


@case()
def chex_parameters() -> Any:
    """Chex's dataclass as parameters."""
    import chex

    @chex.dataclass
    class Parameters:
        kernel: Any
        bias: Any

    def func(params: Any, x: jax.Array) -> jax.Array:
        return x @ params.kernel + params.bias

    params = Parameters(kernel=jnp.asarray(_WEIGHTS), bias=jnp.ones(3))
    return func, params, TensorSpec(("b", 4))


@case()
def updated_parameters() -> Any:
    """NumPy parameters that the function updates by .at."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        return x @ params["kernel"].at[0].set(0.0)

    return func, {"kernel": jnp.asarray(_WEIGHTS)}, TensorSpec(("b", 4))
