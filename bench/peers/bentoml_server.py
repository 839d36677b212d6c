"""BentoML: `python -m bench.peers.bentoml_server NAME BUNDLE http=PORT` becomes `bentoml serve`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import bentoml
import numpy as np
from bentoml.validators import ContentType

from bench.peers import bundle
from bench.peers.peer import RAW_ROWS, RAW_TYPE

_MODEL, _FOLDER = "PEER_MODEL", "PEER_BUNDLE"
_MAX_BATCH_SIZE = 128  # rows
_MAX_LATENCY_MS = 60_000  # what is later than that is refused
_THREADS = 2  # a core each

Bytes = Annotated[bytes, ContentType(RAW_TYPE)]


@bentoml.service(threads=_THREADS, traffic={"timeout": 600})
class Runner:
    """The jitted program, batched by BentoML."""

    def __init__(self) -> None:
        self._program = bundle.Program(Path(os.environ[_FOLDER])).warm_up()

    @bentoml.api(batchable=True, max_batch_size=_MAX_BATCH_SIZE, max_latency_ms=_MAX_LATENCY_MS)
    def run(self, rows: np.ndarray) -> np.ndarray:
        """Returns the output's rows."""
        return self._program.run(rows)


@bentoml.service(traffic={"timeout": 600})
class Served:
    """Reads requests, and asks the runner."""

    runner = bentoml.depends(Runner)

    def __init__(self) -> None:
        self._about = bundle.About.read(Path(os.environ[_FOLDER]))

    @bentoml.api(route="/raw")
    async def raw(self, body: Bytes, /, context: bentoml.Context) -> Bytes:
        """A tensor's bytes to a tensor's bytes."""
        count = int(context.request.headers[RAW_ROWS])
        rows = self._about.from_bytes(body, count)
        return (await self.runner.to_async.run(rows)).tobytes()

    @bentoml.api(route=f"/v1/models/{os.environ.get(_MODEL, 'model')}:predict")
    async def predict(self, instances: Any) -> dict[str, Any]:
        """TensorFlow Serving's JSON."""
        rows = self._about.from_json({"instances": instances})
        return {"predictions": (await self.runner.to_async.run(rows)).tolist()}


if __name__ == "__main__":
    model, folder, ports = bundle.arguments()
    os.environ.update({_MODEL: model, _FOLDER: str(folder), "BENTOML_DO_NOT_TRACK": "True"})
    command = [sys.executable, "-m", "bentoml", "serve", "bench.peers.bentoml_server:Served"]
    os.execv(sys.executable, [*command, "--host", "127.0.0.1", "--port", str(ports["http"])])
