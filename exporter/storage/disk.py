"""Bringing what was written to the disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


@contextlib.contextmanager
def syncing(directory: Path) -> Iterator[None]:
    """Brings what a directory holds to the disk while the body goes on with something else.

    Raises:
        OSError: at the end, that the disk is full for one.
    """
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(sync_tree, directory)
        yield
        done.result()


def sync_tree(directory: Path) -> None:
    """Brings a directory and all that it holds to the disk."""
    for path in directory.rglob("*"):
        sync(path)
    sync(directory)


def sync(path: Path) -> None:
    """Brings a file, or a directory's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
