"""TensorFlow's numbers for data types, and their NumPy dtypes."""

from __future__ import annotations

import functools

import numpy as np

# Source: tensorflow/core/framework/types.proto (enum DataType).
DT_STRING = 7
_NUMBERS: dict[str, int] = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "string": DT_STRING,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}
# Dtypes of signatures that no array here can have, by number.
_UNCARRIED = {
    0: "DT_INVALID",
    11: "DT_QINT8",
    12: "DT_QUINT8",
    13: "DT_QINT32",
    15: "DT_QINT16",
    16: "DT_QUINT16",
    20: "DT_RESOURCE",
    21: "DT_VARIANT",
}
_ENUM_NAMES: dict[str, str] = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}


def number(name: str) -> int:
    """Returns TensorFlow's number for a dtype name such as `"float32"` or `"string"`.

    Raises:
        ValueError: TensorFlow has no such dtype, or this project doesn't carry it.
    """
    try:
        return _NUMBERS[name]
    except KeyError:
        raise ValueError(f"dtype {name} can't be sent; supported: {', '.join(_NUMBERS)}") from None


@functools.cache
def name(dtype_number: int) -> str:
    """Returns the dtype's name for TensorFlow's number.

    Raises:
        ValueError: the number is unknown here.
    """
    for key, value in _NUMBERS.items():
        if value == dtype_number:
            return key
    raise ValueError(f"unsupported TensorFlow dtype number {dtype_number}")


@functools.cache
def array_name(dtype: np.dtype) -> str:
    """Returns the dtype's name for a NumPy dtype; objects, `S` and `U` are strings."""
    return "string" if dtype.kind in "OSU" else dtype.name


@functools.cache
def enum_name(dtype_number: int) -> str:
    """Returns the name in the DataType enum, such as `DT_FLOAT`; the number where it is unknown."""
    try:
        key = name(dtype_number)
    except ValueError:
        return _UNCARRIED.get(dtype_number, str(dtype_number))
    return _ENUM_NAMES.get(key, "DT_" + key.upper())


def from_enum_name(enum: str) -> str:
    """Returns the dtype's name for a DataType enum name; lower-cased where it is unknown."""
    for key, value in _ENUM_NAMES.items():
        if value == enum:
            return key
    return enum.removeprefix("DT_").lower()


@functools.cache
def numpy_dtype(dtype_name: str) -> np.dtype:
    """Returns the NumPy dtype of a dtype name; strings are objects (bytes).

    Raises:
        ModuleNotFoundError: bfloat16 is asked for and ml_dtypes isn't installed.
    """
    if dtype_name == "string":
        return np.dtype(object)
    if dtype_name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(dtype_name)
