"""tf.Example features for classify and regress, from plain Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from client.arrays import to_array
from wire import serving_pb2 as pb


def to_input(examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> pb.Input:
    """Converts dictionaries of features (a number, a string, bytes or lists of them)."""
    converted = [_example(example) for example in examples]
    if context:
        return pb.Input(
            example_list_with_context=pb.ExampleListWithContext(
                examples=converted, context=_example(context)
            )
        )
    return pb.Input(example_list=pb.ExampleList(examples=converted))


def _example(features: Mapping[str, Any]) -> pb.Example:
    return pb.Example(
        features=pb.Features(feature={name: _feature(v) for name, v in features.items()})
    )


def _feature(value: Any) -> pb.Feature:
    array = np.ravel(to_array(value))
    if array.dtype.kind in "biu":
        return pb.Feature(int64_list=pb.Int64List(value=array.tolist()))
    if array.dtype.kind == "f":
        return pb.Feature(float_list=pb.FloatList(value=array.tolist()))
    strings = [v if isinstance(v, bytes) else str(v).encode() for v in array.tolist()]
    return pb.Feature(bytes_list=pb.BytesList(value=strings))
