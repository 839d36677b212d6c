"""`python -m bench`: servers side by side on one model, and the limit that JAX sets."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

_EXAMPLES = """\
examples:
  make bench                               everything, about half an hour
  python -m bench --quick                  short rounds, to see that it works
  python -m bench --peers= --rounds 9      the embedded server alone
  python -m bench --exact                  what the server's --exact costs
  python -m bench --tfs-binary /usr/bin/tensorflow_model_server
"""
_QUICK_CELLS = ((1, 1), (1, 32), (16, 8))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, writes the results and returns the exit status."""
    options = _parser().parse_args(arguments)
    from bench import comparison, exact_calls, machine, report, scaling, startup, subjects, summary
    from bench.traffic import Traffic
    from client.errors import Unavailable

    loads = comparison.Loads(rounds=options.rounds, seconds=options.seconds)
    if options.quick:
        loads = comparison.Loads(1, 0.5, 0.2, _QUICK_CELLS)
    results: dict[str, Any] = {"machine": machine.describe(), "rounds": loads.rounds}
    try:
        version_dir, export_s = _version(options)
        results["model"] = version_dir.parent.name
        traffic = Traffic(version_dir)
        with ExitStack() as stack:
            found = [subjects.embedded(stack, summary.PLAIN, version_dir)]
            if options.exact:
                found.append(subjects.embedded(stack, summary.EXACT, version_dir, "--exact"))
            elif options.tensorflow:
                flags = ("--engine=tensorflow", "--xla_cpu_compilation_enabled")
                found.append(subjects.embedded(stack, "embedded, tensorflow", version_dir, *flags))
            for name in filter(None, "" if options.exact else options.peers.split(",")):
                found.append(subjects.peer(stack, name, version_dir, options.environments))
            if options.tfs_binary:
                found.append(subjects.tensorflow_serving(stack, options.tfs_binary, version_dir))
            found += [subjects.remote(url) for url in options.tfs_url]
            limit = subjects.Limit(stack, version_dir)
            results["measurements"] = comparison.compare(found, limit, traffic, loads, _tell)
        if options.exact:
            results["calls"] = exact_calls.measure(version_dir)
        if not options.quick and not options.exact:
            results["startup"] = startup.measure(version_dir)
            if export_s is not None:
                results["startup"]["export_s"] = export_s
            results["scaling"] = scaling.measure(version_dir, traffic, loads.seconds, _tell)
    except (Unavailable, ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    write = report.write_exact if options.exact else report.write
    for path in write(options.results, results):
        print(path)
    return 0


def _version(options: argparse.Namespace) -> tuple[Path, float | None]:
    """Returns the version to serve, and the seconds that its export took, if it was made here."""
    from artifact import versions

    base = options.model_path / options.model
    if versions.find(base):
        return versions.latest(base), None
    _tell(f"exporting {options.model} to {options.model_path}")
    start = time.perf_counter()
    command = [sys.executable, "-m", "exporter", "--model", options.model, "--noshow_model"]
    command += ["--model_path", str(options.model_path), "--serving_batch_size=-1"]
    subprocess.run([*command, "--num_epochs=1"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    return versions.latest(base), seconds


def _tell(text: str) -> None:
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{text:100.100s}", end=end, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one short round, few cells")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="the embedded server with and without its flag --exact, and no other",
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of each measurement (%(default)g)"
    )
    parser.add_argument("--model", default="mnist_flax", help="what to serve (%(default)s)")
    parser.add_argument(
        "--model_path",
        type=Path,
        default=Path("build/bench/models"),
        help="published models; one that is missing is exported (%(default)s)",
    )
    parser.add_argument(
        "--peers",
        default="kserve,litserve",
        help="comma-separated, each in an environment of its own (%(default)s); empty: none",
    )
    parser.add_argument(
        "--environments", type=Path, default=Path("build/bench/peers"), help="of the peers"
    )
    parser.add_argument(
        "--no-tensorflow",
        dest="tensorflow",
        action="store_false",
        help="leave out the embedded server's tensorflow engine",
    )
    parser.add_argument("--tfs-binary", type=Path, help="tensorflow_model_server, to be started")
    parser.add_argument(
        "--tfs-url",
        action="append",
        default=[],
        metavar="URL",
        help="a running TensorFlow Serving: grpc://host:port or http://host:port",
    )
    parser.add_argument(
        "--results", type=Path, default=Path("bench/results"), help="where to (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
