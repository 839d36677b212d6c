"""Check a published version again: its digests, its golden examples and live JAX."""

from __future__ import annotations

import argparse
import json

from exporter.commands.flags import FlagParser, directory_or_address
from exporter.commands.local_version import local_version

EXAMPLES = """\
examples:
  python -m exporter verify models/mnist_flax/1
  python -m exporter verify models/mnist_flax --json     # the latest version
  python -m exporter verify s3://bucket/models/mnist_flax
"""


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    parser.add_version_dir(directory_or_address)
    parser.add_argument("--seed", type=int, help="of the new random inputs (default: a new one)")
    parser.add_boolean("json", default=False, help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Checks one version."""
    from artifact import versions
    from exporter.commands.progress import Progress
    from exporter.inspect import description
    from exporter.verify.published import recheck

    with local_version(args.version_dir) as directory:
        result = recheck(versions.resolve(directory), seed=args.seed, stage=Progress())
    if args.json:
        print(json.dumps(description.comparison(result.manifest, result.parity)))
    else:
        description.print_comparison(result.manifest, result.parity)
    return 0
