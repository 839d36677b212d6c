"""How much memory and time the export of a big model takes: `python -m bench.big_export`.

Memory is what the exporting process holds at most above what it holds after its imports; the
parameters themselves are in it. Time is set against a plain write of the same bytes to the same
disk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_WIDTH = 4096
_LAYER_BYTES = _WIDTH * _WIDTH * 4
_MEMORY_LIMIT = 2.5
_TIME_LIMIT = 3.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measures one export; returns 1 where it took more memory or time than it may."""
    parser = argparse.ArgumentParser(prog="python -m bench.big_export", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="(default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="on the disk to measure")
    parser.add_argument("--verify", action="store_true", help="compare with JAX before publishing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.directory) as directory:
        figures = measure(Path(directory), int(args.gigabytes * 1e9), verify=args.verify)
    if args.json:
        print(json.dumps(figures))
    else:
        print(
            f"{figures['bytes'] / 1e9:.2f} GB of parameters: "
            f"{figures['peak_bytes'] / 1e9:.2f} GB at most above the imports, "
            f"{figures['seconds']:.1f} s; a plain write {figures['plain_write_seconds']:.1f} s; "
            f"saved_model.pb {figures['saved_model_bytes'] / 1e6:.2f} MB"
        )
    memory = figures["peak_bytes"] / figures["bytes"]
    slowness = figures["seconds"] / figures["plain_write_seconds"]
    return int(memory > _MEMORY_LIMIT or slowness > _TIME_LIMIT)


def measure(directory: Path, num_bytes: int, *, verify: bool) -> dict[str, Any]:
    """Exports a stack of dense layers and returns bytes and seconds."""
    import jax

    from exporter import ExportOptions, export
    from exporter.commands.quiet import import_tensorflow

    import_tensorflow()
    import exporter.publish.version  # noqa: F401

    jax.numpy.zeros(1).block_until_ready()
    imports = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
    rng = np.random.default_rng(0)
    # Small numbers of both signs, so that the activations neither vanish nor explode.
    params = [
        jax.device_put(rng.standard_normal((_WIDTH, _WIDTH), np.float32) / np.sqrt(_WIDTH))
        for _ in range(max(1, round(num_bytes / _LAYER_BYTES)))
    ]
    shape = jax.ShapeDtypeStruct((1, _WIDTH), "float32")
    options = ExportOptions(verify=verify, check_batch_sizes=(1,), warmup_batch_sizes=(1,))
    started = time.perf_counter()
    version_dir = export(_func, params, shape, directory / "big", options)
    seconds = time.perf_counter() - started
    assert isinstance(version_dir, Path)
    peak = _memory("VmHWM") - imports
    return {
        "bytes": len(params) * _LAYER_BYTES,
        "peak_bytes": peak,
        "seconds": seconds,
        "plain_write_seconds": _plain_write(directory / "plain", params),
        "saved_model_bytes": (version_dir / "saved_model.pb").stat().st_size,
    }


def _func(params: list[Any], x: Any) -> Any:
    import jax

    for layer in params:
        x = jax.numpy.tanh(x @ layer)
    return x


def _plain_write(path: Path, params: list[Any]) -> float:
    started = time.perf_counter()
    with path.open("wb") as file:
        for layer in params:
            np.asarray(layer).tofile(file)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


def _memory(field: str) -> int:
    """Bytes of this process, as Linux counts them."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    raise SystemExit(main())
