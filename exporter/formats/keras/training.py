"""Training a network that holds an exported model, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tf_keras

from exporter.formats.keras.layers import classifier_in_keras, classifier_in_tf_keras


@dataclass(frozen=True)
class Way:
    """One way to reuse a model.

    Attributes:
        name: For tables and directories.
        build: `(features version, image shape, fine_tune) -> network`.
        optimizer: `rate -> optimizer`.
        fine_tune: Whether the exported parameters are trained, too.
    """

    name: str
    build: Callable[..., Any]
    optimizer: Callable[[float], Any]
    fine_tune: bool


def ways() -> tuple[Way, ...]:
    """Frozen and fine-tuned, in TF Hub's layer for tf-keras and in ours for Keras 3."""

    def keras_2(rate: float) -> Any:
        return tf_keras.optimizers.SGD(rate, momentum=0.9)

    def keras_3(rate: float) -> Any:
        return keras.optimizers.SGD(rate, momentum=0.9)

    return (
        Way("hub_frozen", classifier_in_tf_keras, keras_2, False),
        Way("hub_fine_tuned", classifier_in_tf_keras, keras_2, True),
        Way("keras_frozen", classifier_in_keras, keras_3, False),
        Way("keras_fine_tuned", classifier_in_keras, keras_3, True),
    )


def train(
    way: Way,
    features: Path,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    show: bool = False,
) -> Any:
    """Trains a network.

    Args:
        way: Which network.
        features: The version of a features model, exported with gradients.
        images: float32 [N, height, width, 1], 0 to 1, to learn from; those that are left over
            after the last whole batch are dropped: a version may be of fixed sizes.
        labels: int64 [N], the classes.
        epochs: How often to take each image.
        batch_size: Images in a step.
        learning_rate: Of the SGD.
        seed: Decides the classifier's start and the order of the images.
        show: Shows a bar.
    """
    keras.utils.set_random_seed(seed)
    network = way.build(features, images.shape[1:], fine_tune=way.fine_tune)
    network.compile(optimizer=way.optimizer(learning_rate), loss="sparse_categorical_crossentropy")
    count = len(images) // batch_size * batch_size
    network.fit(
        images[:count], labels[:count], batch_size=batch_size, epochs=epochs, verbose=int(show)
    )
    return network


def trained_numbers(network: Any) -> int:
    """Returns how many numbers of a network are trained."""
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)
