"""Keras 3 on JAX: layers called without state."""

from __future__ import annotations

from typing import Any

import jax

from exporter import TensorSpec
from scripts.parity.case import case

_ON_JAX = {"KERAS_BACKEND": "jax"}


@case(environment=_ON_JAX)
def keras_mlp() -> Any:
    """MLP of Keras 3."""
    from keras import layers

    return _stateless((6,), layers.Dense(16, "relu"), layers.Dense(3, "softmax"))


@case(environment=_ON_JAX)
def keras_cnn() -> Any:
    """CNN of Keras 3 with BatchNorm and dropout."""
    from keras import layers

    return _stateless(
        (12, 12, 3),
        layers.Conv2D(8, 3, padding="same"),
        layers.BatchNormalization(),
        layers.Activation("swish"),
        layers.MaxPooling2D(),
        layers.SeparableConv2D(8, 3),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
        layers.Dense(4),
    )


@case(environment=_ON_JAX)
def keras_lstm() -> Any:
    """LSTM of Keras 3, both ways."""
    from keras import layers

    return _stateless((7, 5), layers.Bidirectional(layers.LSTM(6)), layers.Dense(2))


def _stateless(shape: tuple[int, ...], *layers: Any) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape), *layers])
    params = {
        "trainable": [variable.value for variable in model.trainable_variables],
        "other": [variable.value for variable in model.non_trainable_variables],
    }

    def func(params: Any, x: jax.Array) -> jax.Array:
        outputs, _ = model.stateless_call(params["trainable"], params["other"], x, training=False)
        return outputs

    return func, params, TensorSpec(("b", *shape))
