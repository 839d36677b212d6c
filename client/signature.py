"""What a served model takes and gives, as the server's metadata tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from client.arrays import to_array
from wire import dtypes, tensors
from wire import serving_pb2 as pb

DEFAULT = "serving_default"


@dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of an input or output.

    Attributes:
        shape: -1 for an open dimension; None where even the rank is unknown.
        dtype: Name, such as `"float32"` or `"string"`.
    """

    shape: tuple[int, ...] | None
    dtype: str


@dataclass(frozen=True)
class ServedSignature:
    """One way to call a model.

    Attributes:
        inputs: By name.
        outputs: By name.
        method_name: For example `tensorflow/serving/predict`.
    """

    inputs: dict[str, ArraySpec]
    outputs: dict[str, ArraySpec]
    method_name: str

    def named_inputs(self, inputs: Any) -> dict[str, np.ndarray]:
        """Names and casts a caller's inputs.

        A single array goes to the only input. Numbers are cast to the signature's dtype where
        NumPy calls that safe or "same kind" (float64 to float32, uint8 to float32), so that a
        Python list or `images / 255` does what one expects; anything else is left for the server
        to judge.

        Raises:
            ValueError: a single array for a signature with several inputs, or Python integers that
                the input's dtype can't hold.
        """
        if not isinstance(inputs, Mapping):
            if len(self.inputs) != 1:
                raise ValueError(
                    f"the signature has {len(self.inputs)} inputs "
                    f"({', '.join(sorted(self.inputs))}); give a dictionary"
                )
            inputs = {next(iter(self.inputs)): inputs}
        return {name: self._cast(name, value) for name, value in inputs.items()}

    def _cast(self, name: str, value: Any) -> np.ndarray:
        array = to_array(value)
        if name not in self.inputs or array.dtype.kind in "OSU":
            return array
        dtype = self.inputs[name].dtype
        if dtype == "string":
            return array
        target = dtypes.numpy_dtype(dtype)
        if array.dtype.kind == "i" and not isinstance(value, np.ndarray | np.generic):
            try:
                return np.asarray(value, target)  # refuses what doesn't fit
            except OverflowError as error:
                raise ValueError(f"input {name}: {error}") from None
        if np.can_cast(array.dtype, target, "same_kind"):
            return array.astype(target, copy=False)
        return array


def from_proto(signature: pb.SignatureDef) -> ServedSignature:
    """Converts the wire's SignatureDef."""
    return ServedSignature(
        {name: _spec_from_proto(info) for name, info in signature.inputs.items()},
        {name: _spec_from_proto(info) for name, info in signature.outputs.items()},
        signature.method_name,
    )


def from_json(signature: Mapping[str, Any]) -> ServedSignature:
    """Converts a SignatureDef in proto3 JSON."""
    return ServedSignature(
        {name: _spec_from_json(info) for name, info in signature.get("inputs", {}).items()},
        {name: _spec_from_json(info) for name, info in signature.get("outputs", {}).items()},
        signature.get("method_name", ""),
    )


def _spec_from_proto(info: pb.TensorInfo) -> ArraySpec:
    shape = None if info.tensor_shape.unknown_rank else tensors.shape_of(info.tensor_shape)
    return ArraySpec(shape, dtypes.from_enum_name(dtypes.enum_name(info.dtype)))


def _spec_from_json(info: Mapping[str, Any]) -> ArraySpec:
    proto = info.get("tensor_shape", {})
    dims = tuple(int(dim.get("size", 0)) for dim in proto.get("dim", []))
    return ArraySpec(
        None if proto.get("unknown_rank") else dims, dtypes.from_enum_name(info["dtype"])
    )
