"""Send real images to a model server, show what it sees, and check every output against JAX."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from client import exits, flags

if TYPE_CHECKING:
    from client.check import CheckPlan, Source
    from client.model_spec import ModelSpec

EXAMPLES = """\
examples:
  python -m client.predict                              16 images over REST, port 8501
  python -m client.predict --grpc --port 8500           the same over gRPC
  python -m client.predict --model_dir models           compare with the golden examples there
  python -m client.predict --model_dir models --against jax --count_images 256 --batch_size 16
  python -m client.predict --host serving.example --tls --label stable --json
  python -m client.predict --host https://serving.example/models --header 'X-Tenant: blue'
  python -m client.predict --grpc --host dns:///serving.example:8500    all its addresses in turn
  python -m client.predict --image digit.png photo.jpg  files, to a signature that decodes them

exit code: 0 all outputs agree with JAX (or none was compared), 1 some don't, or the model failed,
2 wrong flags, an unknown model or no model server, 3 the server can't be reached or isn't ready
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.count_images % options.batch_size:
        parser.error(
            f"--count_images {options.count_images} is no multiple of "
            f"--batch_size {options.batch_size}"
        )
    try:
        return run(options)
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def run(options: argparse.Namespace) -> int:
    """Sends, compares and reports; errors become one line and an exit code."""
    from client import files, report
    from client.check import check
    from client.errors import ServingError
    from client.samples import SampleError

    try:
        with flags.connect(options) as client:
            if options.image:
                spec = _spec(options)
                seen = files.send(client, spec, options.signature, options.image)
                (files.print_json if options.json else files.print_table)(spec, seen)
                return 0
            plan, source = _plan(options), _source(options)
            with report.progress(plan.count, shown=not options.json) as advance:
                outcome = check(client, plan, source, advance)
            endpoint = client.endpoint
    except (SampleError, ValueError, OSError) as error:
        print(f"client.predict: {error}", file=sys.stderr)
        return exits.USAGE
    except ServingError as error:
        print(f"client.predict: {error}", file=sys.stderr)
        return exits.code_for(error.code)
    if options.json:
        report.print_json(plan, endpoint, outcome)
    else:
        report.print_report(plan, endpoint, outcome)
    return exits.FAILED if outcome.comparison and not outcome.comparison.ok else 0


def _plan(options: argparse.Namespace) -> CheckPlan:
    from client.check import CheckPlan

    return CheckPlan(_spec(options), options.signature, options.count_images, options.batch_size)


def _spec(options: argparse.Namespace) -> ModelSpec:
    from client.model_spec import ModelSpec

    return ModelSpec(options.model, options.version, options.label)


def _source(options: argparse.Namespace) -> Source:
    from client.samples import find

    directory: Path | None = options.model_dir
    if directory is not None and not directory.is_dir():
        raise ValueError(f"--model_dir {directory}: no such directory")
    return lambda version: find(
        options.model,
        version,
        options.signature,
        model_dir=directory,
        against=options.against,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client.predict",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flags.add_server_flags(parser)
    work = parser.add_argument_group("what is sent and compared")
    work.add_argument(
        "--batch_size", type=flags.positive, default=1, help="images a request (%(default)s)"
    )
    work.add_argument(
        "--count_images",
        type=flags.positive,
        default=16,
        help="images in all, a multiple of the batch size (%(default)s)",
    )
    work.add_argument(
        "--model_dir",
        type=Path,
        help="directory of the published models, to compare with; without it 128 bundled MNIST "
        "test images are sent and nothing is compared",
    )
    work.add_argument(
        "--against",
        choices=["golden", "jax"],
        help="compare with the version's golden examples (the default with --model_dir), or with "
        "its own JAX program, run now (needs jax)",
    )
    work.add_argument(
        "--image",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="send these PNG or JPEG files in one request, and show what the model sees in them",
    )
    work.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
