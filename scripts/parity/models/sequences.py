"""What language models are made of besides layers: scans, caches, experts, searches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case


def _normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape) / max(shape[0], 1) ** 0.5


@case()
def s5() -> Any:
    """S5: a diagonal state space by associative_scan, complex inside."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        decay = jnp.exp(-jnp.exp(params["log_rate"]) + 1j * params["angle"])

        def combine(left: Any, right: Any) -> Any:
            return left[0] * right[0], right[0] * left[1] + right[1]

        driven = x @ params["enter"].astype(jnp.complex64)
        decays = jnp.broadcast_to(decay, driven.shape)
        _, states = jax.lax.associative_scan(combine, (decays, driven), axis=1)
        return (states @ params["leave"].astype(jnp.complex64)).real

    params = {
        "log_rate": _normal(0, 8),
        "angle": _normal(1, 8),
        "enter": _normal(2, 4, 8),
        "leave": _normal(3, 8, 4),
    }
    return func, params, TensorSpec(("b", 16, 4))


@case()
def mamba() -> Any:
    """Mamba: a selective state space by associative_scan."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        gate, y = jnp.split(x @ params["enter"], 2, axis=-1)
        padded = jnp.pad(y, ((0, 0), (2, 0), (0, 0)))
        y = sum(padded[:, k : k + y.shape[1]] * params["taps"][k] for k in range(3))
        y = jax.nn.silu(y)
        step = jax.nn.softplus(y @ params["step"])
        into, out = y @ params["b"], y @ params["c"]
        decay = jnp.exp(-step[..., None] * jnp.exp(params["rate"]))
        drive = (step * y)[..., None] * into[:, :, None, :]

        def combine(left: Any, right: Any) -> Any:
            return left[0] * right[0], right[0] * left[1] + right[1]

        _, states = jax.lax.associative_scan(combine, (decay, drive), axis=1)
        y = jnp.einsum("bsdn,bsn->bsd", states, out) + params["skip"] * y
        return (y * jax.nn.silu(gate)) @ params["leave"]

    params = {
        "enter": _normal(0, 6, 16),
        "taps": _normal(1, 3, 8),
        "step": _normal(2, 8, 8),
        "b": _normal(3, 8, 4),
        "c": _normal(4, 8, 4),
        "rate": _normal(5, 8, 4),
        "skip": jnp.ones(8),
        "leave": _normal(6, 8, 6),
    }
    return func, params, TensorSpec(("b", 12, 6))


@case()
def experts() -> Any:
    """Mixture of experts, the two best of four."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        weights, chosen = jax.lax.top_k(jax.nn.softmax(x @ params["gate"]), 2)
        share = jax.nn.one_hot(chosen, 4) * (weights / weights.sum(-1, keepdims=True))[..., None]
        hidden = jax.nn.relu(jnp.einsum("bi,eio->beo", x, params["up"]))
        outputs = jnp.einsum("bei,eio->beo", hidden, params["down"])
        return jnp.einsum("beo,be->bo", outputs, share.sum(1))

    params = {"gate": _normal(0, 8, 4), "up": _normal(1, 4, 8, 16), "down": _normal(2, 4, 16, 8)}
    return func, params, TensorSpec(("b", 8))


@case()
def ragged_experts() -> Any:
    """Experts sorted into groups for lax.ragged_dot."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        expert = jnp.argmax(x @ params["gate"], -1)
        order = jnp.argsort(expert)
        sizes = jnp.bincount(expert, length=3)
        outputs = jax.lax.ragged_dot(x[order], params["weights"], sizes.astype(jnp.int32))
        return jnp.zeros_like(outputs).at[order].set(outputs)

    return (
        func,
        {"gate": _normal(0, 6, 3), "weights": _normal(1, 3, 6, 4)},
        TensorSpec(("b", 6)),
    )


@case(
    ranges={"token": (0, 31), "position": (0, 7)},
)
def decode_step() -> Any:
    """One step of decoding with a cache of keys and values, a dictionary in and out."""

    def func(params: Any, inputs: Any) -> Any:
        x = params["embedding"][inputs["token"]]
        query, key, value = (x @ params[name] for name in ("query", "key", "value"))

        def put(cache: jax.Array, row: jax.Array, position: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_slice(cache, row[None], (position, 0))

        keys = jax.vmap(put)(inputs["cache"]["keys"], key, inputs["position"])
        values = jax.vmap(put)(inputs["cache"]["values"], value, inputs["position"])
        scores = jnp.einsum("bd,bsd->bs", query, keys)
        seen = jnp.arange(8)[None] <= inputs["position"][:, None]
        weights = jax.nn.softmax(jnp.where(seen, scores, -1e9))
        logits = jnp.einsum("bs,bsd->bd", weights, values) @ params["embedding"].T
        return {
            "logits": logits,
            "next": jnp.argmax(logits, -1),
            "cache": {"keys": keys, "values": values},
            "position": inputs["position"] + 1,
        }

    params = {name: _normal(i, 8, 8) for i, name in enumerate(("query", "key", "value"))}
    cache = TensorSpec(("b", 8, 8))
    return (
        func,
        {**params, "embedding": _normal(3, 32, 8)},
        {
            "token": TensorSpec(("b",), "int32"),
            "position": TensorSpec(("b",), "int32"),
            "cache": {"keys": cache, "values": cache},
        },
    )


@case(ranges={"inputs": (0, 15)})
def beam_search() -> Any:
    """Beam search with three beams."""
    beams, length = 3, 5

    def func(table: jax.Array, start: jax.Array) -> Any:
        logs = jax.nn.log_softmax(table)

        def search(first: jax.Array) -> Any:
            tokens = jnp.zeros((beams, length + 1), jnp.int32).at[:, 0].set(first)
            scores = jnp.where(jnp.arange(beams) == 0, 0.0, -1e9)

            def step(i: jax.Array, state: Any) -> Any:
                tokens, scores = state
                total = scores[:, None] + logs[tokens[:, i]]
                scores, best = jax.lax.top_k(total.reshape(-1), beams)
                tokens = tokens[best // 16].at[:, i + 1].set(best % 16)
                return tokens, scores

            return jax.lax.fori_loop(0, length, step, (tokens, scores))

        tokens, scores = jax.vmap(search)(start)
        return {"tokens": tokens, "scores": scores}

    return func, _normal(0, 16, 16) * 8, TensorSpec(("b",), "int32")


@case(
    ranges={"inputs": (1, 15)},
)
def greedy_while() -> Any:
    """Greedy decoding until an end token, a while_loop over the whole batch."""

    def func(table: jax.Array, start: jax.Array) -> Any:
        def going(state: Any) -> jax.Array:
            step, token, _ = state
            return (step < 10) & jnp.any(token != 0)

        def advance(state: Any) -> Any:
            step, token, total = state
            following = jnp.where(token == 0, 0, jnp.argmax(table[token], -1))
            return step + 1, following, total + following

        steps, token, total = jax.lax.while_loop(going, advance, (0, start, start))
        return {"steps": jnp.asarray(steps), "last": token, "total": total}

    return func, _normal(1, 16, 16), TensorSpec(("b",), "int32")


@case()
def token_embedding() -> Any:
    """Embedding of tokens, those outside of the vocabulary too."""

    def func(table: jax.Array, tokens: jax.Array) -> dict[str, jax.Array]:
        return {
            "indexed": table[tokens],
            "taken": jnp.take(table, tokens, axis=0),
            "clipped": jnp.take(table, tokens, axis=0, mode="clip"),
            "one_hot": jax.nn.one_hot(tokens, 20) @ table,
        }

    return func, _normal(0, 20, 4), TensorSpec(("b", 6), "int32")
