"""One JSON value as an element of a tensor, in TensorFlow Serving's rules.

Source: tensorflow_serving/util/json_tensor.cc. Numbers are rounded to floating-point dtypes, beyond
their range to infinity; integer dtypes take integers alone.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from server.api.tfs_rest import json_values, printing
from server.engines.signatures import TensorInfo
from server.errors import Code, ServingError, invalid
from server.inference.predict import dtype_string
from wire import dtypes

# The official server takes float32 and float64 alone.
FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})
_BLOCK = 2**18  # characters that are decoded at a time
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


def decode_base64(value: Any) -> bytes:
    """Decodes `{"b64": "…"}`; padding may be missing, as absl's decoder has it.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    if not is_base64(value):
        raise invalid(f"JSON Value: {printing.text(value)} not formatted correctly for base64 data")
    text = value["b64"]
    found = []
    rest = ""
    try:
        for start in range(0, len(text), _BLOCK):
            rest += "".join(text[start : start + _BLOCK].split())
            end = len(rest) // 4 * 4 if start + _BLOCK < len(text) else 0
            found.append(_decoded(rest[:end]))
            rest = rest[end:]
        rest = rest.rstrip("=")
        found.append(_decoded(rest + "=" * (-len(rest) % 4)))
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None
    return b"".join(found)


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def is_base64(value: Any) -> bool:
    """Tells whether a value is an object with a `b64` string alone."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get("b64"), str)
        and not isinstance(value, json_values.Repeated)
    )


def convert(value: Any, dtype_name: str) -> Any:
    """Returns what NumPy takes for an element of the dtype.

    Raises:
        ServingError: INVALID_ARGUMENT, it has another type.
    """
    if dtype_name == "string":
        if isinstance(value, dict):
            return decode_base64(value)
        if isinstance(value, str):
            return value.encode(errors="surrogateescape")
    elif isinstance(value, bool):
        if dtype_name == "bool":
            return value
    elif dtype_name in INTEGERS:
        low, high = INTEGERS[dtype_name]
        if isinstance(value, int) and low <= value <= high:
            return value
    elif dtype_name in FLOATS and isinstance(value, int | float):
        return float(value)  # as GetFloat, which goes by way of a double
    raise invalid(
        f"JSON Value: {printing.text(value)} Type: {printing.kind(value)} is not of expected "
        f"type: {dtype_string(dtypes.number(dtype_name))}"
    )


def dtype_name_of(tensor: TensorInfo, value: Any) -> str:
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
        f"Conversion of JSON Value: {printing.text(value)} to type: {dtype_string(tensor.dtype)}",
    )
