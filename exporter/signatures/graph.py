"""The processing in TensorFlow ops, around a compiled function."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from exporter.model.processed import Feature, ImageFile
from exporter.signatures.plan import EXAMPLES_INPUT, Input, ProcessingPlan, Ranking

# ITU-R BT.601.
_GRAY = (0.299, 0.587, 0.114)

Tables = Mapping[str, Any]


@contextlib.contextmanager
def vocabularies(plans: Mapping[str, ProcessingPlan]) -> Iterator[dict[str, Any]]:
    """Makes a lookup table a vocabulary, from class number to name, by the asset's path.

    Their files are there until the end, for the SavedModel to copy them.
    """
    with tempfile.TemporaryDirectory() as temporary:
        tables = {}
        for ranking in {p.ranking.asset: p.ranking for p in plans.values() if p.ranking}.values():
            path = Path(temporary, Path(ranking.asset).name)
            path.write_text("".join(f"{name}\n" for name in ranking.names), encoding="utf-8")
            tables[ranking.asset] = tf.lookup.StaticHashTable(
                tf.lookup.TextFileInitializer(
                    str(path),
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                    tf.string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                ),
                default_value="",
            )
        yield tables


def signature(
    plan: ProcessingPlan,
    function: Callable[..., Sequence[Any]],
    output_names: Sequence[str],
    tables: Tables,
) -> Any:
    """Returns a concrete function of what clients send.

    Args:
        plan: The signature.
        function: From the flat inputs to the flat outputs of the entry in the middle.
        output_names: Of these outputs.
        tables: From `vocabularies`.
    """

    def serve(**tensors: Any) -> dict[str, Any]:
        # Where the number of rows is fixed, the first ones of a longer request would be answered.
        tensors = {
            name: tf.ensure_shape(tensor, plan.tensors[name].shape)
            for name, tensor in tensors.items()
        }
        sent = _parsed(plan, tensors[EXAMPLES_INPUT]) if plan.takes_examples else tensors
        results = function(*[_prepared(entry, sent[entry.name], plan) for entry in plan.inputs])
        outputs = dict(zip(output_names, results, strict=True))
        if plan.ranking is not None:
            found = _ranked(plan.ranking, outputs[plan.ranking.output], tables)
            return {name: found[name] for name in plan.outputs}
        if plan.value is not None:
            return {"outputs": tf.cast(outputs[plan.value], tf.float32)}
        return outputs

    specs = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for name, tensor in plan.tensors.items()
    }
    return tf.function(serve, autograph=False).get_concrete_function(**specs)


def _parsed(plan: ProcessingPlan, serialized: Any) -> Mapping[str, Any]:
    """The features of serialized tf.Examples."""
    features = {}
    for entry in plan.inputs:
        default = getattr(entry.source, "default", None)
        dtype = _stored_dtype(entry)
        shape: Sequence[int] = () if isinstance(entry.source, ImageFile) else entry.shape
        if default is not None:
            default = np.full(shape, default, dtype.as_numpy_dtype)
        features[entry.name] = tf.io.FixedLenFeature(shape, dtype, default)
    return tf.io.parse_example(serialized, features)


def _stored_dtype(entry: Input) -> Any:
    """What a tf.Example holds: strings, float32 or int64."""
    if isinstance(entry.source, ImageFile):
        return tf.string
    return tf.float32 if tf.as_dtype(entry.dtype).is_floating else tf.int64


def _prepared(entry: Input, sent: Any, plan: ProcessingPlan) -> Any:
    if isinstance(entry.source, Feature):
        tensor = tf.cast(sent, entry.dtype)
    else:
        source, spec = entry.source, tf.TensorSpec(entry.shape, tf.float32)
        tensor = tf.map_fn(
            lambda content: _decoded(content, source, entry.shape), sent, fn_output_signature=spec
        )
        tensor = tf.cast(tensor, entry.dtype)
    return tf.ensure_shape(tensor, [plan.batch_size, *entry.shape])


def _decoded(content: Any, source: ImageFile, shape: Sequence[int]) -> Any:
    """One image file as float32 [height, width, channels], normalised."""
    height, width, channels = shape
    # The op takes PNG files as well. The accurate transform is the one that every other decoder
    # has; the op's default is a faster one.
    pixels = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
    image = tf.cast(pixels, tf.float32)
    if channels == 1:
        image = tf.reduce_sum(image * tf.constant(_GRAY), axis=-1, keepdims=True)
    image = _resized(image, height, width)
    return (image * source.scale - tf.constant(source.mean)) / tf.constant(source.std)


def _resized(image: Any, height: int, width: int) -> Any:
    """Resizes with a triangle filter that is wider for larger images.

    That is what `tf.image.resize(…, antialias=True)` does, with weights of double precision: its
    own are off by up to 2e-6 of the brightest pixel, which a model may make more than 1e-5 of.
    """
    sizes = tf.shape(image)
    rows, columns = _weights(sizes[0], height), _weights(sizes[1], width)
    return tf.einsum("yh,hwc,xw->yxc", rows, image, columns, optimize="greedy")


def _weights(size: Any, wanted: int) -> Any:
    """float32 [wanted, size]: how much of each pixel goes into each new one."""
    size = tf.cast(size, tf.float64)
    step = size / wanted
    centers = (tf.range(wanted, dtype=tf.float64) + 0.5) * step
    distances = tf.abs(tf.range(size, dtype=tf.float64) + 0.5 - centers[:, None])
    weights = tf.maximum(1 - distances / tf.maximum(step, 1), 0)
    return tf.cast(weights / tf.reduce_sum(weights, axis=1, keepdims=True), tf.float32)


def _ranked(ranking: Ranking, scores: Any, tables: Tables) -> dict[str, Any]:
    scores = tf.cast(scores, tf.float32)
    _, numbers = tf.math.top_k(scores, ranking.count)
    given = tf.nn.softmax(scores) if ranking.softmax else scores
    numbers = tf.cast(numbers, tf.int64)
    return {
        "class_ids": numbers,
        "classes": tables[ranking.asset].lookup(numbers),
        "scores": tf.gather(given, numbers, batch_dims=1),
    }
