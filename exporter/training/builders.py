"""The models that are trained here as `pkg.module:build`, which a version names as its source.

`exporter.training.builders:mnist_flax` gives that model with parameters that haven't learnt
anything, `…:mnist_flax_features` the one without the classifier.
"""

from __future__ import annotations

from collections.abc import Callable

import jax

from exporter.model import Model
from exporter.training import models
from exporter.training.models.definition import FEATURES


def __getattr__(name: str) -> Callable[[], Model]:
    """Returns the function that builds the model of that name."""
    base = name.removesuffix(FEATURES)
    if base not in models.names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def build() -> Model:
        definition = models.get(base)
        params = definition.init(jax.random.key(0))
        return definition.model(params, with_classifier=base == name)

    return build
