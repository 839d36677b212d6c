"""KServe: `python -m bench.peers.kserve_server NAME BUNDLE http=PORT grpc=PORT`."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kserve
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse

from bench.peers import bundle

_THREADS = 2  # a core each


class Served(kserve.Model):
    """Answers V1, V2 and gRPC by the jitted program, off the event loop."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._program = bundle.Program(folder).warm_up()
        self._threads = ThreadPoolExecutor(_THREADS)
        self.ready = True

    async def predict(self, payload: InferRequest | dict[str, Any], *_: Any, **__: Any) -> Any:
        """Returns the output: a tensor for V2, rows for V1."""
        loop = asyncio.get_running_loop()
        if isinstance(payload, dict):
            rows = self._program.about.from_json(payload)
            outputs = await loop.run_in_executor(self._threads, self._program.run, rows)
            return {"predictions": outputs.tolist()}
        rows = payload.inputs[0].as_numpy()
        outputs = await loop.run_in_executor(self._threads, self._program.run, rows)
        return self._response(payload, outputs)

    def _response(self, request: InferRequest, outputs: np.ndarray) -> InferResponse:
        about = self._program.about.output
        output = InferOutput(about.name, list(outputs.shape), about.datatype)
        # What came in binary is answered so; JSON is answered in JSON.
        is_binary = request.from_grpc or bool(request.use_binary_outputs)
        output.set_data_from_numpy(outputs, binary_data=is_binary)
        return InferResponse(
            response_id=request.id,
            model_name=self.name,
            infer_outputs=[output],
            use_binary_outputs=is_binary,
            requested_outputs=request.request_outputs,
        )


if __name__ == "__main__":
    model, folder, ports = bundle.arguments()
    served = Served(model, folder)
    gc.collect()
    gc.freeze()  # the program's own objects are never looked through again
    server = kserve.ModelServer(
        http_port=ports["http"],
        grpc_port=ports["grpc"],
        workers=1,
        enable_latency_logging=False,
    )
    server.start([served])
