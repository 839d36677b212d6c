"""What both faces of the Open Inference Protocol have in common: versions, metadata, arrays.

Triton, KServe, MLServer, OpenVINO and this project's server speak it. Versions are text there, and
some servers have none.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from client import errors
from client.codec import Description
from client.model_spec import ModelSpec
from client.results import UNVERSIONED, VersionStatus
from client.signature import DEFAULT, ArraySpec, ServedSignature
from wire import datatypes, dtypes

Read = TypeVar("Read")

SIGNATURE_PARAMETER = "signature_name"  # this project's server takes it


class WithoutExamples:
    """Calls on tf.Examples, which the protocol doesn't have."""

    def classify(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
    ) -> NoReturn:
        """Raises ServingError: the protocol has no such call."""
        raise _unimplemented("Classify")

    def regress(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
    ) -> NoReturn:
        """Raises ServingError: the protocol has no such call."""
        raise _unimplemented("Regress")


def new_id() -> str:
    """Returns an identifier for a request: optional, but KServe's server fails without one."""
    return uuid.uuid4().hex


def version_text(spec: ModelSpec) -> str:
    """Returns what a request says of the version: a number, or a label; empty for the latest."""
    if spec.version is not None:
        return str(spec.version)
    return spec.label or ""


def version_number(text: Any) -> int | None:
    """Returns the number in an answer's version; None where it is none."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None


def description(
    spec: ModelSpec,
    versions: Sequence[str],
    inputs: Mapping[str, ArraySpec],
    outputs: Mapping[str, ArraySpec],
    properties: Mapping[str, str],
) -> Description:
    """Returns what a model's metadata describe.

    Args:
        spec: Whose metadata were asked for.
        versions: Those that the metadata list.
        inputs: None, where the server doesn't tell.
        outputs: As `inputs`.
        properties: This project's server names the version and the signature there.
    """
    numbers = [n for n in map(version_number, versions) if n is not None]
    version = version_number(properties.get("version"))
    if version is None:
        version = spec.version if spec.version is not None else max(numbers, default=None)
    if not inputs:
        return Description(version)
    name = properties.get(SIGNATURE_PARAMETER, DEFAULT)
    return Description(version, {name: ServedSignature(dict(inputs), dict(outputs), "")})


def statuses(
    spec: ModelSpec, versions: Sequence[str], properties: Mapping[str, str]
) -> list[VersionStatus]:
    """Returns the versions that a model's metadata list, which answer requests."""
    told = version_number(properties.get("version"))
    if spec.version is not None:
        numbers = [spec.version]
    elif spec.label is not None and told is not None:
        numbers = [told]
    else:
        numbers = [n for n in map(version_number, versions) if n is not None]
    return [VersionStatus(number, "AVAILABLE") for number in numbers or [UNVERSIONED]]


def array_spec(datatype: str, shape: Sequence[int]) -> ArraySpec:
    """Returns what metadata say of a tensor; a data type that nobody knows is named as it is."""
    try:
        name = datatypes.dtype_name(datatype)
    except ValueError:
        name = dtypes.from_enum_name(datatype)
    return ArraySpec(tuple(int(size) for size in shape), name)


def datatype_of(name: str, array: np.ndarray) -> str:
    """Returns the data type of an input's array.

    Raises:
        ValueError: the protocol has none; says of which input.
    """
    try:
        return datatypes.datatype(dtypes.array_name(array.dtype))
    except ValueError as error:
        raise ValueError(f"input {name}: {error}") from None


def read_answer(read: Callable[[], Read]) -> Read:
    """Returns what an answer holds.

    Raises:
        ServingError: INTERNAL, it isn't of the form that the protocol describes.
    """
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise errors.ServingError("INTERNAL", f"can't read the answer: {error}") from None


def from_json(data: Any, dtype_name: str, shape: Sequence[int]) -> np.ndarray:
    """Converts an output's data, nested or flat, to an array.

    Raises:
        ValueError: they aren't such an array's.
    """
    if dtype_name == "string":
        flat = np.array(data, object).ravel().tolist()
        array = np.empty(math.prod(shape), object)
        array[:] = [v if isinstance(v, bytes) else str(v).encode() for v in flat]
        return array.reshape(shape)
    return np.array(data, dtypes.numpy_dtype(dtype_name)).reshape(shape)


def to_json(name: str, array: np.ndarray) -> list[Any]:
    """Returns an input's data, flat; strings as text.

    Raises:
        ValueError: a string isn't UTF-8, so that JSON can't carry it.
    """
    if array.dtype.kind in "OSU":
        values = array.ravel().tolist()
        try:
            return [v.decode() if isinstance(v, bytes) else str(v) for v in values]
        except UnicodeDecodeError:
            raise ValueError(
                f"input {name}: bytes that aren't UTF-8 have no form in JSON"
            ) from None
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    found: list[Any] = array.ravel().tolist()
    return found


def _unimplemented(method: str) -> errors.ServingError:
    return errors.ServingError(
        "UNIMPLEMENTED", f"the Open Inference Protocol has no {method}; use predict"
    )
