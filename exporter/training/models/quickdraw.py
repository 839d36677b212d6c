"""A convolutional network for Quick, Draw! in Flax: 98,442 parameters for ten classes."""

from __future__ import annotations

from functools import partial

import jax
import optax
from flax import linen as nn

from exporter.model import PyTree, TensorSpec
from exporter.training.augmentation import random_affine, random_erase
from exporter.training.models.definition import ModelDefinition

NUM_CLASSES = 10
WEIGHT_DECAY = 1e-2
WARM_UP = 0.1  # of the steps


class QuickdrawNetwork(nn.Module):
    """Three convolutions and two dense layers; [B, 28, 28, 1] to [B, classes], or to [B, 128]."""

    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, with_classifier: bool = True) -> jax.Array:
        """Log-probabilities of the classes, or the features below the classifier."""
        x = images
        for number, features in enumerate((16, 32, 64), start=1):
            x = nn.relu(nn.Conv(features, (3, 3), padding="SAME", name=f"conv{number}")(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(128, name="dense1")(x))
        if not with_classifier:
            return x
        return nn.log_softmax(nn.Dense(self.num_classes, name="dense2")(x))


def init(key: jax.Array, num_classes: int) -> PyTree:
    """Flax's default initialisation."""
    params: PyTree = QuickdrawNetwork(num_classes).init(key, jax.numpy.zeros((1, 28, 28, 1)))[
        "params"
    ]
    return params


def apply(params: PyTree, images: jax.Array, with_classifier: bool) -> jax.Array:
    """Run the network on float32 [B, 28, 28, 1]."""
    num_classes = params["dense2"]["bias"].shape[0] if with_classifier else 0
    output: jax.Array = QuickdrawNetwork(num_classes).apply(
        {"params": params}, images, with_classifier
    )
    return output


def optimizer(steps: int, learning_rate: float) -> optax.GradientTransformation:
    """Adam with decoupled weight decay; its rate warms up, then falls along a cosine."""
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=learning_rate / 10,
        peak_value=learning_rate,
        warmup_steps=int(steps * WARM_UP),
        decay_steps=max(steps, 1),
        end_value=learning_rate / 100,
    )
    return optax.adamw(schedule, weight_decay=WEIGHT_DECAY)


def augment(key: jax.Array, images: jax.Array) -> jax.Array:
    """Draw it a little differently, and now and then leave a part out."""
    affine_key, erase_key = jax.random.split(key)
    drawn = random_affine(
        affine_key, images, degrees=17.0, scale=0.2, shear=0.2, pixels=2.5, flip=True
    )
    return random_erase(erase_key, drawn, pixels=10)


DEFINITION = ModelDefinition(
    name="quickdraw",
    inputs=TensorSpec(("b", 28, 28, 1)),
    init=partial(init, num_classes=NUM_CLASSES),
    init_classes=init,
    apply=apply,
    classifier="dense2",
    optimizer=optimizer,
    learning_rate=2e-3,
    num_epochs=80,
    batch_size=32,
    data_source="quickdraw_sample",
    data_parallel=True,
    augment=augment,
)
