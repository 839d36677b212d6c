"""Check a published version again: its digests, its golden examples and live JAX."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("version_dir", type=Path, metavar="DIR", help="<base>/<model>/<version>")


def run(args: argparse.Namespace) -> int:
    """Checks one version."""
    raise NotImplementedError
