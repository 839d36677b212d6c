"""Ray Serve: `python -m bench.peers.ray_server NAME BUNDLE http=PORT grpc=PORT`."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from bench.peers import bundle, open_inference
from bench.peers.peer import RAW_ROWS, RAW_TYPE

_MAX_BATCH_SIZE = 128  # rows
_WAIT_S = 0.0
_BATCHES = 2  # at once, a core each
_IN_FLIGHT = 1000


def _rows(requests: list[np.ndarray]) -> int:
    return sum(len(rows) for rows in requests)


@serve.deployment(
    max_ongoing_requests=_IN_FLIGHT, num_replicas=1, ray_actor_options={"num_cpus": 2}
)
class Served:
    """Answers HTTP and gRPC by the jitted program, batched by Ray Serve, off the event loop."""

    def __init__(self, folder: str) -> None:
        self._program = bundle.Program(Path(folder)).warm_up()
        self._threads = ThreadPoolExecutor(_BATCHES)

    async def __call__(self, request: Request) -> Response:
        """A tensor's bytes to a tensor's bytes; GET asks whether it is loaded."""
        if request.method == "GET":
            return Response()
        count = int(request.headers[RAW_ROWS])
        rows = self._program.about.from_bytes(await request.body(), count)
        return Response((await self._run(rows)).tobytes(), media_type=RAW_TYPE)

    async def ModelInfer(self, request: Any) -> Any:
        """The Open Inference Protocol's call."""
        rows = open_inference.rows(request, self._program.about.input)
        return open_inference.response(request, self._program.about.output, await self._run(rows))

    @serve.batch(
        max_batch_size=_MAX_BATCH_SIZE,
        batch_wait_timeout_s=_WAIT_S,
        max_concurrent_batches=_BATCHES,
        batch_size_fn=_rows,
    )
    async def _run(self, requests: list[np.ndarray]) -> list[np.ndarray]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._program.run_each, requests)


if __name__ == "__main__":
    _, folder, ports = bundle.arguments()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": ports["http"]},
        grpc_options={
            "port": ports["grpc"],
            "grpc_servicer_functions": ["bench.peers.open_inference.add_to_server"],
        },
    )
    deployment: Any = Served  # what the decorator makes of it
    serve.run(deployment.bind(str(folder)), route_prefix="/")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
