"""Arithmetic at its edges: integers, NaN, narrow dtypes, sorting, counting."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case


@case()
def guarded_division() -> Any:
    """Mean of counted sums: where(n > 0, s // n, default)."""

    def func(default: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        total, count = inputs["total"], inputs["count"]
        return {
            "mean": jnp.where(count > 0, total // count, default),
            "rest": jnp.where(count != 0, total % count, default),
            "truncated": jax.lax.div(total, jnp.where(count == 0, 1, count)),
        }

    numbers = TensorSpec(("b", 3), "int32")
    return func, jnp.int32(-1), {"total": numbers, "count": numbers}


@case()
def ranking() -> Any:
    """Argmax, top_k and sort, NaN among the numbers."""

    def func(bias: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        y = x + bias
        values, places = jax.lax.top_k(y, 3)
        return {
            "largest": jnp.argmax(y, -1),
            "smallest": jnp.argmin(y, -1),
            "values": values,
            "places": places,
            "sorted": jnp.sort(y, -1),
            "order": jnp.argsort(y, -1),
            "maximum": y.max(-1),
            "median": jnp.median(x, -1),
        }

    return func, jnp.arange(7.0), TensorSpec(("b", 7))


@case()
def binning() -> Any:
    """Histogram, searchsorted and interp."""

    def func(edges: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        return {
            "counts": jax.vmap(lambda row: jnp.histogram(row, edges)[0])(x),
            "places": jnp.searchsorted(edges, x),
            "between": jnp.interp(x, edges, edges**2),
            "digits": jnp.digitize(x, edges),
        }

    return func, jnp.linspace(-2.0, 2.0, 9), TensorSpec(("b", 12))


@case()
def quantised_matmul() -> Any:
    """Int8 weights: a quantised matmul with an int32 accumulator."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        scale = jnp.maximum(jnp.abs(x).max(-1, keepdims=True), 1e-6) / 127
        quantised = jnp.clip(jnp.round(x / scale), -127, 127).astype(jnp.int8)
        total = jax.lax.dot_general(
            quantised,
            params["weights"],
            (((1,), (0,)), ((), ())),
            preferred_element_type=jnp.int32,
        )
        return total * scale * params["scale"]

    weights = jax.random.randint(jax.random.key(0), (8, 4), -127, 128, jnp.int8)
    return func, {"weights": weights, "scale": jnp.full(4, 0.01)}, TensorSpec(("b", 8))


@case()
def bfloat16_mlp() -> Any:
    """MLP in bfloat16."""

    def func(params: Any, x: jax.Array) -> jax.Array:
        hidden = jax.nn.gelu(x.astype(jnp.bfloat16) @ params["hidden"])
        return (hidden @ params["last"]).astype(jnp.float32)

    keys = jax.random.split(jax.random.key(0))
    params = {
        "hidden": jax.random.normal(keys[0], (8, 16), jnp.bfloat16) / 3,
        "last": jax.random.normal(keys[1], (16, 4), jnp.bfloat16) / 4,
    }
    return func, params, TensorSpec(("b", 8))


@case()
def float16_mlp() -> Any:
    """MLP in float16, in and out."""

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        return jax.nn.relu(x @ params)

    return (
        func,
        jax.random.normal(jax.random.key(0), (8, 4), jnp.float16),
        TensorSpec(("b", 8), "float16"),
    )


@case()
def bit_tricks() -> Any:
    """Bits: shifts, xor, population count, bitcast."""

    def func(seed: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        y = x ^ seed
        y = (y ^ (y >> 16)) * jnp.uint32(0x45D9F3B)
        return {
            "hash": y ^ (y >> 15),
            "count": jax.lax.population_count(x),
            "zeros": jax.lax.clz(x),
            "float": jax.lax.bitcast_convert_type((x >> 9) | 0x3F800000, jnp.float32) - 1,
            "signed": jax.lax.bitcast_convert_type(x, jnp.int32) >> 3,
        }

    return func, jnp.uint32(0x9E3779B9), TensorSpec(("b", 4), "uint32")


@case()
def casts() -> Any:
    """Casts: float to integers that don't hold it, and back."""

    def func(scale: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        y = x * scale
        return {
            "int32": y.astype(jnp.int32),
            "uint8": y.astype(jnp.uint8),
            "int8": y.astype(jnp.int8),
            "bool": y.astype(bool),
            "wrapped": y.astype(jnp.int32).astype(jnp.int16),
        }

    return func, jnp.float32(100.0), TensorSpec(("b", 5))


@case()
def integer_arithmetic() -> Any:
    """Integers: powers, remainders, absolute values at the ends of int32."""

    def func(other: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        return {
            "power": x**3,
            "remainder": jax.lax.rem(x, other),
            "modulus": x % other,
            "floor": x // -other,
            "absolute": jnp.abs(x),
            "sign": jnp.sign(x),
            "sum": x.sum(-1),
            "product": x.prod(-1),
            "cumulated": jnp.cumsum(x, -1),
            "average": x.mean(-1),
        }

    return func, jnp.int32(7), TensorSpec(("b", 4), "int32")


@case()
def special_functions() -> Any:
    """Special functions."""
    from jax.scipy import special

    def func(shift: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        positive = jnp.abs(x) + shift
        return {
            "gammaln": special.gammaln(positive),
            "digamma": special.digamma(positive),
            "erfinv": special.erfinv(jnp.tanh(x)),
            "logsumexp": special.logsumexp(x, axis=-1),
            "xlogy": special.xlogy(x, positive),
            "betainc": special.betainc(2.0, 3.0, jax.nn.sigmoid(x)),
            "i0e": special.i0e(x),
            "ndtri": special.ndtri(jax.nn.sigmoid(x)),
            "log1p": jnp.log1p(positive),
            "sinc": jnp.sinc(x),
        }

    return func, jnp.float32(0.5), TensorSpec(("b", 4))


@case()
def running() -> Any:
    """Running sums, products, maxima; differences; rolls."""

    def func(weights: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        y = x * weights
        return {
            "sums": jnp.cumsum(y, -1),
            "products": jnp.cumprod(y, -1),
            "maxima": jax.lax.cummax(y, axis=1),
            "soft": jax.lax.cumlogsumexp(y, axis=1),
            "differences": jnp.diff(y, axis=-1),
            "rolled": jnp.roll(y, 2, -1),
            "convolved": jax.vmap(lambda r: jnp.convolve(r, weights[:3], mode="same"))(y),
        }

    return func, jnp.linspace(0.5, 1.5, 8), TensorSpec(("b", 8))


@case()
def missing_numbers() -> Any:
    """NaN and infinities: nanmean, nan_to_num, isfinite, clip, where."""

    def func(fill: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        return {
            "mean": jnp.nanmean(x, -1),
            "filled": jnp.nan_to_num(x, nan=0.5, posinf=9.0, neginf=-9.0),
            "finite": jnp.isfinite(x),
            "clipped": jnp.clip(x, -1.0, 1.0),
            "larger": jnp.maximum(x, fill),
            "compared": x > fill,
            "softmax": jax.nn.softmax(x),
            "relu": jax.nn.relu(x),
            "sign": jnp.sign(x),
            "rounded": jnp.round(x),
        }

    return func, jnp.float32(0.25), TensorSpec(("b", 6))
