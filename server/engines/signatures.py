"""What a SavedModel serves: its signatures, read without TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from artifact import versions
from server.errors import Code, ServingError
from wire import dtypes, tensors
from wire import serving_pb2 as pb

# Source: tensorflow/cc/saved_model/signature_constants.h
DEFAULT = "serving_default"


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
        tensor: The tensor's name in the graph, such as `serving_default_x:0`.
        dtype: TensorFlow's number of the dtype.
        shape: -1 for an open dimension; None where the rank is unknown.
    """

    tensor: str
    dtype: int
    shape: tuple[int, ...] | None

    @functools.cached_property
    def numpy_dtype(self) -> np.dtype:
        """The dtype of arrays with its values.

        Raises:
            ValueError: no array has values of this dtype.
        """
        return dtypes.numpy_dtype(dtypes.name(self.dtype))


@dataclass(frozen=True)
class ModelSignature:
    """A named entry of a model; inputs and outputs are sorted by name.

    Attributes:
        defaults: Values of inputs that a request may leave out.
    """

    name: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    method_name: str
    defaults: Mapping[str, np.ndarray] = field(default_factory=dict)

    @functools.cached_property
    def output_names(self) -> tuple[str, ...]:
        """The outputs' names, in their order."""
        return tuple(self.outputs)


@dataclass(frozen=True)
class Signatures:
    """All signatures of a model, for the server and as the message that metadata is made of."""

    by_name: Mapping[str, ModelSignature]
    message: pb.SignatureDefMap


def read(version_dir: Path, tags: Sequence[str]) -> Signatures:
    """Reads the signatures of the meta graph with exactly these tags.

    Raises:
        ServingError: NOT_FOUND without a readable SavedModel, or without such a meta graph.
    """
    path = version_dir / versions.SAVED_MODEL
    try:
        model = pb.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise ServingError(Code.NOT_FOUND, f"Could not read SavedModel {path}: {error}") from None
    for graph in model.meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            return from_message(pb.SignatureDefMap(signature_def=graph.signature_def))
    # The text of tensorflow/cc/saved_model/reader.cc
    raise ServingError(
        Code.NOT_FOUND,
        f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }} in {path}. "
        "To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: "
        "`saved_model_cli`",
    )


def from_message(message: pb.SignatureDefMap) -> Signatures:
    """Returns the signatures that a message holds."""
    found = message.signature_def
    return Signatures({name: _signature(name, found[name]) for name in found}, message)


def _signature(name: str, message: pb.SignatureDef) -> ModelSignature:
    return ModelSignature(
        name,
        {key: _tensor(message.inputs[key]) for key in sorted(message.inputs)},
        {key: _tensor(message.outputs[key]) for key in sorted(message.outputs)},
        message.method_name,
        {key: tensors.to_array(message.defaults[key]) for key in sorted(message.defaults)},
    )


def _tensor(message: pb.TensorInfo) -> TensorInfo:
    shape = message.tensor_shape
    return TensorInfo(
        message.name,
        message.dtype,
        None if shape.unknown_rank else tensors.shape_of(shape),
    )
