"""LitServe: `python -m bench.peers.litserve_server NAME BUNDLE http=PORT`."""

from pathlib import Path
from typing import Annotated, Any

import litserve
import numpy as np
from fastapi import Depends, Request, Response

from bench.peers import bundle
from bench.peers.peer import RAW_ROWS, RAW_TYPE

_MAX_BATCH_SIZE = 32  # requests
_BATCH_TIMEOUT_S = 0.001


async def _read(request: Request) -> tuple[bytes, int]:
    return await request.body(), int(request.headers[RAW_ROWS])


class _Batched(litserve.LitAPI):
    """The jitted program, batched by LitServe; requests of several rows go together."""

    def __init__(self, folder: Path, path: str) -> None:
        super().__init__(
            max_batch_size=_MAX_BATCH_SIZE, batch_timeout=_BATCH_TIMEOUT_S, api_path=path
        )
        self._folder = folder

    def setup(self, device: str) -> None:
        """Loads the program in LitServe's worker."""
        self._program = bundle.Program(self._folder).warm_up()

    def batch(self, requests: list[np.ndarray]) -> list[np.ndarray]:
        """Leaves the requests apart: `predict` puts their rows together."""
        return requests

    def predict(self, requests: list[np.ndarray]) -> list[np.ndarray]:
        """Runs the program."""
        return self._program.run_each(requests)

    def unbatch(self, outputs: list[np.ndarray]) -> list[np.ndarray]:
        """Returns each request's rows."""
        return outputs


class RawApi(_Batched):
    """A tensor's bytes to a tensor's bytes."""

    def decode_request(self, request: Annotated[Any, Depends(_read)]) -> np.ndarray:
        """Returns a request's rows. LitServe reads JSON and forms itself, bytes not."""
        return self._program.about.from_bytes(*request)

    def encode_response(self, output: np.ndarray) -> Response:
        """Returns the output's bytes."""
        return Response(output.tobytes(), media_type=RAW_TYPE)


class JsonApi(_Batched):
    """TensorFlow Serving's JSON."""

    def decode_request(self, request: dict) -> np.ndarray:
        """Returns a request's rows."""
        return self._program.about.from_json(request)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Returns the rows of the answer."""
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    model, folder, ports = bundle.arguments()
    server = litserve.LitServer(
        [RawApi(folder, "/raw"), JsonApi(folder, f"/v1/models/{model}:predict")],
        accelerator="cpu",
        workers_per_device=1,
        fast_queue=True,
        timeout=False,
    )
    server.run(
        port=ports["http"],
        host="127.0.0.1",
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
