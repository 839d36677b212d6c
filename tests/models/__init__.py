"""Small models of the usual kinds, with random parameters: what an exporter must be able to take.

Each module has `model() -> Model`; `build` gives one by name.
"""

from __future__ import annotations

import importlib

import numpy as np

from exporter.model import Model, PyTree
from exporter.model.entry import default_entry
from exporter.verify.inputs import random_inputs

# Of other libraries, dtypes and shapes than those of the usual networks.
UNUSUAL = (
    "nnx_mlp", "equinox_mlp", "haiku_mlp", "sequences", "bfloat16", "complex_filter", "scalars"
)  # fmt: skip
NAMES = ("mnist_mlp", "mnist_cnn", "quickdraw_cnn", "resnet", "vit", "text_encoder", "lstm")


def build(name: str) -> Model:
    """Returns one of the models; the same at each call."""
    model: Model = importlib.import_module(f"tests.models.{name}").model()
    return model


def inputs(model: Model, batch_size: int) -> PyTree:
    """Returns random inputs of a model; the same for the same batch size."""
    entry = default_entry(model)
    rng = np.random.default_rng(batch_size)
    return entry.tree(random_inputs(entry.specs, batch_size, rng))
