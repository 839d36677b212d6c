"""Fetching a version from a bucket into a directory, compared with its manifest's digests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from artifact import versions
from artifact.buckets.address import is_safe
from artifact.buckets.errors import Damaged
from artifact.buckets.listing import Remote
from artifact.buckets.store import Entry, Store
from artifact.manifest import Manifest, ManifestError

_MAX_MANIFEST = 64 * 2**20  # bytes
_MAX_FILES = 10_000
_THREADS = 4


def fetch(store: Store, where: str, remote: Remote, directory: Path) -> None:
    """Fetches what a version's manifest lists, and nothing else.

    Args:
        store: The model's.
        where: The version's address, for messages.
        remote: The version as it was seen.
        directory: An empty one; what is in it after an error is of no use.

    Raises:
        Damaged: the manifest is no manifest, or a file isn't what it says.
        NotThere: the version was deleted or replaced in the meantime.
        BucketError: the bucket can't be read.
        OSError: the disk is full.
    """
    entry = remote.entries[versions.MANIFEST]
    if entry.size > _MAX_MANIFEST:
        raise Damaged(f"{where}: a manifest of {entry.size} bytes")
    _download(store, entry, directory / versions.MANIFEST)
    digests = _digests(where, directory)
    wanted = {name: _entry(where, remote, name) for name in digests}

    def get(name: str) -> None:
        if _download(store, wanted[name], directory / name) != digests[name]:
            raise Damaged(f"{where}/{name}: not what the manifest says (another digest)")

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as pool:
        tasks = [pool.submit(get, name) for name in wanted]
        try:
            for task in tasks:
                task.result()
        finally:
            for task in tasks:
                task.cancel()


def _digests(where: str, directory: Path) -> Mapping[str, str]:
    """The digests of a manifest that was just fetched."""
    try:
        digests = Manifest.read(directory).digests
    except (ManifestError, UnicodeDecodeError, RecursionError, ValueError) as error:
        text = str(error).replace(str(directory), where)
        raise Damaged(f"{where}: {text or type(error).__name__}") from None
    if not isinstance(digests, Mapping) or not digests or len(digests) > _MAX_FILES:
        raise Damaged(f"{where}: a manifest without digests, or of too many files")
    unsafe = [name for name in digests if not is_safe(name) or name == versions.MANIFEST]
    if unsafe:
        raise Damaged(f"{where}: the manifest lists {unsafe[0]!r}, which is no file of a version")
    return digests


def _entry(where: str, remote: Remote, name: str) -> Entry:
    """A file of the manifest as it was seen in the bucket."""
    if name not in remote.entries:
        raise Damaged(f"{where}/{name}: the manifest lists it, and it isn't there")
    return remote.entries[name]


def _download(store: Store, entry: Entry, path: Path) -> str:
    """Writes an object's content to a file and returns its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("xb") as file:

        def write(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        store.download(entry, write)
        file.flush()
        os.fsync(file.fileno())
    return f"sha256:{digest.hexdigest()}"
