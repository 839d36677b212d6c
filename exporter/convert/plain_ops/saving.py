"""A lowered model as a SavedModel."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from exporter.convert.plain_ops.module import LoweredModule

SIGNATURE = "serving_default"


def save_lowered(module: LoweredModule, directory: Path) -> None:
    """Writes a SavedModel that runs where there is no XLA.

    Args:
        module: What `lower` gave.
        directory: Where `saved_model.pb` and `variables/` go. The signature `serving_default`
            names inputs and outputs by their dictionary keys, else `inputs` and `output_0`.
    """
    tf.saved_model.save(module, str(directory), signatures={SIGNATURE: module.signature})
