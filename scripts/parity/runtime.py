"""The runtimes that answer for what was published: processes that know nothing of JAX.

`python -m scripts.parity.runtime` is one with TensorFlow and LiteRT. A line of JSON asks it:
`{"kind": "saved_model" or "tflite", "path": …, "cases": [files], "answers": [files]}`, the files
being NumPy archives; it writes the answers and says `{}` or `{"error": text}`.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

Arrays = dict[str, np.ndarray]
_ROOT = Path(__file__).parents[2]
# Of a runtime's message, and lines of it that tell nothing.
_LONGEST = 300
_NOISE = ("Graph execution error", "Detected at node", "<stack traces unavailable>", "[[")
_BFLOAT16 = "bfloat16:"  # before the name of an array whose numbers NumPy itself can't store


class RuntimeFailed(Exception):
    """What was published can't be run; the message is the runtime's."""


class Runtimes:
    """TensorFlow, LiteRT and Node, each started when it is first asked."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def saved_model(self, version_dir: Path, cases: Sequence[Arrays]) -> list[Arrays]:
        """Runs a SavedModel's `serving_default`.

        Raises:
            RuntimeFailed: it can't be loaded or run.
        """
        return self._python("saved_model", version_dir, cases)

    def tflite(self, path: Path, cases: Sequence[Arrays]) -> list[Arrays]:
        """Runs a flatbuffer's `serving_default`; else as `saved_model`."""
        return self._python("tflite", path, cases)

    def tfjs(self, directory: Path, cases: Sequence[Arrays]) -> dict[str, list[Arrays]]:
        """Runs a graph model in Node; the answers by backend. Else as `saved_model`."""
        from exporter.formats.tfjs.node import packages

        script = str(Path(__file__).with_name("tfjs.cjs"))
        command = [packages.check_available(), script, str(packages.install())]
        job = {
            "directory": str(directory),
            "cases": [{name: _encoded(array) for name, array in case.items()} for case in cases],
        }
        answers = self._ask("node", command, job)["answers"]
        return {
            backend: [{name: _decoded(value) for name, value in case.items()} for case in found]
            for backend, found in answers.items()
        }

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()

    def _python(self, kind: str, path: Path, cases: Sequence[Arrays]) -> list[Arrays]:
        command = [sys.executable, "-m", "scripts.parity.runtime"]
        with tempfile.TemporaryDirectory() as temporary:
            files = [Path(temporary) / f"case-{i}.npz" for i in range(len(cases))]
            answers = [file.with_name(f"answer-{file.name}") for file in files]
            for file, case in zip(files, cases, strict=True):
                _write(file, case)
            job = {"kind": kind, "path": str(path)}
            job |= {"cases": [str(f) for f in files], "answers": [str(f) for f in answers]}
            self._ask("python", command, job)
            return [_read(file) for file in answers]

    def _ask(self, name: str, command: Sequence[str], job: Mapping[str, Any]) -> dict[str, Any]:
        process = self._processes.get(name)
        if process is None or process.poll() is not None:
            process = self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=_ROOT,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            )
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeFailed(f"{name} ended with {process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise RuntimeFailed(reply["error"])
        return reply


def _encoded(array: np.ndarray) -> dict[str, Any]:
    # What TensorFlow.js calls int32 is all that it has for integers.
    if array.dtype.kind in "iu" and array.dtype.itemsize <= 4:
        array = array.astype(np.int32)
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _decoded(value: Mapping[str, Any]) -> np.ndarray:
    numbers = np.frombuffer(base64.b64decode(value["data"]), np.dtype(value["dtype"]))
    return numbers.reshape(value["shape"])


def _write(path: Path, arrays: Arrays) -> None:
    stored = {
        _BFLOAT16 + name if array.dtype.name == "bfloat16" else name: array.view(np.uint16)
        if array.dtype.name == "bfloat16"
        else array
        for name, array in arrays.items()
    }
    with path.open("wb") as file:
        np.savez(
            file, allow_pickle=False, **{name.replace("/", "\\"): a for name, a in stored.items()}
        )


def _read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        found = {name.replace("\\", "/"): archive[name] for name in archive.files}
    return {
        name.removeprefix(_BFLOAT16): array.view(ml_dtypes.bfloat16)
        if name.startswith(_BFLOAT16)
        else array
        for name, array in found.items()
    }


def main() -> None:
    """Answers until the input ends."""
    # What libraries print shall not come between the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            run = _SERVING[job["kind"]](job["path"])
            for case, answer in zip(job["cases"], job["answers"], strict=True):
                _write(Path(answer), run(_read(Path(case))))
            reply = {}
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = [line for line in lines if not line.startswith(_NOISE)]
            reply = {"error": f"{type(error).__name__}: {' '.join(said)[:_LONGEST]}"}
        print(json.dumps(reply), file=out, flush=True)


def _saved_model(path: str) -> Any:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    serve = loaded.signatures["serving_default"]

    def run(inputs: Arrays, kept: Any = loaded) -> Arrays:
        outputs = serve(**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: np.asarray(tensor) for name, tensor in outputs.items()}

    return run


def _tflite(path: str) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(model_path=path).get_signature_runner("serving_default")
    return lambda inputs: dict(signature(**inputs))


_SERVING = {"saved_model": _saved_model, "tflite": _tflite}

if __name__ == "__main__":
    main()
