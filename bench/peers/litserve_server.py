"""LitServe: `python -m bench.peers.litserve_server NAME BUNDLE PORT`."""

from pathlib import Path
from typing import Any

import litserve
import numpy as np

from bench.peers import bundle

_MAX_BATCH_SIZE = 32
_BATCH_TIMEOUT_S = 0.001


class Served(litserve.LitAPI):
    """Answers a V1 predict request by the jitted program, batched by LitServe."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(
            max_batch_size=_MAX_BATCH_SIZE,
            batch_timeout=_BATCH_TIMEOUT_S,
            api_path=f"/v1/models/{name}:predict",
        )
        self._folder = folder

    def setup(self, device: str) -> None:
        """Loads the program in LitServe's worker."""
        self._run = bundle.load(self._folder)

    def decode_request(self, request: dict) -> np.ndarray:
        """Returns a request's rows."""
        return np.asarray(request["instances"], np.float32)

    def batch(self, requests: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
        """Puts the rows of several requests together, padded to a power of two."""
        rows = np.concatenate(requests)
        padding = (1 << (len(rows) - 1).bit_length()) - len(rows)
        padded = np.concatenate([rows, np.repeat(rows[:1], padding, 0)])
        return padded, [len(one) for one in requests]

    def predict(self, batch: tuple[np.ndarray, list[int]]) -> tuple[np.ndarray, list[int]]:
        """Runs the program."""
        rows, counts = batch
        return self._run(rows), counts

    def unbatch(self, output: tuple[np.ndarray, list[int]]) -> list[np.ndarray]:
        """Returns each request's rows."""
        rows, counts = output
        ends = np.cumsum(counts)
        return [rows[end - count : end] for count, end in zip(counts, ends, strict=True)]

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Returns a V1 answer."""
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    model, folder, port = bundle.arguments()
    server = litserve.LitServer(Served(model, folder), accelerator="cpu", workers_per_device=1)
    server.run(port=port, host="127.0.0.1", generate_client_file=False)
