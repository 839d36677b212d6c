"""Put load on a model server and measure throughput and latency."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from client import exits, flags

if TYPE_CHECKING:
    from client.endpoint import Endpoint
    from client.load.plan import LoadPlan

EXAMPLES = """\
examples:
  python -m client.load --grpc --concurrency 32         closed loop: 32 clients, one request each
  python -m client.load --batch_size 16 --duration 30 --plot latency.png
  python -m client.load --grpc --rate 500 --concurrency 64      open loop: 500 requests a second
  python -m client.load --model_dir models --verify             compare every answer with JAX's
  python -m client.load --concurrency 2000 --timeout 5          2,000 connections
  python -m client.load --grpc --concurrency 64 --connections 2     32 streams on each of two
  python -m client.load --host https://serving.example/models --header 'X-Tenant: blue' --json

Latencies of the open loop run from the moment a request was meant to start, so that a server
that stalls is charged for the requests it kept waiting (no coordinated omission). A request that
times out counts in the percentiles with at least the --timeout that it was given.

exit code: 0 no errors, 1 errors or wrong answers, 2 wrong flags, an unknown model or no model
server, 3 the server can't be reached or isn't ready
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    options = _parser().parse_args(argv)
    try:
        return run(options)
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def run(options: argparse.Namespace) -> int:
    """Prepares, measures and reports; errors become one line and an exit code."""
    from client.errors import ServingError
    from client.load import table
    from client.load.generator import generate
    from client.load.workload import prepare

    try:
        if options.plot:
            from client.load import plot
        with flags.connect(options) as client:
            plan = _plan(options, client.endpoint)
            workload = prepare(client, plan, options.model_dir)
        with table.progress(plan, shown=not options.json) as watch:
            result = generate(plan, workload, watch)
        if options.plot:
            plot.save(result, options.plot)
    except ServingError as error:
        print(f"client.load: {error}", file=sys.stderr)
        return exits.code_for(error.code)
    except (ValueError, OSError, ImportError) as error:
        print(f"client.load: {error}", file=sys.stderr)
        return exits.USAGE
    if options.json:
        print(json.dumps(result.as_json()))
    else:
        table.print_result(result)
    return 0 if result.ok else exits.FAILED


def _plan(options: argparse.Namespace, endpoint: Endpoint) -> LoadPlan:
    from client.load.plan import LoadPlan
    from client.model_spec import ModelSpec

    return LoadPlan(
        endpoint,
        ModelSpec(options.model, options.version, options.label),
        options.signature,
        concurrency=options.concurrency,
        batch_size=options.batch_size,
        duration=options.duration,
        warmup=options.warmup,
        rate=options.rate,
        poisson=options.poisson,
        answers=options.answers,
        connections=options.connections,
        timeout=options.timeout,
        verify=options.verify,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client.load",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flags.add_server_flags(parser)
    load = parser.add_argument_group("load")
    load.add_argument(
        "--concurrency", type=flags.positive, default=8, help="requests in flight (%(default)s)"
    )
    load.add_argument(
        "--batch_size", type=flags.positive, default=1, help="examples a request (%(default)s)"
    )
    load.add_argument(
        "--duration", type=flags.seconds, default=10.0, help="seconds measured (%(default)g)"
    )
    load.add_argument(
        "--warmup", type=flags.seconds, default=1.0, help="seconds before them (%(default)g)"
    )
    load.add_argument(
        "--rate", type=flags.seconds, help="requests per second: the open loop; closed without it"
    )
    load.add_argument("--poisson", action="store_true", help="random gaps in the open loop")
    load.add_argument(
        "--answers",
        type=flags.positive,
        metavar="N",
        help="end the closed loop with so many answers, or with --duration, whichever comes first",
    )
    load.add_argument(
        "--connections",
        type=flags.positive,
        help="connections that gRPC requests share; by default each in flight has its own",
    )
    answers = parser.add_argument_group("answers")
    answers.add_argument(
        "--model_dir",
        type=Path,
        help="directory of the published models: their golden examples are sent",
    )
    answers.add_argument(
        "--verify",
        action="store_true",
        help="decode every answer and compare it with JAX's (with --model_dir) or with the first "
        "answer to the same request; costs the generator time",
    )
    answers.add_argument("--json", action="store_true", help="print one JSON object")
    answers.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw the latency distribution"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
