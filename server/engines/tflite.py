"""TensorFlow Lite models: a version's `model.tflite`, in LiteRT."""

from __future__ import annotations

import os
import queue
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from server.engines import signatures
from server.engines.signatures import Signatures
from server.errors import Code, ServingError, invalid
from wire import dtypes, methods
from wire import serving_pb2 as pb

FILE = "model.tflite"


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
        self._interpreters: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            for _ in range(os.cpu_count() or 1):
                self._interpreters.put(Interpreter(str(path / FILE), num_threads=1))
        except (ValueError, RuntimeError) as error:
            raise ServingError(Code.DATA_LOSS, f"{path / FILE}: {error}") from None

    def batch_sizes(self, signature: str) -> Sequence[int] | None:
        """Returns None: inputs are resized as they come."""
        return None

    def signatures(self) -> Signatures:
        """Returns the model's own signatures."""
        interpreter = self._interpreters.get()
        try:
            message = pb.SignatureDefMap()
            for name in interpreter.get_signature_list():
                runner = interpreter.get_signature_runner(name)
                entry = message.signature_def[name]
                entry.method_name = methods.PREDICT
                for key, detail in runner.get_input_details().items():
                    _describe(entry.inputs[key], detail)
                for key, detail in runner.get_output_details().items():
                    _describe(entry.outputs[key], detail)
        finally:
            self._interpreters.put(interpreter)
        if not message.signature_def:
            raise ServingError(Code.FAILED_PRECONDITION, f"{FILE} has no signatures")
        return signatures.from_message(message)

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
            runner = interpreter.get_signature_runner(signature)
            values = runner(**inputs)
            return {name: np.array(values[name]) for name in outputs}
        except (ValueError, RuntimeError) as error:
            raise invalid(str(error)) from None
        finally:
            self._interpreters.put(interpreter)

    def close(self) -> None:
        """Leaves the interpreters to their last calls."""


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
