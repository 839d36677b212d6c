"""BentoML: `python -m bench.peers.bentoml_server NAME BUNDLE http=PORT` becomes `bentoml serve`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from bench.peers import bundle
from bench.peers.peer import RAW_ROWS, RAW_TYPE

_MODEL, _FOLDER = "PEER_MODEL", "PEER_BUNDLE"
_THREADS = 2  # a core each

Bytes = Annotated[bytes, ContentType(RAW_TYPE)]


@bentoml.service(threads=_THREADS, traffic={"timeout": 600}, logging={"access": {"enabled": False}})
class Served:
    """Answers by the jitted program in BentoML's threads."""

    def __init__(self) -> None:
        self._program = bundle.Program(Path(os.environ[_FOLDER])).warm_up()

    @bentoml.api(route="/raw")
    def raw(self, body: Bytes, /, context: bentoml.Context) -> Bytes:
        """A tensor's bytes to a tensor's bytes."""
        count = int(context.request.headers[RAW_ROWS])
        return self._program.run(self._program.about.from_bytes(body, count)).tobytes()

    @bentoml.api(route=f"/v1/models/{os.environ.get(_MODEL, 'model')}:predict")
    def predict(self, instances: Any) -> dict[str, Any]:
        """TensorFlow Serving's JSON."""
        rows = self._program.about.from_json({"instances": instances})
        return {"predictions": self._program.run(rows).tolist()}


if __name__ == "__main__":
    model, folder, ports = bundle.arguments()
    os.environ.update({_MODEL: model, _FOLDER: str(folder)})
    command = [sys.executable, "-m", "bentoml", "serve", "bench.peers.bentoml_server:Served"]
    os.execv(sys.executable, [*command, "--host", "127.0.0.1", "--port", str(ports["http"])])
