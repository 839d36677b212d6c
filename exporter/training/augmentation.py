"""Random changes of training images that leave the class as it is."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def random_shift(key: jax.Array, images: jax.Array, *, pixels: int) -> jax.Array:
    """Move each image by up to `pixels` in either direction; what comes in is black.

    Args:
        key: Decides the moves.
        images: float32 [B, height, width, channels].
        pixels: The largest move along either axis.
    """
    batch, *shape = images.shape
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    corners = jax.random.randint(key, (batch, 2), 0, 2 * pixels + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), shape)

    return jax.vmap(crop)(padded, corners)


def random_affine(
    key: jax.Array,
    images: jax.Array,
    *,
    degrees: float,
    scale: float,
    shear: float,
    pixels: float,
    flip: bool,
) -> jax.Array:
    """Turn, scale, shear, move and mirror each image a little; what comes in is black.

    Args:
        key: Decides the changes, each uniform within its limits.
        images: float32 [B, height, width, channels].
        degrees: The largest turn to either side.
        scale: The largest logarithm of the factor along either axis.
        shear: The largest move of a row against the next, in pixels.
        pixels: The largest move along either axis.
        flip: Mirror half of the images, left to right.
    """
    batch, height, width, _ = images.shape
    keys = jax.random.split(key, 5)

    def uniform(number: int, limit: float, *shape: int) -> jax.Array:
        return jax.random.uniform(keys[number], (batch, *shape, 1, 1), minval=-limit, maxval=limit)

    angle, factors = uniform(0, jnp.deg2rad(degrees)), jnp.exp(uniform(1, scale, 2))
    slant, moves = uniform(2, shear), uniform(3, pixels, 2)
    mirror = jnp.where(jax.random.bernoulli(keys[4], 0.5 if flip else 0.0, (batch, 1, 1)), -1, 1)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y, x = jnp.mgrid[:height, :width]
    y, x = y - middle_y, mirror * (x - middle_x)
    # Where in the image each pixel of the result comes from.
    from_x = (jnp.cos(angle) * x - jnp.sin(angle) * y) / factors[:, 0] + slant * y
    from_y = (jnp.sin(angle) * x + jnp.cos(angle) * y) / factors[:, 1]
    at = (from_y + middle_y + moves[:, 1], from_x + middle_x + moves[:, 0])

    def sample(channel: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:
        return jax.scipy.ndimage.map_coordinates(channel, [y, x], order=1)

    return jax.vmap(jax.vmap(sample, in_axes=(-1, None, None), out_axes=-1))(images, *at)


def random_erase(key: jax.Array, images: jax.Array, *, pixels: int) -> jax.Array:
    """Blacken a square at a random place in half of the images, so that no part decides alone.

    Args:
        key: Decides the places.
        images: float32 [B, height, width, channels].
        pixels: The square's side; at an edge it is cut.
    """
    batch, height, width, _ = images.shape
    half_key, y_key, x_key = jax.random.split(key, 3)
    shape = (batch, 1, 1)
    y, x = jnp.mgrid[:height, :width]
    near_y = jnp.abs(y - jax.random.randint(y_key, shape, 0, height)) * 2 <= pixels
    near_x = jnp.abs(x - jax.random.randint(x_key, shape, 0, width)) * 2 <= pixels
    is_erased = near_y & near_x & jax.random.bernoulli(half_key, 0.5, shape)
    return jnp.where(is_erased[..., None], 0.0, images)
