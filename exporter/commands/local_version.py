"""A published version as a directory on this machine, wherever it was published."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from artifact.buckets.address import Address


@contextlib.contextmanager
def local_version(version: Path | Address) -> Iterator[Path]:
    """Gives a version's directory; that of a bucket is fetched, and compared with its digests.

    Raises:
        UserError: the bucket can't be read, or there is no such version.
    """
    if not isinstance(version, Address):
        yield version
        return
    from exporter.publish import bucket

    with bucket.local(version) as directory:
        yield directory
