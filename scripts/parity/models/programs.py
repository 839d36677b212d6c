"""JAX's own transformations: loops under vmap, sharding, custom rules, checkpoints, debugging."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from exporter import TensorSpec
from scripts.parity.case import case


@case(ranges={"inputs": (1, 30)})
def collatz() -> Any:
    """While_loop under vmap: each row its own number of steps."""

    def func(most: jax.Array, x: jax.Array) -> jax.Array:
        def steps(n: jax.Array) -> jax.Array:
            def going(state: Any) -> jax.Array:
                return (state[0] != 1) & (state[1] < most)

            def advance(state: Any) -> Any:
                n, count = state
                return jnp.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1

            return jax.lax.while_loop(going, advance, (n, jnp.int32(0)))[1]

        return jax.vmap(steps)(x)

    return func, jnp.int32(200), TensorSpec(("b",), "int32")


@case(ranges={"which": (-2, 4)})
def branches() -> Any:
    """Switch and cond under vmap and on a scalar."""

    def func(params: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        functions = [jnp.sin, jnp.cos, lambda v: v * params]
        rows = jax.vmap(lambda i, v: jax.lax.switch(i, functions, v))(inputs["which"], inputs["x"])
        total = inputs["x"].sum()
        sign = jax.lax.cond(total > 0, lambda v: v + 1, lambda v: v - 1, total)
        return {"rows": rows, "sign": sign}

    return (
        func,
        jnp.float32(2.0),
        {"which": TensorSpec(("b",), "int32"), "x": TensorSpec(("b", 3))},
    )


@case()
def sharded() -> Any:
    """Shard_map over one device, with a psum."""
    from jax.sharding import Mesh, PartitionSpec

    mesh = Mesh(np.array(jax.devices("cpu")[:1]), ("x",))

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        @partial(
            jax.shard_map,
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec()),
            out_specs=PartitionSpec(),
        )
        def layer(weights: jax.Array, y: jax.Array) -> jax.Array:
            return jax.lax.psum(y @ weights, "x")

        return jnp.tanh(layer(params, x))

    return func, jax.random.normal(jax.random.key(0), (4, 3)), TensorSpec(("b", 4))


@case()
def debug_printed() -> Any:
    """jax.debug.print left in the function."""

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        y = x @ params
        jax.debug.print("largest {}", y.max())
        return jnp.tanh(y)

    return func, jax.random.normal(jax.random.key(0), (4, 3)), TensorSpec(("b", 4))


@case()
def called_back() -> Any:
    """Pure_callback into NumPy."""

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(np.cumsum, shape, x * params)

    return func, jnp.float32(2.0), TensorSpec(("b", 4))


@case()
def custom_rules() -> Any:
    """Custom_vjp, checkpoint and a gradient taken inside."""

    @jax.custom_vjp
    def clipped(x: jax.Array) -> jax.Array:
        return jnp.clip(x, -1, 1)

    clipped.defvjp(lambda x: (clipped(x), x), lambda x, g: (jnp.where(x > 0, g, 0.1 * g),))

    def func(params: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        layer = jax.checkpoint(lambda v: clipped(v @ params).sum())
        return {"value": jax.vmap(layer)(x), "slope": jax.vmap(jax.grad(layer))(x)}

    return func, jax.random.normal(jax.random.key(0), (4, 3)), TensorSpec(("b", 4))


@case(ranges={"places": (-9, 12)})
def scattered() -> Any:
    """Scatter: set, add, max and multiply at places, some outside."""

    def func(base: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        places, values = inputs["places"], inputs["values"]
        return {
            "add": base.at[places].add(values),
            "max": base.at[places].max(values),
            "dropped": base.at[places].add(values, mode="drop"),
            "get": base.at[places].get(mode="fill", fill_value=-1),
            "column": jnp.zeros((3, 8)).at[1, places].add(values),
        }

    return (
        func,
        jnp.arange(8.0),
        {"places": TensorSpec(("b",), "int32"), "values": TensorSpec(("b",))},
    )


@case()
def nested_scans() -> Any:
    """Nested scans with a carry of several arrays."""

    def func(params: Any, x: jax.Array) -> dict[str, jax.Array]:
        def outer(carry: Any, row: jax.Array) -> Any:
            def inner(state: jax.Array, v: jax.Array) -> Any:
                state = jnp.tanh(state * params["decay"] + v)
                return state, state

            state, _ = jax.lax.scan(inner, carry["state"], row.T)
            return {"state": state, "count": carry["count"] + 1}, state

        start = {"state": jnp.zeros(x.shape[0]), "count": jnp.int32(0)}
        end, states = jax.lax.scan(outer, start, jnp.swapaxes(x, 0, 1))
        return {"states": states.T, "count": end["count"]}

    return func, {"decay": jnp.float32(0.7)}, TensorSpec(("b", 3, 4))


@case()
def length_as_number() -> Any:
    """Python's int() of an open dimension."""

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        return x.sum(0) * params / int(x.shape[0])

    return func, jnp.float32(2.0), TensorSpec(("b", 4))


@case()
def batch_size_as_divisor() -> Any:
    """Len() of the batch as a number: x / x.shape[0]."""

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        return x * params / x.shape[0]

    return func, jnp.float32(2.0), TensorSpec(("b", 4))
