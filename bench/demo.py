"""The whole line: train, export, verify, publish, serve, predict, and compare with JAX.

Both MNIST models go through it; every test image is sent over REST and over gRPC, and every
output is compared with the version's own JAX program.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.embedded import Embedded
    from client.samples import Samples

EXAMPLES = """\
examples:
  make demo
  python -m bench.demo --model_path /tmp/models --num_epochs 5

exit code: 0 both models pass, 1 one doesn't, 2 the line broke before it could tell
"""
# Epochs of training that take a model past the accuracy asked for, with some room.
MODELS = {"mnist_flax": 4, "mnist_pure_jax": 12}
APIS = ("rest", "grpc")
LEAST_ACCURACY = 0.97
LARGEST_ERROR = 1e-5
BATCH_SIZE = 16


@dataclass(frozen=True)
class Row:
    """What one model did over one API.

    Attributes:
        accuracy: Share of the test images that the server's answers class rightly.
        max_abs_err: Largest |server - JAX| of all outputs.
        p50_ms: Latency of requests of `BATCH_SIZE` images.
    """

    model: str
    version: int
    api: str
    accuracy: float
    images: int
    max_abs_err: float
    p50_ms: float
    p99_ms: float

    @property
    def ok(self) -> bool:
        """Whether it is what the demo promises."""
        return self.accuracy >= LEAST_ACCURACY and self.max_abs_err <= LARGEST_ERROR


class Broken(Exception):
    """A stage failed; the message says which."""


class Clock:
    """Says what goes on, and how long each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, text: str, command: Sequence[str] = ()) -> Iterator[None]:
        """Prints the stage, the command that does it, and its time when it is over."""
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        console.print(f"\n[bold]{text}[/bold]", soft_wrap=True)
        if command:
            shown = shlex.join(["python", *command[1:]])
            console.print(f"[dim]$ {shown}[/dim]", soft_wrap=True)
        start = time.monotonic()
        yield
        self.seconds[text] = time.monotonic() - start
        console.print(f"[green]{self.seconds[text]:.1f} s[/green]")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo and returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.demo",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model_path",
        type=Path,
        default=Path("models"),
        help="where the models are published, as their next version (%(default)s)",
    )
    parser.add_argument("--num_epochs", type=int, help="of training (4 and 12 by default)")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    options = parser.parse_args(argv)
    clock = Clock()
    try:
        rows = run(options.model_path, options.num_epochs, clock)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from client.errors import ServingError

        if not isinstance(error, Broken | ServingError | OSError | ValueError):
            raise
        print(f"bench.demo: {error}", file=sys.stderr)
        return 2
    if options.json:
        fields = [asdict(row) | {"ok": row.ok} for row in rows]
        print(json.dumps({"rows": fields, "seconds": clock.seconds}))
    else:
        print_report(rows, clock)
    return 0 if all(row.ok for row in rows) else 1


def run(model_path: Path, num_epochs: int | None, clock: Clock) -> list[Row]:
    """Goes through the line with both models.

    Args:
        model_path: Where they are published.
        num_epochs: Of training; None takes each model's own number.
        clock: Told of each stage.

    Raises:
        Broken: the exporter failed.
        Unavailable: the server didn't start.
        ServingError: the server refused a request.
    """
    versions = {
        model: _export(model, model_path, num_epochs or epochs, clock)
        for model, epochs in MODELS.items()
    }
    from bench.embedded import serve

    with ExitStack() as running:
        with clock.stage("start the embedded server"):
            paths = {model: model_path / model for model in versions}
            server = running.enter_context(serve(paths))
        rows = [
            _compare(server, model, version, api, model_path, clock)
            for model, version in versions.items()
            for api in APIS
        ]
        with clock.stage(f"stop the server, process {server.pid}"):
            running.close()
    return rows


def _export(model: str, model_path: Path, num_epochs: int, clock: Clock) -> int:
    """Trains, exports, verifies and publishes one model; returns its version."""
    command = [sys.executable, "-m", "exporter", "--model", model]
    command += ["--model_path", str(model_path), "--model_version", "auto"]
    command += ["--serving_batch_size=-1", "--num_epochs", str(num_epochs), "--json"]
    with clock.stage(f"train, export, verify and publish {model}", command):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Broken(f"the exporter ended with {done.returncode}; what it said is above")
    return int(json.loads(done.stdout)["version"])


def _compare(
    server: Embedded, model: str, version: int, api: str, model_path: Path, clock: Clock
) -> Row:
    from client import Client
    from client.check import CheckPlan, check
    from client.latency import milliseconds
    from client.model_spec import ModelSpec
    from client.report import progress

    name = "gRPC" if api == "grpc" else "REST"
    with clock.stage(f"predict with {model} over {name} and compare with JAX"):
        samples = _test_images(model_path / model / str(version))
        plan = CheckPlan(ModelSpec(model), "serving_default", len(samples), BATCH_SIZE)
        with Client("localhost", server.ports[api], "grpc" if api == "grpc" else "rest") as client:
            client.wait_until_ready(model, version=version)
            with progress(plan.count, shown=True) as advance:
                outcome = check(client, plan, lambda _: samples, advance)
    assert outcome.comparison is not None
    if not outcome.comparison.ok:
        print("\n".join(outcome.comparison.faults[:5]), file=sys.stderr)
    return Row(
        model,
        outcome.version,
        api,
        outcome.accuracy or 0.0,
        plan.count,
        outcome.comparison.max_abs_err,
        milliseconds(outcome.seconds, 50),
        milliseconds(outcome.seconds, 99),
    )


def _test_images(version_dir: Path) -> Samples:
    """Returns all bundled test images, with the answers of the version's JAX program."""
    from client.samples import Samples, live_reference
    from exporter.training.datasets import load

    test = load().test
    images = test.examples(len(test)).inputs
    reference = live_reference(version_dir, "serving_default")
    return Samples({"inputs": images}, test.labels, True, reference, "JAX, run now")


def print_report(rows: Sequence[Row], clock: Clock) -> None:
    """Prints the table that the demo ends with, and what each stage took."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(
        title="\nserved by the embedded server, compared with JAX",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("model", no_wrap=True)
    table.add_column("API", no_wrap=True)
    for column in ("accuracy", "images", "max |err|", "p50, p99 ms"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row.model}/{row.version}",
            "gRPC" if row.api == "grpc" else "REST",
            f"{row.accuracy:.4f}",
            str(row.images),
            f"{row.max_abs_err:.1e}",
            f"{row.p50_ms:.1f}, {row.p99_ms:.1f}",
            "[green]agrees[/green]" if row.ok else "[red]fails[/red]",
        )
    console.print(table)
    console.print(
        f"accuracy on the test images: at least {LEAST_ACCURACY} is asked for; "
        f"max |server - JAX|: at most {LARGEST_ERROR:g}; latency of {BATCH_SIZE} images a request"
    )
    times = Table(title="\nwhere the time went", show_header=False, show_footer=True)
    times.add_column(footer="in all")
    times.add_column(justify="right", footer=f"{sum(clock.seconds.values()):.1f} s")
    for text, seconds in clock.seconds.items():
        times.add_row(text, f"{seconds:.1f} s")
    console.print(times)


if __name__ == "__main__":
    sys.exit(main())
