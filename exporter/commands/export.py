"""Train a JAX model, export it as a SavedModel, verify it and publish it."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""


def run(args: argparse.Namespace) -> int:
    """Exports one model."""
    raise NotImplementedError
