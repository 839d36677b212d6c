"""The same processing without TensorFlow: what a processed signature must answer.

Pillow decodes and resizes, NumPy does the rest, JAX is in the middle. None of it is shared with
what the SavedModel does (`graph`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from exporter.model.processed import ImageFile
from exporter.signatures.plan import EXAMPLES_INPUT, Input, ProcessingPlan
from wire import dtypes
from wire import serving_pb2 as pb

Arrays = Mapping[str, np.ndarray]
# From the inputs of the function in the middle to its outputs, by name.
Run = Callable[[Arrays], Arrays]

_GRAY = np.array([0.299, 0.587, 0.114])


def function_inputs(plan: ProcessingPlan, request: Arrays) -> dict[str, np.ndarray]:
    """Returns what the function in the middle takes for what a client sends."""
    if plan.takes_examples:
        examples = [pb.Example.FromString(data) for data in request[EXAMPLES_INPUT]]
        columns = {e.name: [_feature(example, e) for example in examples] for e in plan.inputs}
    else:
        columns = {name: list(array) for name, array in request.items()}
    return {
        entry.target: np.stack(
            [
                _image(value, entry) if isinstance(entry.source, ImageFile) else value
                for value in columns[entry.name]
            ]
        ).astype(dtypes.numpy_dtype(entry.dtype))
        for entry in plan.inputs
    }


def results(plan: ProcessingPlan, outputs: Arrays) -> dict[str, np.ndarray]:
    """Returns what a client gets for what the function in the middle gives."""
    if plan.value is not None:
        return {"outputs": outputs[plan.value].astype(np.float32)}
    if plan.ranking is None:
        return dict(outputs)
    ranking = plan.ranking
    scores = outputs[ranking.output].astype(np.float32)
    numbers = np.argsort(-scores, axis=1, kind="stable")[:, : ranking.count]
    given = scores.astype(np.float64)
    if ranking.softmax:
        given = np.exp(given - given.max(axis=1, keepdims=True))
        given /= given.sum(axis=1, keepdims=True)
    names = np.array([name.encode() for name in ranking.names], object)
    found = {
        "class_ids": numbers.astype(np.int64),
        "classes": names[numbers],
        "scores": np.take_along_axis(given, numbers, 1).astype(np.float32),
    }
    return {name: found[name] for name in plan.outputs}


def clear_rows(plan: ProcessingPlan, outputs: Arrays, margin: float) -> np.ndarray:
    """Tells, bool [B], whose classes are in an order that rounding can't change.

    Args:
        plan: The signature.
        outputs: Of the function in the middle.
        margin: How far apart two scores must be, relative to them and absolutely; or equal.
    """
    if plan.ranking is None:
        return np.ones(len(next(iter(outputs.values()))), bool)
    scores = outputs[plan.ranking.output].astype(np.float64)
    ordered = -np.sort(-scores, axis=1)[:, : plan.ranking.count + 1]
    gaps = ordered[:, :-1] - ordered[:, 1:]
    clear = (gaps == 0) | (gaps > margin * (1 + np.abs(ordered[:, 1:])))
    rows: np.ndarray = clear.all(axis=1)
    return rows


def _feature(example: pb.Example, entry: Input) -> Any:
    """One sample's value of an input: bytes, or an array of its shape."""
    feature = example.features.feature[entry.name]
    kind = feature.WhichOneof("kind")
    if isinstance(entry.source, ImageFile):
        return feature.bytes_list.value[0]
    if kind is None:
        return np.full(entry.shape, entry.source.default)
    return np.array(getattr(feature, kind).value).reshape(entry.shape)


def _image(content: bytes, entry: Input) -> np.ndarray:
    assert isinstance(entry.source, ImageFile)
    height, width, channels = entry.shape
    with Image.open(io.BytesIO(content)) as file:
        pixels = np.asarray(file.convert("RGB"), np.float64)
    planes = [pixels @ _GRAY] if channels == 1 else list(np.moveaxis(pixels, -1, 0))
    resized = [
        Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        for plane in planes
    ]
    image = np.stack([np.asarray(plane) for plane in resized], axis=-1).astype(np.float64)
    return (image * entry.source.scale - entry.source.mean) / entry.source.std
