"""The version in LitServe: `python -m bench.peers.litserve_server VERSION_DIR PORT`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from artifact import program
from bench.peers import inputs

_MAX_BATCH_SIZE = 32
_BATCH_TIMEOUT_S = 0.001


class Served(litserve.LitAPI):
    """Answers a V1 predict request by the version's jitted program, batched by LitServe."""

    def __init__(self, version_dir: Path) -> None:
        super().__init__(
            max_batch_size=_MAX_BATCH_SIZE,
            batch_timeout=_BATCH_TIMEOUT_S,
            api_path=f"/v1/models/{version_dir.parent.name}:predict",
        )
        self._version_dir = version_dir

    def setup(self, device: str) -> None:
        """Loads the program in LitServe's worker, compiled for every size that it will see."""
        self._program = program.load(self._version_dir)
        self._input = inputs.only(self._version_dir)

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        """Returns a request's rows."""
        return np.asarray(request["instances"], np.float32)

    def batch(self, requests: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
        """Puts the rows of several requests together, padded to a power of two."""
        rows = np.concatenate(requests)
        padding = (1 << (len(rows) - 1).bit_length()) - len(rows)
        padded = np.concatenate([rows, np.repeat(rows[:1], padding, 0)])
        return padded, [len(x) for x in requests]

    def predict(self, batch: tuple[np.ndarray, list[int]]) -> tuple[np.ndarray, list[int]]:
        """Runs the program."""
        rows, counts = batch
        return next(iter(self._program.run({self._input: rows}).values())), counts

    def unbatch(self, output: tuple[np.ndarray, list[int]]) -> list[np.ndarray]:
        """Returns each request's rows."""
        rows, counts = output
        ends = np.cumsum(counts)
        return [rows[end - count : end] for count, end in zip(counts, ends, strict=True)]

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Returns a V1 answer."""
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    server = litserve.LitServer(Served(directory), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[2]), host="127.0.0.1", generate_client_file=False)
