"""TensorFlow.js in Node: runs a written model on the backends that need no browser."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import CheckFailed, UserError

BACKENDS = ("cpu", "wasm")
_PACKAGES = Path(__file__).parents[3] / "web"
_SCRIPT = _PACKAGES / "verify" / "run.cjs"
_TIMEOUT = 300.0  # seconds
_HINT = "or skip the check with --noverify_in_node"

Arrays = Mapping[str, np.ndarray]


def check_available() -> str:
    """Returns the path of Node's program.

    Raises:
        UserError: Node or TensorFlow.js' packages are missing; says how to get them.
    """
    node = shutil.which("node")
    if node is None:
        raise UserError(
            "Node, which verifies TensorFlow.js models, isn't installed: get version 18 or newer"
            f" (Debian: apt install nodejs npm; others: https://nodejs.org), {_HINT}"
        )
    if not (_PACKAGES / "node_modules" / "@tensorflow" / "tfjs-core").is_dir():
        raise UserError(
            f"TensorFlow.js' packages aren't installed: run `npm ci --prefix {_PACKAGES}`, {_HINT}"
        )
    return node


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
        UserError: Node is missing.
        CheckFailed: TensorFlow.js can't run the model.
    """
    job = {
        "backends": list(backends),
        "cases": [{name: _encode(value) for name, value in case.items()} for case in cases],
    }
    try:
        process = subprocess.run(
            [check_available(), str(_SCRIPT), str(directory)],
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
        raise CheckFailed(f"TensorFlow.js can't run the model: {lines[-1]}")
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
