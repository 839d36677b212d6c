"""Signatures that take what clients have, files and tf.Examples, and give what they want, names.

A JAX function takes and gives numbers. A `ProcessedSignature` of a `Model` puts TensorFlow ops
around it: an image file is decoded, resized and normalised before, scores become class names
after. The function in the middle stays the version's own program.
"""

from __future__ import annotations

from exporter.signatures.declaration import (
    Classes,
    Feature,
    ImageFile,
    ProcessedSignature,
    Value,
)
from wire.methods import CLASSIFY, PREDICT, REGRESS

__all__ = [
    "CLASSIFY",
    "PREDICT",
    "REGRESS",
    "Classes",
    "Feature",
    "ImageFile",
    "ProcessedSignature",
    "Value",
]
