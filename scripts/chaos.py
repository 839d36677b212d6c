"""Kill the model server again and again while a client asks it, and check every answer.

The server's processes are killed with SIGKILL from inside the container; Docker's restart policy
brings it back. Docker doubles its delay each time that a container lived for less than 10 s, so
the clock of the next kill starts when the server answers again.

Example:
    docker compose --profile embedded up --detach --wait model-server-embedded
    python scripts/chaos.py --duration 180 --interval 10
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from docker.models.containers import Container

from artifact import golden
from artifact.manifest import Manifest
from client import Client, ServingError
from client.retry import Retry
from client.verify import Comparison
from exporter.stack import connect


@dataclass
class Tally:
    """What the askers have seen so far; times are those of `time.monotonic`, in seconds.

    Attributes:
        starts: When each answered call began.
        ends: When its answer was there.
    """

    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    wrong: int = 0
    failed: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def first_answer_after(self, moment: float) -> float | None:
        """When a call that began after a moment was answered for the first time."""
        with self.lock:
            ends = [e for s, e in zip(self.starts, self.ends, strict=True) if s >= moment]
        return min(ends, default=None)


def main() -> int:
    """Runs the test; returns 0 when every answer was right and every recovery fast enough."""
    args = _parse()
    server = _server(args.project)
    with tempfile.TemporaryDirectory() as folder, _client(args) as client:
        version = client.wait_until_ready(args.model, timeout=60)
        directory = _fetch(server, f"/models/{args.model}/{version}", Path(folder))
        ask = _asker(client, args.model, version, directory)
        recoveries, tally = _run(args, server, ask)
    _report(args, recoveries, tally)
    recovered = recoveries and all(r is not None and r <= args.within for r in recoveries)
    return 0 if recovered and not tally.wrong and not tally.failed else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", default="jax-serving-stack", help="of the stack (%(default)s)")
    parser.add_argument("--model", default="mnist_flax", help="%(default)s")
    parser.add_argument("--host", default="localhost", help="%(default)s")
    parser.add_argument("--port", type=int, default=8501, help="%(default)s")
    parser.add_argument("--grpc", action="store_true", help="ask over gRPC")
    parser.add_argument("--duration", type=float, default=180, help="seconds (%(default)s)")
    parser.add_argument("--interval", type=float, default=10, help="between kills (%(default)s)")
    parser.add_argument("--within", type=float, default=5, help="longest recovery (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="that ask (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def _client(args: argparse.Namespace) -> Client:
    retry = Retry(tries=100, longest_wait=0.5)
    return Client(args.host, args.port, "grpc" if args.grpc else "rest", timeout=30, retry=retry)


def _server(project: str) -> Container:
    label = f"com.docker.compose.project={project}"
    for container in connect().containers.list(filters={"label": label}):
        if container.labels["com.docker.compose.service"].startswith("model-server"):
            return container
    raise SystemExit(f"chaos: no model server runs in the stack {project}")


def _fetch(server: Container, path: str, folder: Path) -> Path:
    """Copies a directory out of the container."""
    archive, _ = server.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive))) as tar:
        tar.extractall(folder, filter="data")
    return folder / Path(path).name


def _asker(client: Client, model: str, version: int, directory: Path) -> Callable[[], bool]:
    """Returns a function that asks once and says whether the answer is JAX's."""
    cases = [
        case for (name, _), case in golden.read(directory).items() if name == "serving_default"
    ]
    case = max(cases, key=lambda c: len(next(iter(c.inputs.values()))))
    manifest = Manifest.read(directory)
    count = len(next(iter(case.inputs.values())))
    random = np.random.default_rng()

    def ask() -> bool:
        indices = random.integers(0, count, size=random.integers(1, 17))
        inputs = {name: array[indices] for name, array in case.inputs.items()}
        answer = client.predict(model, inputs, version=version)
        tolerances = manifest.signatures["serving_default"].tolerances
        comparison = Comparison(manifest.tolerance, tolerances)
        comparison.add(answer.outputs, {n: array[indices] for n, array in case.outputs.items()}, "")
        return comparison.ok

    return ask


def _run(
    args: argparse.Namespace, server: Container, ask: Callable[[], bool]
) -> tuple[list[float | None], Tally]:
    tally = Tally()
    end = time.monotonic() + args.duration
    threads = [
        threading.Thread(target=_keep_asking, args=(ask, tally, end)) for _ in range(args.threads)
    ]
    for thread in threads:
        thread.start()
    recoveries: list[float | None] = []
    while time.monotonic() + args.interval + args.within < end:
        time.sleep(args.interval)
        recoveries.append(_kill(server, tally, give_up=end))
        if not args.json:
            print(f"kill {len(recoveries)}: answers again after {recoveries[-1]:.2f} s", flush=True)
    for thread in threads:
        thread.join()
    return recoveries, tally


def _kill(server: Container, tally: Tally, *, give_up: float) -> float | None:
    """Kills all processes but the container's init, which ends then; returns the recovery time."""
    server.exec_run(["sh", "-c", "kill -9 -1"], detach=False)
    killed = time.monotonic()
    while time.monotonic() < give_up:
        answered = tally.first_answer_after(killed)
        if answered is not None:
            return answered - killed
        time.sleep(0.02)
    return None


def _keep_asking(ask: Callable[[], bool], tally: Tally, end: float) -> None:
    while (start := time.monotonic()) < end:
        try:
            is_right = ask()
        except ServingError as error:
            with tally.lock:
                tally.failed.append(str(error))
            continue
        with tally.lock:
            tally.starts.append(start)
            tally.ends.append(time.monotonic())
            tally.wrong += not is_right


def _report(args: argparse.Namespace, recoveries: list[float | None], tally: Tally) -> None:
    found = {
        "kills": len(recoveries),
        "answers": len(tally.ends),
        "wrong": tally.wrong,
        "failed": len(tally.failed),
        "recoveries_s": [r if r is None else round(r, 2) for r in recoveries],
    }
    if args.json:
        print(json.dumps(found))
        return
    worst = max((r for r in recoveries if r is not None), default=float("nan"))
    print(
        f"{found['kills']} kills, {found['answers']} answers: {found['wrong']} wrong, "
        f"{found['failed']} failed; slowest recovery {worst:.2f} s (at most {args.within:g} s)"
    )
    for message in tally.failed[:3]:
        print(f"  {message}")


if __name__ == "__main__":
    sys.exit(main())
