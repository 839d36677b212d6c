"""The jitted training step, and an epoch of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from exporter.model import PyTree
from exporter.training.datasets.dataset import Split
from exporter.training.models.definition import ModelDefinition
from exporter.training.parallel import Placement

# Reading the loss back waits for the device, so figures are reported once in so many steps.
STEPS_BETWEEN_REPORTS = 10


class State(NamedTuple):
    """All that training changes."""

    params: PyTree
    optimizer: PyTree


class Totals(NamedTuple):
    """Sums over the images of an epoch so far: float32 and int32 scalars."""

    loss: jax.Array
    right: jax.Array


class Figures(NamedTuple):
    """How an epoch went, or goes so far.

    Attributes:
        loss: Mean cross-entropy of the images seen, in nats.
        accuracy: Share of them that was classified right, 0 to 1.
        seconds: Since the epoch began.
        examples_per_second: Images seen in a second.
    """

    loss: float
    accuracy: float
    seconds: float
    examples_per_second: float


# (state, totals, images, labels, batch, key) -> (state, totals)
Step = Callable[[State, Totals, jax.Array, jax.Array, jax.Array, jax.Array], tuple[State, Totals]]


def jitted_step(definition: ModelDefinition, optimizer: optax.GradientTransformation) -> Step:
    """One step of gradient descent on the cross-entropy.

    Returns:
        A function of the state and totals (both given up to it), all images uint8
        [N, height, width, 1], all labels int32 [N], the batch's indices int32 [B] and a key for
        the augmentation. An epoch is a loop over it and no `lax.scan`: inside a scan, XLA runs
        the convolutions on the CPU many times slower.
    """

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(
        state: State,
        totals: Totals,
        images: jax.Array,
        labels: jax.Array,
        batch: jax.Array,
        key: jax.Array,
    ) -> tuple[State, Totals]:
        inputs, wanted = images[batch].astype(jnp.float32) / 255, labels[batch]
        if definition.augment is not None:
            inputs = definition.augment(key, inputs)

        def objective(params: PyTree) -> tuple[jax.Array, Totals]:
            scores = definition.apply(params, inputs, True)
            losses = optax.softmax_cross_entropy_with_integer_labels(scores, wanted)
            right = (scores.argmax(axis=-1) == wanted).sum(dtype=jnp.int32)
            return losses.mean(), Totals(losses.sum(), right)

        gradients, batch_totals = jax.grad(objective, has_aux=True)(state.params)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(params, optimizer_state), jax.tree.map(jnp.add, totals, batch_totals)

    return step


def run_epoch(
    step: Step,
    state: State,
    split: Split,
    *,
    placement: Placement,
    batch_size: int,
    key: jax.Array,
    report: Callable[[int, Figures], None],
) -> tuple[State, Figures]:
    """Take each image of a split once, in an order that the key decides.

    Args:
        step: What `jitted_step` gave.
        state: Given up to the step.
        split: At least one batch of images; those left over at the end are dropped.
        placement: Where the state is and the images go.
        batch_size: Images in a step, a multiple of the placement's devices.
        key: Decides the order and the augmentation.
        report: Called once in a while with the number of steps done and the figures so far.

    Returns:
        The new state, and the figures of the whole epoch.
    """
    started = time.perf_counter()
    images, labels = placement.copied((split.images, split.labels.astype(np.int32)))
    steps = len(split) // batch_size
    order_key, steps_key = jax.random.split(key)
    order = jax.random.permutation(order_key, len(split))
    batches = np.asarray(order[: steps * batch_size]).reshape(steps, batch_size)
    totals = placement.copied(Totals(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32)))
    for done, (batch, step_key) in enumerate(
        zip(batches, jax.random.split(steps_key, steps), strict=True), start=1
    ):
        state, totals = step(state, totals, images, labels, placement.split(batch), step_key)
        if done % STEPS_BETWEEN_REPORTS == 0 or done == steps:
            seen = done * batch_size
            loss, right = float(totals.loss) / seen, int(totals.right) / seen
            seconds = time.perf_counter() - started
            figures = Figures(loss, right, seconds, seen / seconds)
            report(done, figures)
    return state, figures
