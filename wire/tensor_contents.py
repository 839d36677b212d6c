"""InferTensorContents, the typed form of a tensor in the Open Inference Protocol, as arrays.

Source of which field holds what: kserve/open-inference-protocol,
specification/protocol/open_inference_grpc.proto. FP16 and BF16 have no typed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wire import datatypes, dtypes, packed
from wire.open_inference_pb2 import InferTensorContents
from wire.tensors import TensorError, blocks, numbers

_FIELDS = {
    "bool": "bool_contents",
    "int8": "int_contents",
    "int16": "int_contents",
    "int32": "int_contents",
    "int64": "int64_contents",
    "uint8": "uint_contents",
    "uint16": "uint_contents",
    "uint32": "uint_contents",
    "uint64": "uint64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
    "string": "bytes_contents",
}
_PACKED = ("float32", "float64")


def has_form(dtype_name: str) -> bool:
    """Tells whether tensors of a dtype have a typed form."""
    return dtype_name in _FIELDS


def to_array(contents: InferTensorContents, dtype_name: str, shape: Sequence[int]) -> np.ndarray:
    """Returns the array of a shape and dtype that the contents hold.

    Raises:
        TensorError: the dtype has no typed form, the values are too few or too many, or one is
            beyond the dtype's range.
    """
    field = _FIELDS.get(dtype_name)
    if field is None:
        raise TensorError(
            f"{datatypes.datatype(dtype_name)} has no typed contents; send raw_input_contents"
        )
    count = math.prod(shape)
    if dtype_name in _PACKED:
        payload = packed.read(contents, field)
        dtype = dtypes.numpy_dtype(dtype_name)
        _check_count(field, len(payload) / dtype.itemsize, count, shape)
        return np.frombuffer(payload, dtype).reshape(shape)
    values = getattr(contents, field)
    _check_count(field, len(values), count, shape)
    if dtype_name == "string":
        return numbers(values, np.dtype(object), count).reshape(shape)
    dtype = dtypes.numpy_dtype(dtype_name)
    if dtype.itemsize < 4 and dtype_name != "bool":
        wide = numbers(values, np.dtype(np.int64), count)
        range_ = np.iinfo(dtype)
        if count and not (range_.min <= wide.min() and wide.max() <= range_.max):
            raise TensorError(f"a value in {field} is beyond the range of {dtype_name}")
        return wide.astype(dtype).reshape(shape)
    return numbers(values, dtype, count).reshape(shape)


def from_array(array: np.ndarray) -> InferTensorContents:
    """Returns the typed form of an array whose dtype has one."""
    name = dtypes.array_name(array.dtype)
    contents = InferTensorContents()
    field = getattr(contents, _FIELDS[name])
    if name in _PACKED:
        if array.size:
            field.append(array.tobytes())
    elif name == "string":
        field.extend(v if isinstance(v, bytes) else str(v).encode() for v in array.ravel().tolist())
    else:
        for block in blocks(array):
            field.extend(block.tolist())
    return contents


def _check_count(field: str, found: float, count: int, shape: Sequence[int]) -> None:
    if found != count:
        raise TensorError(f"{field} has {found:g} values; shape {list(shape)} needs {count}")
