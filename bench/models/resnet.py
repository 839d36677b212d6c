"""A residual network of ResNet-50's size on 224 x 224 uint8 images, with random weights.

Architecture: He et al., "Deep Residual Learning for Image Recognition", table 1; the stride is in
the 3 x 3 convolution, as most libraries have it. Normalisation is folded to what it is at serving
time: a scale and an offset a channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from bench.models import weights

SIDE, CLASSES = 224, 1000
_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))  # blocks, inner features
_EXPANSION = 4
# The residual stream gains a sixteenth of its variance in each of the 16 blocks, and stays small.
_BRANCH_SCALE = 0.25
# Of ImageNet's training images, in 0 to 1.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Scale(nn.Module):
    """Batch normalisation with its running averages folded in."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes and returns [..., channels]."""
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        return x * scale + self.param("offset", nn.initializers.zeros, shape)


class Block(nn.Module):
    """A bottleneck: 1 x 1, 3 x 3, 1 x 1, and the shortcut around them."""

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes [batch, height, width, channels], and returns four times `features` channels."""
        strides, outer = (self.stride, self.stride), _EXPANSION * self.features
        y = nn.relu(Scale()(_conv(self.features, 1)(x)))
        y = nn.relu(Scale()(_conv(self.features, 3, strides)(y)))
        y = _BRANCH_SCALE * Scale()(_conv(outer, 1)(y))
        if x.shape[-1] != outer or self.stride != 1:
            x = Scale()(_conv(outer, 1, strides)(x))
        return nn.relu(x + y)


class Network(nn.Module):
    """The whole network: 25.5 million parameters."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Takes uint8 [batch, 224, 224, 3], and returns float32 logits [batch, 1000]."""
        x = (images.astype(jnp.float32) / 255 - jnp.array(_MEAN)) / jnp.array(_STD)
        x = nn.relu(Scale()(_conv(64, 7, (2, 2))(x)))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for number, (blocks, features) in enumerate(_STAGES):
            for block in range(blocks):
                x = Block(features, 2 if block == 0 and number > 0 else 1)(x)
        return nn.Dense(CLASSES)(x.mean(axis=(1, 2)))


def _conv(features: int, size: int, strides: tuple[int, int] = (1, 1)) -> nn.Conv:
    return nn.Conv(
        features,
        (size, size),
        strides,
        padding=size // 2,
        use_bias=False,
    )


def build() -> tuple[Callable[..., jax.Array], Any, Any]:
    """Returns the function, its parameters and what an input looks like."""
    image = jnp.zeros((1, SIDE, SIDE, 3), jnp.uint8)
    params = weights.draw(jax.eval_shape(Network().init, jax.random.key(0), image)["params"])

    def func(params: Any, images: jax.Array) -> jax.Array:
        logits: jax.Array = Network().apply({"params": params}, images)
        return logits

    return func, params, image
