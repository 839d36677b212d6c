"""Warm-up: the version's own requests, run before it becomes available.

Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from google.protobuf.message import DecodeError

from artifact import versions
from server.errors import Code, ServingError
from server.inference import examples as example_inference
from server.inference import execution, predict
from server.models import records
from server.models.servable import Servable
from wire import serving_pb2 as pb
from wire import tensors

MAX_RECORDS = 1000


def run(version_dir: Path, servable: Servable, *, iterations: int = 1) -> int:
    """Runs a version's warm-up records through the servable and returns how many there were.

    Raises:
        ServingError: a record can't be read, or the model refuses it; Serving then doesn't
            load the version either.
    """
    path = version_dir / versions.WARMUP
    if not path.is_file():
        return 0
    count = 0
    for data in records.read(path):
        if count == MAX_RECORDS:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Number of warmup records exceeds the maximum ({MAX_RECORDS})",
            )
        try:
            log = pb.PredictionLog.FromString(data)
        except DecodeError:
            raise ServingError(
                Code.INVALID_ARGUMENT, f"Failed to parse warmup record: {count} of {path}"
            ) from None
        for _ in range(max(iterations, 1)):
            asyncio.run(_replay(log, servable))
        count += 1
    return count


async def _replay(log: pb.PredictionLog, servable: Servable) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        request = log.predict_log.request
        await predict.predict(
            execution.inline,
            servable,
            request.model_spec.signature_name,
            {name: tensors.to_array(request.inputs[name]) for name in request.inputs},
            output_filter=request.output_filter,
        )
    elif kind in ("classify_log", "regress_log"):
        infer = {
            "classify_log": example_inference.classify,
            "regress_log": example_inference.regress,
        }[kind]
        request = getattr(log, kind).request
        signature = request.model_spec.signature_name
        await infer(execution.inline, servable, signature, request.input)
    elif kind == "multi_inference_log":
        await example_inference.multi_inference(
            execution.inline, servable, log.multi_inference_log.request
        )
    else:
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
