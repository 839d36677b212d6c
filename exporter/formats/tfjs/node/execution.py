"""Running a written model in Node."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import CheckFailed
from exporter.formats.tfjs.node import packages

BACKENDS = ("cpu", "wasm")
_SCRIPT = Path(__file__).with_name("run.cjs")
_TIMEOUT = 300.0  # seconds

Arrays = Mapping[str, np.ndarray]


def run(
    directory: Path, cases: Sequence[Arrays], backends: Sequence[str] = BACKENDS
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Runs a model on inputs.

    Args:
        directory: Where `model.json` is.
        cases: Named inputs, one mapping a case.
        backends: Of `cpu` and `wasm`.

    Returns:
        Named outputs of each case, by backend.

    Raises:
        UserError: Node or its packages are missing and can't be installed.
        CheckFailed: TensorFlow.js can't run the model.
    """
    job = {
        "backends": list(backends),
        "cases": [{name: _encode(value) for name, value in case.items()} for case in cases],
    }
    command = [packages.check_available(), str(_SCRIPT), str(packages.install()), str(directory)]
    try:
        process = subprocess.run(
            command,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"TensorFlow.js didn't answer within {_TIMEOUT:.0f} s") from None
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"Node ended with {process.returncode}"]
        raise CheckFailed(
            f"TensorFlow.js can't run the model: {lines[-1]}; compute that another way, or "
            "leave the backend out of --backends"
        )
    answers = json.loads(process.stdout)
    return {
        backend: [{name: _decode(tensor) for name, tensor in case.items()} for case in results]
        for backend, results in answers.items()
    }


def _encode(value: np.ndarray) -> dict[str, Any]:
    if value.dtype.kind in "iu":
        value = value.astype("<i4")
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


def _decode(tensor: Mapping[str, Any]) -> np.ndarray:
    data = base64.b64decode(tensor["data"])
    return np.frombuffer(data, np.dtype(tensor["dtype"])).reshape(tensor["shape"])
