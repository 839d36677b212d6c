"""Small models of the usual kinds, with random parameters: what an exporter must be able to take.

Each module has `model() -> Model`; `models()` gives all of them by name.
"""

from __future__ import annotations

import importlib

from exporter.model import Model

NAMES = ("mnist_mlp", "mnist_cnn", "quickdraw_cnn", "resnet", "vit", "text_encoder", "lstm")


def build(name: str) -> Model:
    """Returns one of the models; the same at each call."""
    model: Model = importlib.import_module(f"tests.models.{name}").model()
    return model
