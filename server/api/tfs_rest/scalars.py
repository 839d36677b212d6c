"""One JSON value as an element of a tensor, in TensorFlow Serving's rules.

Source: tensorflow_serving/util/json_tensor.cc
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np

from server.api.tfs_rest import document
from server.engines.signatures import Tensor
from server.errors import Code, ServingError, invalid
from server.inference.predict import dtype_string
from wire import dtypes

FLOATS = {"float32": 24, "float64": 53, "float16": 24, "bfloat16": 24}  # bits of a mantissa
# What a value may be, by dtype; TensorFlow then keeps the low bits of the narrow ones.
INTEGERS = {
    "int8": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int16": (-(2**31), 2**31 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


def always_taken(dtype_name: str) -> tuple[int, int]:
    """Returns the range in which a numeric dtype takes any number, whole or not."""
    if dtype_name in FLOATS:
        return 1 - 2 ** FLOATS[dtype_name], 2 ** FLOATS[dtype_name] - 1
    return INTEGERS[dtype_name]


def decode_base64(value: Any) -> bytes:
    """Decodes `{"b64": "…"}`; padding may be missing, as absl's decoder has it.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    if not is_base64(value):
        raise invalid(f"JSON Value: {document.text(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def is_base64(value: Any) -> bool:
    """Tells whether a value is an object with a `b64` string alone."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get("b64"), str)
        and not isinstance(value, document.Repeated)
    )


def convert(value: Any, dtype_name: str) -> Any:
    """Returns what NumPy takes for an element of the dtype.

    Raises:
        ServingError: INVALID_ARGUMENT, it has another type, or would lose digits.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if dtype_name == "string":
        if isinstance(value, dict):
            return decode_base64(value)
        if isinstance(value, str):
            return value.encode(errors="surrogateescape")
    elif dtype_name == "bool":
        if isinstance(value, bool):
            return value
    elif dtype_name in INTEGERS:
        low, high = INTEGERS[dtype_name]
        if is_number and isinstance(value, int) and low <= value <= high:
            return value
    elif dtype_name in FLOATS and is_number:
        if not _is_lossless(value, dtype_name):
            target = "double" if dtype_name == "float64" else "float"
            raise invalid(
                f"Cannot convert JSON value: {document.text(value)} to {target} "
                "without loss of precision."
            )
        return value
    raise invalid(
        f"JSON Value: {document.text(value)} Type: {document.kind(value)} is not of expected "
        f"type: {dtype_string(dtypes.number(dtype_name))}"
    )


def _is_lossless(value: int | float, dtype_name: str) -> bool:
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return abs(value) < 2 ** FLOATS[dtype_name]
    if not math.isfinite(value) or dtype_name == "float64":
        return True
    return abs(value) <= float(np.finfo(np.float32).max)


def dtype_name_of(tensor: Tensor, value: Any) -> str:
    """Returns the name of a tensor's dtype.

    Raises:
        ServingError: UNIMPLEMENTED, the dtype has no form in JSON.
    """
    try:
        name = dtypes.name(tensor.dtype)
    except ValueError:
        name = ""
    if name in FLOATS or name in INTEGERS or name in ("string", "bool"):
        return name
    raise ServingError(
        Code.UNIMPLEMENTED,
        f"Conversion of JSON Value: {document.text(value)} to type: {dtype_string(tensor.dtype)}",
    )
