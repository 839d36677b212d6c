"""Kill exports at random moments; whatever a server could load must be whole each time.

python scripts/kill_exports.py --count 50
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from artifact import versions
from artifact.manifest import Manifest, damaged_files

ROOT = Path(__file__).parent.parent
_POLL = 0.002  # seconds


def main() -> int:
    """Prints a line a kill, and returns 1 at the first version that isn't whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50, help="kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model_path", type=Path, help="(default: a temporary directory)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        return kill_exports(args.model_path or Path(temporary), args.count, args.seed)


def kill_exports(base: Path, count: int, seed: int) -> int:
    """Kills `count` exports between their first written byte and a moment after the last."""
    rng = random.Random(seed)
    model_dir = base / "mnist_pure_jax"
    exporter = _start(base)
    begin = _wait_for_staging(model_dir, exporter)
    if exporter.wait() != 0:
        print("an undisturbed export failed")
        return 1
    span = time.monotonic() - begin
    for number in range(1, count + 1):
        exporter = _start(base)
        _wait_for_staging(model_dir, exporter)
        delay = rng.uniform(0, span)
        try:
            exporter.wait(delay)
        except subprocess.TimeoutExpired:
            exporter.send_signal(signal.SIGKILL)
        exporter.wait()
        broken = _broken(model_dir)
        left = len(list(model_dir.glob(".staging-*")))
        print(
            f"kill {number}/{count} after {delay:5.2f} s of {span:.2f} s: "
            f"{len(versions.find(model_dir))} versions, {left} staging, broken: {broken or 'none'}",
            flush=True,
        )
        if broken:
            return 1
    if _start(base).wait() != 0 or _broken(model_dir) or list(model_dir.glob(".staging-*")):
        print("the export after the kills failed, or left something behind")
        return 1
    return 0


def _start(base: Path) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "exporter", "--model=mnist_pure_jax", "--model_version=auto"),
        *("--num_epochs=0", "--noshow_model", f"--model_path={base}"),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_for_staging(model_dir: Path, exporter: subprocess.Popen[bytes]) -> float:
    """Waits until the exporter has made a staging directory of its own."""
    before = set(model_dir.glob(".staging-*"))
    while exporter.poll() is None and not set(model_dir.glob(".staging-*")) - before:
        time.sleep(_POLL)
    return time.monotonic()


def _broken(model_dir: Path) -> list[str]:
    """What is wrong with the directories that a server would take for versions."""
    found = []
    for path in versions.find(model_dir).values():
        try:
            damaged = damaged_files(path, Manifest.read(path))
        except (OSError, ValueError) as error:
            damaged = [repr(error)]
        found += [f"{path.name}/{name}" for name in damaged]
    return found


if __name__ == "__main__":
    sys.exit(main())
