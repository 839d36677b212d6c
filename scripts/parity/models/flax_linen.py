"""Flax's linen: networks of layers whose variables are a dictionary."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case


@case()
def linen_cnn() -> Any:
    """CNN of linen."""
    from flax import linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = nn.relu(nn.Conv(8, (3, 3))(x))
            x = nn.avg_pool(x, (2, 2), strides=(2, 2))
            x = nn.relu(nn.Conv(16, (3, 3), strides=(2, 2))(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
            return nn.log_softmax(nn.Dense(10)(x.reshape((x.shape[0], -1))))

    return _applied(Network(), (16, 16, 3))


@case()
def linen_resnet_block() -> Any:
    """ResNet block with BatchNorm in eval mode."""
    from flax import linen as nn

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            def norm(y: jax.Array) -> jax.Array:
                return nn.BatchNorm(use_running_average=True)(y)

            y = nn.relu(norm(nn.Conv(8, (3, 3), strides=(2, 2), use_bias=False)(x)))
            y = norm(nn.Conv(8, (3, 3), use_bias=False)(y))
            short = norm(nn.Conv(8, (1, 1), strides=(2, 2), use_bias=False)(x))
            return nn.relu(y + short).mean((1, 2))

    func, variables, spec = _applied(Block(), (12, 12, 4))
    means = jax.tree.map(lambda v: v + 0.1, variables["batch_stats"])
    return func, {**variables, "batch_stats": means}, spec


@case()
def linen_unet() -> Any:
    """Depthwise and transposed convolutions, GroupNorm."""
    from flax import linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            y = nn.Conv(8, (3, 3), feature_group_count=4)(x)
            y = nn.gelu(nn.GroupNorm(num_groups=2)(y))
            y = nn.Conv(8, (3, 3), strides=(2, 2), kernel_dilation=1)(y)
            y = nn.ConvTranspose(4, (3, 3), strides=(2, 2))(nn.silu(y))
            return jnp.concatenate([x, y], axis=-1)

    return _applied(Network(), (8, 8, 4))


@case()
def linen_wavenet() -> Any:
    """Dilated convolution in one dimension."""
    from flax import linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            for dilation in (1, 2, 4):
                y = nn.Conv(8, (2,), kernel_dilation=dilation, padding="CAUSAL")(x)
                x = x + jnp.tanh(y) * nn.sigmoid(y)
            return nn.Dense(3)(x)

    return _applied(Network(), (20, 8))


@case()
def linen_lstm() -> Any:
    """LSTM through nn.RNN."""
    from flax import linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return nn.Dense(4)(nn.RNN(nn.OptimizedLSTMCell(8))(x)[:, -1])

    return _applied(Network(), (7, 5))


@case()
def linen_gru() -> Any:
    """GRU both ways, with its carry as an output."""
    from flax import linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
            carry, forward = nn.RNN(nn.GRUCell(8), return_carry=True)(x)
            backward = nn.RNN(nn.GRUCell(8), reverse=True, keep_order=True)(x)
            return {"carry": carry, "states": jnp.concatenate([forward, backward], -1)}

    return _applied(Network(), (6, 3))


@case(ranges={"inputs": (0, 49)})
def linen_transformer() -> Any:
    """Transformer encoder with a mask of tokens."""
    from flax import linen as nn

    class Encoder(nn.Module):
        @nn.compact
        def __call__(self, tokens: jax.Array) -> jax.Array:
            mask = nn.make_attention_mask(tokens > 0, tokens > 0)
            x = nn.Embed(50, 16)(tokens)
            for _ in range(2):
                x = x + nn.MultiHeadDotProductAttention(num_heads=2)(nn.LayerNorm()(x), mask=mask)
                x = x + nn.Dense(16)(nn.gelu(nn.Dense(32)(nn.LayerNorm()(x))))
            return nn.Dense(5)(x.mean(1))

    return _applied(Encoder(), (9,), "int32")


def _applied(module: Any, shape: tuple[int, ...], dtype: str = "float32") -> Any:
    variables = jax.jit(module.init)(jax.random.key(0), jnp.ones((2, *shape), dtype))
    return module.apply, variables, TensorSpec(("b", *shape), dtype)
