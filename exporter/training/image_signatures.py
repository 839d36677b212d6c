"""The signatures that take image files, of the classifiers that are trained here."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.model.processed import Classes, ImageFile, ProcessedSignature
from wire.methods import CLASSIFY

_COUNT = 3  # classes that are given, where there are so many


def image_signatures(classes: Sequence[str] | None) -> dict[str, ProcessedSignature]:
    """Returns `image`, which takes files, and `classify`, which takes tf.Examples with a file.

    Args:
        classes: Names of the classes; None for a model of features, which has only `image`.
    """
    inputs = {"inputs": ImageFile("image")}
    if classes is None:
        return {"image": ProcessedSignature(inputs)}
    best = Classes(tuple(classes), count=min(_COUNT, len(classes)))
    return {
        "image": ProcessedSignature(inputs, best),
        "classify": ProcessedSignature(inputs, best, CLASSIFY),
    }
