"""`python -m bench`: servers side by side on three models, and the limit that JAX sets."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.run import Choice

_EXAMPLES = """\
examples:
  make bench                               everything; says how long it will take
  python -m bench --quick                  short rounds, to see that all works
  python -m bench --only mnist_flax --peers=        the embedded server on one model
  python -m bench --only kserve,embedded,v2-grpc    two servers by one protocol
  python -m bench --exact                  what the server's --exact costs
  python -m bench --gpu                    the embedded server with large batches on a GPU
  python -m bench --tfs-binary /usr/bin/tensorflow_model_server

A run that was broken off goes on where it was. Committed results are those of whole runs, in
bench/results; parts of it (--quick, --only, --peers, --gpu) go to build/bench/results unless
--results says otherwise.

exit code: 0 all was measured, 1 a server is left out (the results say which and why), 2 wrong
flags, 3 nothing could be measured
"""
_RESULTS, _PARTIAL = Path("bench/results"), Path("build/bench/results")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, writes the results and returns the exit status."""
    options = _parser().parse_args(arguments)
    from bench import machine, report
    from bench.journal import Journal
    from bench.progress import Meter, spoken
    from bench.run import run

    try:
        choice = _choice(options)
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    folder = options.results or (_PARTIAL if _is_partial(options) else _RESULTS)
    asked = {k: str(v) for k, v in vars(options).items() if k not in ("json", "results")}
    journal = Journal(options.journal, {**asked, "machine": machine.describe(with_date=False)})
    with Meter(choice.guess_s()) as meter:
        if journal.was_other:
            meter.say(f"{options.journal} was of another run or another commit: beginning anew")
        if journal.kept:
            meter.say(f"{journal.kept} measurements of a run that was broken off are kept")
        meter.say(
            f"this takes about {spoken(choice.guess_s())} on two cores, and less if resumed; "
            "what must be installed or exported first comes on top"
        )
        signal.signal(signal.SIGTERM, _interrupt)  # so that servers are ended, not left
        try:
            results = run(choice, journal, meter)
        except KeyboardInterrupt:
            meter.say("broken off; the same command goes on from here")
            return 130
    if not results["cases"]:
        return 3
    results["price"] = options.price
    if options.exact:
        from bench import exact_calls

        results["calls"] = exact_calls.measure(_version_dir(choice))
    write = report.write_exact if options.exact else report.write
    written = write(folder, results)
    journal.end()
    if options.json:
        print(json.dumps(results))
    else:
        for path in written:
            print(path)
    failed = any(case["failures"] for case in results["cases"].values())
    return int(failed or bool(results["left_out"]))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _choice(options: argparse.Namespace) -> Choice:
    from bench import subjects
    from bench.cases import CASES
    from bench.peers import PEERS
    from bench.run import Choice

    names = [name for name in options.peers.split(",") if name]
    if options.peers == "all":
        names = list(PEERS)
    if unknown := sorted(set(names) - set(PEERS)):
        raise ValueError(f"--peers: {', '.join(unknown)}: there are {', '.join(PEERS)}")
    plain = subjects.embedded(subjects.EMBEDDED)
    if options.exact:
        exact = subjects.embedded(subjects.EXACT, "--exact")
        tfs = ("grpc", "rest")
        return Choice([CASES["mnist_flax"]], [plain, exact], options.model_path, parts=()).narrowed(
            tfs
        )
    cases = [*CASES.values()]
    if options.gpu:
        from bench import gpu

        gpu.require()
        return Choice(
            [gpu.large(case) for case in cases],
            [plain],
            options.model_path / "gpu",
            gpu.PLATFORMS,
            parts=("curves",),
        ).narrowed(_words(options))
    servers = [plain]
    if options.tensorflow:
        servers.append(subjects.tensorflow_engine())
    if options.tfs_binary:
        for batching in (False, True):
            servers.append(subjects.tensorflow_serving(options.tfs_binary, batching=batching))
    servers += [subjects.remote(url) for url in options.tfs_url]
    servers += [subjects.peer(PEERS[name], options.environments) for name in names]
    choice = Choice(cases, servers, options.model_path).narrowed(_words(options))
    if options.quick:
        from dataclasses import replace

        choice = replace(choice, cases=[case.quick() for case in choice.cases], parts=("curves",))
    return choice


def _words(options: argparse.Namespace) -> list[str]:
    return [word for word in options.only.split(",") if word]


def _is_partial(options: argparse.Namespace) -> bool:
    return bool(options.quick or options.only or options.gpu or options.peers != "all")


def _version_dir(choice: Choice) -> Path:
    from artifact import versions

    return versions.latest(choice.models / choice.cases[0].model)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what is measured")
    what.add_argument("--quick", action="store_true", help="one short round, few loads")
    what.add_argument(
        "--only",
        default="",
        metavar="WORDS",
        help="comma-separated: models, servers (by the beginning of their names), protocols",
    )
    what.add_argument(
        "--peers",
        default="all",
        help="comma-separated, each in an environment of its own (%(default)s); empty: none",
    )
    what.add_argument("--tfs-binary", type=Path, help="tensorflow_model_server, to be started")
    what.add_argument(
        "--tfs-url",
        action="append",
        default=[],
        metavar="URL",
        help="a running TensorFlow Serving with the models: grpc://host:port or http://host:port",
    )
    what.add_argument(
        "--no-tensorflow",
        dest="tensorflow",
        action="store_false",
        help="leave out the embedded server's tensorflow engine",
    )
    what.add_argument(
        "--exact",
        action="store_true",
        help="the embedded server with and without its flag --exact, and nothing else",
    )
    what.add_argument(
        "--gpu", action="store_true", help="the embedded server, large batches, on JAX's GPU"
    )
    where = parser.add_argument_group("where things are")
    where.add_argument(
        "--model_path",
        type=Path,
        default=Path("build/bench/models"),
        help="published models; one that is missing is exported (%(default)s)",
    )
    where.add_argument(
        "--environments", type=Path, default=Path("build/bench/peers"), help="of the peers"
    )
    where.add_argument(
        "--journal",
        type=Path,
        default=Path("build/bench/journal.jsonl"),
        help="measurements of a run that isn't over (%(default)s)",
    )
    where.add_argument("--results", type=Path, help="where to")
    result = parser.add_argument_group("results")
    result.add_argument("--json", action="store_true", help="print the results as one JSON object")
    result.add_argument(
        "--price",
        type=float,
        default=0.04,
        help="US dollars a core-hour, for what a million predictions cost (%(default)g)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
