"""The Open Inference Protocol's names for data types.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md, Tensor Data Types;
BF16 is Triton's (triton-inference-server/core, TRITONSERVER_TYPE_BF16). Complex numbers have none.
"""

from __future__ import annotations

BYTES = "BYTES"
_DATATYPES: dict[str, str] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "float32": "FP32",
    "float64": "FP64",
    "string": BYTES,
}
_DTYPE_NAMES = {datatype: name for name, datatype in _DATATYPES.items()}


def datatype(dtype_name: str) -> str:
    """Returns the protocol's name for a dtype name such as `"float32"` or `"string"`.

    Raises:
        ValueError: the protocol has no such data type.
    """
    try:
        return _DATATYPES[dtype_name]
    except KeyError:
        raise ValueError(f"the Open Inference Protocol has no data type for {dtype_name}") from None


def is_known(datatype: str) -> bool:
    """Tells whether the protocol has a data type."""
    return datatype in _DTYPE_NAMES


def dtype_name(datatype: str) -> str:
    """Returns the dtype's name for the protocol's.

    Raises:
        ValueError: the protocol has no such data type.
    """
    try:
        return _DTYPE_NAMES[datatype]
    except KeyError:
        raise ValueError(
            f'unknown datatype "{datatype}"; the Open Inference Protocol has '
            + ", ".join(_DTYPE_NAMES)
        ) from None
