"""The inputs of a request, checked against the signature before a value is read.

REST and gRPC announce name, data type and shape of each alike; each carries the values in its way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from server.engines.signatures import ModelSignature, TensorInfo
from server.errors import Code, ServingError, invalid
from wire import datatypes, dtypes
from wire.tensors import TensorError

SIGNATURE_PARAMETER = "signature_name"
# Data types whose raw form isn't taken as it is: their values are looked at one by one.
LOOKED_AT = ("BYTES", "BOOL")

_MAX_RANK = 64  # NumPy's
_MAX_ELEMENTS = 2**31 - 1  # as in TensorFlow Serving's API
_MAX_VERSION = 2**63 - 1


class Input(NamedTuple):
    """An input as a request announces it.

    Attributes:
        read: Returns the values as an array of the shape and of a dtype, which is named as in
            `wire.dtypes`. Raises TensorError where they aren't such values.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    read: Callable[[str], np.ndarray]


def read_all(signature: ModelSignature, inputs: Sequence[Input]) -> dict[str, np.ndarray]:
    """Returns the arrays of a request's inputs; which of them are missing, Predict finds out.

    Raises:
        ServingError: INVALID_ARGUMENT, an input isn't the signature's in name, data type or shape,
            or its values aren't what it announces.
    """
    names: set[str] = set()
    for one in inputs:
        if one.name in names:
            raise invalid(f"input {one.name} is given twice")
        names.add(one.name)
        _check(signature, one)
    arrays = {}
    for one in inputs:
        try:
            arrays[one.name] = one.read(datatypes.dtype_name(one.datatype))
        except TensorError as error:
            raise invalid(f"input {one.name}: {error}") from None
    return arrays


def version_or_label(text: str) -> tuple[int | None, str]:
    """Returns the version, and the label, that a request's version names; empty is any.

    Versions are numbers here, and labels names for them (TensorFlow Serving's), so what isn't a
    number is a label.

    Raises:
        ServingError: INVALID_ARGUMENT, no version has such a number.
    """
    if not text:
        return None, ""
    if not (text.isascii() and text.isdigit()):
        return None, text
    if len(text) > len(str(_MAX_VERSION)) or int(text) > _MAX_VERSION:
        raise invalid(f"version {text} is beyond 64 bits")
    return int(text), ""


def signature_name(parameters: Mapping[str, object]) -> str:
    """Returns the signature that a request's parameters ask for; empty for the default.

    Raises:
        ServingError: INVALID_ARGUMENT, it isn't a string; UNIMPLEMENTED, the request is part of a
            sequence, which would be answered wrongly by models that keep no state.
    """
    if "sequence_id" in parameters:
        raise unsupported("parameter sequence_id", "models here keep no state between requests")
    name = parameters.get(SIGNATURE_PARAMETER, "")
    if not isinstance(name, str):
        raise invalid(f"parameter {SIGNATURE_PARAMETER} must be a string")
    return name


def refuse_unsupported(name: str, parameters: Mapping[str, object]) -> None:
    """Refuses a tensor with parameters of which another answer would come than was asked for.

    Raises:
        ServingError: UNIMPLEMENTED.
    """
    for parameter, instead in (
        ("shared_memory_region", "send and take tensors in the message"),
        ("classification", "sort the scores in the client, or ask Classify of /v1"),
    ):
        if parameter in parameters:
            raise unsupported(f"tensor {name}: parameter {parameter}", instead)


def unsupported(what: str, instead: str) -> ServingError:
    """Returns the error for an extension that this server doesn't have."""
    return ServingError(Code.UNIMPLEMENTED, f"{what} is not supported: {instead}")


def uncarried(what: str, name: str, datatype: str) -> ServingError:
    """Returns the error for a tensor of a dtype that the protocol has no data type for."""
    return invalid(f"{what} {name} is {datatype}, which this protocol can't carry")


def _check(signature: ModelSignature, one: Input) -> None:
    tensor = signature.inputs.get(one.name)
    if tensor is None:
        known = ", ".join(signature.inputs) or "none"
        raise invalid(
            f"signature {signature.name} has no input {one.name}; its inputs are: {known}"
        )
    wanted = datatype_of(tensor)
    if not datatypes.is_known(wanted):
        raise uncarried("input", one.name, wanted)
    if one.datatype != wanted:
        try:
            datatypes.dtype_name(one.datatype)
        except ValueError as error:
            raise invalid(f"input {one.name}: {error}") from None
        raise invalid(
            f"input {one.name} has datatype {one.datatype}; signature {signature.name} takes "
            f"{wanted}"
        )
    shape = list(one.shape)
    if len(shape) > _MAX_RANK:
        raise invalid(f"input {one.name} has {len(shape)} dimensions; {_MAX_RANK} are the most")
    if shape and min(shape) < 0:
        raise invalid(f"input {one.name} has a negative dimension in its shape {shape}")
    if tensor.shape is not None and (
        len(shape) != len(tensor.shape)
        or any(want not in (-1, size) for want, size in zip(tensor.shape, shape, strict=True))
    ):
        raise invalid(
            f"input {one.name} has shape {shape}; signature {signature.name} takes "
            f"{list(tensor.shape)}, where -1 is any size"
        )
    if math.prod(max(size, 1) for size in shape) > _MAX_ELEMENTS:
        raise invalid(f"input {one.name}: shape {shape} has too many elements")


def datatype_of(tensor: TensorInfo) -> str:
    """Returns the data type of a signature's tensor; TensorFlow's name where there is none."""
    try:
        return datatypes.datatype(dtypes.name(tensor.dtype))
    except ValueError:
        return dtypes.enum_name(tensor.dtype)
