"""The version in KServe's V1 server: `python -m bench.peers.kserve_server VERSION_DIR PORT`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import kserve
import numpy as np

from artifact import program
from bench.peers import inputs


class Served(kserve.Model):
    """Answers a V1 predict request by the version's jitted program."""

    def __init__(self, name: str, version_dir: Path) -> None:
        super().__init__(name)
        self._program = program.load(version_dir)
        self._input = inputs.only(version_dir)
        self.ready = True

    def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """Returns the rows of the first output."""
        rows = {self._input: np.asarray(payload["instances"], np.float32)}
        return {"predictions": next(iter(self._program.run(rows).values())).tolist()}


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    server = kserve.ModelServer(http_port=int(sys.argv[2]), workers=1, enable_grpc=False)
    server.start([Served(directory.parent.name, directory)])
