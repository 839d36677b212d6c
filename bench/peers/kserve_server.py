"""KServe's V1 server: `python -m bench.peers.kserve_server NAME BUNDLE PORT`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kserve
import numpy as np

from bench.peers import bundle


class Served(kserve.Model):
    """Answers a V1 predict request by the jitted program."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._run = bundle.load(folder)
        self.ready = True

    def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """Returns the rows of the first output."""
        return {"predictions": self._run(np.asarray(payload["instances"], np.float32)).tolist()}


if __name__ == "__main__":
    model, folder, port = bundle.arguments()
    server = kserve.ModelServer(http_port=port, workers=1, enable_grpc=False)
    server.start([Served(model, folder)])
