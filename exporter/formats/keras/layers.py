"""An exported model as a layer of each of the two Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from exporter.errors import UserError


class SavedModelLayer(keras.layers.Layer):
    """An exported model in Keras 3, whose parameters train with the rest of the network.

    Keras's own `TFSMLayer` only infers. The variables here are those of the SavedModel, not
    copies of them.
    """

    def __init__(self, version_dir: str, trainable: bool = False, **options: Any) -> None:
        """Loads a version.

        Args:
            version_dir: `<base>/<model>/<version>`.
            trainable: Whether training changes its parameters; the version must have been
                exported with `--with_gradient` then.
            options: Keras's own, such as `name`.

        Raises:
            UserError: it shall be trainable and was exported without gradients.
        """
        # The model says itself which dtypes it takes; Keras would make float32 of them all.
        super().__init__(trainable=trainable, autocast=False, **options)
        self.version_dir = version_dir
        self._loaded = tf.saved_model.load(version_dir)
        trained = {id(v) for v in self._loaded.trainable_variables}
        if trainable and not trained:
            raise UserError(
                f"{version_dir} has nothing to train; export it again with --with_gradient"
            )
        self.parameters = [
            keras.Variable(v, trainable=trainable and id(v) in trained)
            for v in self._loaded.variables
        ]

    def call(self, inputs: Any) -> Any:
        """Runs the model on its input pytree."""
        return self._loaded(inputs)

    def get_config(self) -> dict[str, Any]:
        """What Keras saves of it."""
        return {**super().get_config(), "version_dir": self.version_dir}


def classifier_in_keras(features: Path, shape: tuple[int, ...], *, fine_tune: bool) -> Any:
    """Returns a Keras 3 network: an exported model below a dense softmax of ten classes."""
    return keras.Sequential(
        [
            keras.Input(shape),
            SavedModelLayer(str(features), trainable=fine_tune),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def classifier_in_tf_keras(features: Path, shape: tuple[int, ...], *, fine_tune: bool) -> Any:
    """Returns a Keras 2 network of TF Hub's layer, below a dense softmax of ten classes."""
    import tensorflow_hub as hub
    import tf_keras

    return tf_keras.Sequential(
        [
            tf_keras.Input(shape),
            hub.KerasLayer(str(features), trainable=fine_tune),
            tf_keras.layers.Dense(10, activation="softmax"),
        ]
    )
