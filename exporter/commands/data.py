"""`python -m exporter data prepare`: MNIST's files as a TFDS data directory."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  python -m exporter data prepare --idx ~/mnist --data_dir ~/tensorflow_datasets
  python -m exporter --data_source tfds --data_dir ~/tensorflow_datasets
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    subcommands = parser.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    prepare = subcommands.add_parser(
        "prepare",
        help="write MNIST's IDX files as TensorFlow Datasets' mnist",
        description="Write MNIST's IDX files, gzipped or not, as the `mnist` that "
        "tfds.load(..., download=False) reads.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    prepare.add_argument(
        "--idx",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory of train-images-idx3-ubyte[.gz] and its three companions",
    )
    prepare.add_argument(
        "--data_dir", type=Path, required=True, metavar="OUT", help="TFDS's data directory"
    )


def run(args: argparse.Namespace) -> int:
    """Prepare the data directory; returns the exit code."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    from exporter.training.datasets import tfds

    console = Console(stderr=True)
    bar = Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("mnist", total=None)
        written = tfds.prepare(
            args.idx.expanduser(),
            args.data_dir.expanduser(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(written)
    return 0
