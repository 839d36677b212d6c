"""TensorFlow Lite models: a version's `model.tflite`, in LiteRT.

Source of which signatures there are: tensorflow_serving/servables/tensorflow/tflite_session.cc
"""

from __future__ import annotations

import os
import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from server.engines import signatures
from server.engines.signatures import Signatures
from server.errors import Code, ServingError, invalid
from wire import dtypes, methods
from wire import serving_pb2 as pb

FILE = "model.tflite"
# Where older converters put signatures (tensorflow/lite/tools/signature/signature_def_util.h).
_METADATA = b"signature_defs_metadata"


@dataclass(frozen=True)
class _Tensors:
    """A signature that the model's own table lacks: indices of tensors by name."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


class TfliteEngine:
    """A version as interpreters, one for each call at a time."""

    name = "tflite"
    compiles_sizes = False

    def __init__(self, path: Path) -> None:
        """Loads the model.

        Raises:
            ServingError: it can't be loaded, or LiteRT isn't installed.
        """
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"{path / FILE} needs LiteRT; get it with: pip install ai-edge-litert",
            ) from None
        self._path = path / FILE
        self._interpreters: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._by_tensors: dict[str, _Tensors] = {}
        try:
            for _ in range(os.cpu_count() or 1):
                self._interpreters.put(Interpreter(str(self._path), num_threads=1))
        except (ValueError, RuntimeError) as error:
            raise ServingError(Code.DATA_LOSS, f"{self._path}: {error}") from None

    def batch_sizes(self, signature: str) -> Sequence[int] | None:
        """Returns None: inputs are resized as they come."""
        return None

    def signatures(self) -> Signatures:
        """Returns the model's own signatures, those in its metadata, or one of all its tensors.

        Raises:
            ServingError: the metadata's signatures aren't the model's.
        """
        interpreter = self._interpreters.get()
        try:
            message = _own_signatures(interpreter)
            if not message.signature_def:
                message = self._older_signatures(interpreter)
        finally:
            self._interpreters.put(interpreter)
        return signatures.from_message(message)

    def _older_signatures(self, interpreter: Any) -> pb.SignatureDefMap:
        inputs = {str(detail["name"]): detail for detail in interpreter.get_input_details()}
        outputs = {str(detail["name"]): detail for detail in interpreter.get_output_details()}
        message = pb.SignatureDefMap()
        try:
            for name, stored in _stored_signatures(self._path.read_bytes()).items():
                message.signature_def[name].CopyFrom(stored)
        except (DecodeError, ValueError, IndexError) as error:
            raise ServingError(
                Code.INVALID_ARGUMENT, f"Invalid SignatureDefs found in TfLite model: {error}"
            ) from None
        if not message.signature_def:
            entry = message.signature_def[signatures.DEFAULT]
            entry.method_name = methods.PREDICT
            for name, detail in inputs.items():
                _describe(entry.inputs[_legacy(name)], detail)
            for name, detail in outputs.items():
                _describe(entry.outputs[_legacy(name)], detail)
        for name, entry in message.signature_def.items():
            self._by_tensors[name] = _Tensors(
                _indices(entry.inputs, inputs, "input"), _indices(entry.outputs, outputs, "output")
            )
        return message

    def has_one_batch(self, signature: str) -> bool:
        """Returns True: the model says nothing else."""
        return True

    def is_ready(self, signature: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Returns True: inputs are resized in no time."""
        return True

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Runs a signature on an interpreter of its own."""
        interpreter = self._interpreters.get()
        try:
            tensors = self._by_tensors.get(signature)
            if tensors is not None:
                return _run(interpreter, tensors, inputs, outputs)
            runner = interpreter.get_signature_runner(signature)
            values = runner(**inputs)
            return {name: np.array(values[name]) for name in outputs}
        except (ValueError, RuntimeError) as error:
            raise invalid(str(error)) from None
        finally:
            self._interpreters.put(interpreter)

    def close(self) -> None:
        """Leaves the interpreters to their last calls."""


def _own_signatures(interpreter: Any) -> pb.SignatureDefMap:
    message = pb.SignatureDefMap()
    for name in interpreter.get_signature_list():
        runner = interpreter.get_signature_runner(name)
        entry = message.signature_def[name]
        entry.method_name = methods.PREDICT
        for key, detail in runner.get_input_details().items():
            _describe(entry.inputs[key], detail)
        for key, detail in runner.get_output_details().items():
            _describe(entry.outputs[key], detail)
    return message


def _stored_signatures(content: bytes) -> dict[str, pb.SignatureDef]:
    """Reads the signatures in a model's metadata, a FlexBuffer of serialized SignatureDefs."""
    from ai_edge_litert.schema_py_generated import Model
    from flatbuffers import flexbuffers

    model = Model.GetRootAs(content, 0)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == _METADATA:
            stored = flexbuffers.GetRoot(
                model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
            ).AsMap
            return {
                key.AsKey: pb.SignatureDef.FromString(value.AsStringBytes)
                for key, value in zip(stored.Keys, stored.Values, strict=True)
            }
    return {}


def _legacy(name: str) -> str:
    """Returns a tensor's name as early converters wrote it: without `:0`."""
    return name.partition(":")[0]


def _indices(
    infos: Mapping[str, pb.TensorInfo], details: Mapping[str, Mapping[str, Any]], kind: str
) -> dict[str, int]:
    found = {}
    for key, info in infos.items():
        detail = details.get(info.name) or details.get(_legacy(info.name))
        if detail is None:
            raise ServingError(
                Code.INTERNAL,
                f"Signature {kind} {key} references an unknown tensor: "
                f"Unknown tensor '{_legacy(info.name)}'.",
            )
        info.name = str(detail["name"])
        found[key] = int(detail["index"])
    return found


def _run(
    interpreter: Any, tensors: _Tensors, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> dict[str, np.ndarray]:
    for name, index in tensors.inputs.items():
        interpreter.resize_tensor_input(index, inputs[name].shape)
    interpreter.allocate_tensors()
    for name, index in tensors.inputs.items():
        interpreter.set_tensor(index, inputs[name])
    interpreter.invoke()
    return {name: np.array(interpreter.get_tensor(tensors.outputs[name])) for name in outputs}


def _describe(info: pb.TensorInfo, detail: Mapping[str, Any]) -> None:
    info.name = str(detail["name"])
    info.dtype = (
        dtypes.DT_STRING
        if detail["dtype"] in (np.bytes_, np.object_)
        else dtypes.number(np.dtype(detail["dtype"]).name)
    )
    shape = detail.get("shape_signature")
    for size in detail["shape"] if shape is None or len(shape) == 0 else shape:
        info.tensor_shape.dim.add(size=int(size))
