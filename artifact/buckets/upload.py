"""Publishing a version in a bucket: a claim first, the manifest last.

A bucket has no rename. What takes its place is one object, the manifest, which a store writes whole
or not at all. So that two who publish at once never mix their files, each claims a number before,
by an object that only one can create (`If-None-Match: *`).
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from artifact import versions
from artifact.buckets import listing
from artifact.buckets.address import Address
from artifact.buckets.errors import AlreadyThere, BucketError, Unsettled
from artifact.buckets.listing import CLAIM, Remote
from artifact.buckets.store import Entry

_MAX_TRIES = 100  # numbers that others claim while we look for one
_STALE = timedelta(hours=24)  # since anything was written of an upload: nobody goes on with it
_TRIES = 3  # to write an object that only one may create, each with the store's own retries


class Bucket(Protocol):
    """A model's folder of objects, each of which appears whole."""

    address: Address

    def entries(self) -> Sequence[Entry]:
        """Returns all objects."""

    def read(self, name: str) -> bytes:
        """Returns a small object's content."""

    def create(self, name: str, content: bytes) -> None:
        """Writes an object that nobody has written."""

    def write(self, name: str, file: Path) -> None:
        """Writes an object."""

    def delete(self, name: str) -> None:
        """Deletes an object."""


def publish(bucket: Bucket, version: int | None, files: Path, seal: Callable[[int], None]) -> int:
    """Publishes a directory's files as a version; `Store.publish` has the arguments.

    What was uploaded of a version that fails is deleted again, as far as the store lets us.

    Raises:
        AlreadyThere: the version exists, or somebody else is writing it.
        Unsettled: the store didn't say whether it took the manifest.
        BucketError: it can't be written; nothing was published.
    """
    number, token = _claim(bucket, version)
    names: list[str] = []
    try:
        seal(number)
        names += _names(files)
        for name in names:
            bucket.write(f"{number}/{name}", files / name)
        _check(bucket, number, {name: (files / name).stat().st_size for name in names}, token)
        manifest = (files / versions.MANIFEST).read_bytes()
        if not _create(bucket, f"{number}/{versions.MANIFEST}", manifest):
            raise AlreadyThere(f"{bucket.address}/{number}: somebody else has published it")
    except Unsettled:
        raise
    except BaseException:
        _discard(bucket, number, names)
        raise
    with contextlib.suppress(BucketError):
        bucket.delete(f"{number}/{CLAIM}")
    return number


def _claim(bucket: Bucket, version: int | None) -> tuple[int, bytes]:
    """Returns a number that is this call's alone, and what stands in its claim."""
    token = secrets.token_hex(16).encode()
    found = listing.group(bucket.entries())
    for _ in range(_MAX_TRIES):
        number = max(found, default=0) + 1 if version is None else version
        _check_free(bucket, found.get(number))
        is_ours = _create(bucket, f"{number}/{CLAIM}", token)
        try:
            # Who came before us may have published by now, and taken his claim away.
            found = listing.group(bucket.entries())
            there = found.get(number)
            if is_ours and there is not None and there.entries.keys() == {CLAIM}:
                _remove_stale(bucket, found, there.entries[CLAIM])
                return number, token
        except BaseException:
            if is_ours:
                _discard(bucket, number, [])
            raise
        if is_ours:
            _discard(bucket, number, [])
        if version is not None:
            _check_free(bucket, there)
            raise AlreadyThere(f"{bucket.address}/{number}: somebody else is writing it")
    raise BucketError(f"{bucket.address}: others take each number; try again", is_passing=True)


def _check_free(bucket: Bucket, there: Remote | None) -> None:
    """Refuses a number that is taken.

    Raises:
        AlreadyThere: by a version, by an upload, or by files of other origin.
    """
    if there is None:
        return
    where = f"{bucket.address}/{there.folder}"
    if there.is_whole:
        raise AlreadyThere(f"{where} exists")
    if CLAIM in there.entries:
        raise AlreadyThere(
            f"{where} is being uploaded by somebody else, or that was broken off: take the next "
            "version, or delete that folder"
        )
    raise AlreadyThere(f"{where} holds files without a manifest; delete them, or take another")


def _create(bucket: Bucket, name: str, content: bytes) -> bool:
    """Creates an object; returns whether it is ours, and not somebody else's.

    A store may have taken it although its answer was lost: so it is read again.

    Raises:
        Unsettled: there is no telling.
        BucketError: it was refused.
    """
    for _ in range(_TRIES):
        try:
            bucket.create(name, content)
        except AlreadyThere:
            pass
        except BucketError as error:
            if not error.is_passing:
                raise
        # Stores that don't know the condition let the last writer win: it is he who finds his own.
        with contextlib.suppress(BucketError):
            return bucket.read(name) == content
    raise Unsettled(
        f"{bucket.address}/{name}: the store doesn't say whether it took it; look there, and "
        "delete the folder if it isn't whole"
    )


def _check(bucket: Bucket, number: int, sizes: Mapping[str, int], token: bytes) -> None:
    """Looks whether all that was uploaded is there, and the claim still ours.

    Raises:
        BucketError: it isn't.
    """
    there = listing.group(bucket.entries()).get(number)
    found = {} if there is None else {name: entry.size for name, entry in there.entries.items()}
    if bucket.read(f"{number}/{CLAIM}") != token:
        raise BucketError(f"{bucket.address}/{number}: somebody else has claimed it")
    wrong = sorted(name for name, size in sizes.items() if found.get(name) != size)
    if wrong:
        raise BucketError(f"{bucket.address}/{number}: {', '.join(wrong)} didn't come whole")


def _discard(bucket: Bucket, number: int, names: Iterable[str]) -> None:
    """Deletes what was uploaded, as far as it goes; the claim, which tells of the rest, last."""
    with contextlib.suppress(BucketError):
        for name in [*names, CLAIM]:
            bucket.delete(f"{number}/{name}")


def _remove_stale(bucket: Bucket, found: Mapping[int, Remote], ours: Entry) -> None:
    """Deletes what uploads that were broken off long ago have left; the store's clock tells."""
    for remote in found.values():
        if remote.is_whole or CLAIM not in remote.entries or ours.modified is None:
            continue
        newest = max(entry.modified or ours.modified for entry in remote.entries.values())
        if ours.modified - newest > _STALE:
            with contextlib.suppress(BucketError):
                for name in sorted(remote.entries, key=lambda name: name == CLAIM):
                    bucket.delete(f"{remote.folder}/{name}")


def _names(files: Path) -> Iterator[str]:
    """The files of a version but its manifest."""
    for path in sorted(files.rglob("*")):
        name = path.relative_to(files).as_posix()
        if path.is_file() and name != versions.MANIFEST:
            yield name
