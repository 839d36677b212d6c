"""Versions of buckets on this machine's disk: whole, verified, bounded, and this user's alone.

A version has a slot, a directory named by its address, its number and its manifest's tag. Processes
that share the cache exclude one another by locks, which the kernel drops with their process: who
fetches a version or removes it holds its lock alone, who loads it shares it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

from artifact.buckets import download
from artifact.buckets.address import Address
from artifact.buckets.errors import BucketError
from artifact.buckets.listing import Remote
from artifact.buckets.store import Store
from artifact.compilation_cache import UnsafeCacheError, make
from artifact.manifest import Manifest, ManifestError, damaged_files

logger = logging.getLogger(__name__)

DEFAULT_BYTES = 20 * 2**30
_STAGING = ".staging"
_LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Cache:
    """Fetched versions in a directory."""

    def __init__(self, directory: Path, limit: int = DEFAULT_BYTES) -> None:
        """Takes the directory, made if it is missing, and how many bytes of versions it may hold.

        Raises:
            BucketError: others may write there, or it can't be made.
        """
        try:
            self._directory = make(directory)
        except (UnsafeCacheError, OSError) as error:
            raise BucketError(f"{error}; name another directory for versions of buckets") from None
        self._limit = limit
        self._verified: set[Path] = set()
        self._room = threading.Lock()
        self._coming = 0  # bytes of versions that are being fetched

    def path(self, model: Address, remote: Remote) -> Path:
        """Returns where a version is, once it was fetched: `…/<model>/<version>`."""
        return self._slot(model, remote) / (model.name or "model") / str(remote.number)

    @contextlib.contextmanager
    def held(self, store: Store, model: Address, remote: Remote) -> Iterator[Path]:
        """Gives a version's directory, which stays as long as the body needs it.

        It is fetched unless it is there, and compared with its digests once in a process.

        Raises:
            BucketError: it can't be fetched, or isn't what its manifest says.
        """
        slot, path = self._slot(model, remote), self.path(model, remote)
        while True:
            with _locked(slot, fcntl.LOCK_SH) as lock:
                if self._is_intact(path):
                    os.utime(lock)  # used now: `_make_room`
                    yield path
                    return
            with _locked(slot, fcntl.LOCK_EX):
                if not self._is_intact(path):
                    shutil.rmtree(slot, ignore_errors=True)
                    self._fetch(store, model, remote, slot)
                    self._verified.add(path)

    def clean(self, model: Address, kept: Collection[Path]) -> None:
        """Removes the versions of a model that aren't in its bucket any more."""
        for slot in self._slots(_hash(str(model)) + "-"):
            if not any(path.is_relative_to(slot) for path in kept):
                self._remove(slot)

    def _is_intact(self, path: Path) -> bool:
        """Whether a version is there, as its digests say; read once in a process."""
        if not path.exists():
            return False
        if path in self._verified:
            return True
        try:
            damaged = damaged_files(path, Manifest.read(path))
        except (OSError, ManifestError) as error:
            damaged = [str(error)]
        if damaged:
            logger.warning("%s is damaged and fetched again: %s", path, ", ".join(damaged))
            return False
        self._verified.add(path)
        return True

    def _fetch(self, store: Store, model: Address, remote: Remote, slot: Path) -> None:
        """Fetches a version, under its lock; its slot appears whole or not at all."""
        where = f"{model}/{remote.folder}"
        staging = slot.with_name(slot.name + _STAGING)
        directory = staging / (model.name or "model") / str(remote.number)
        shutil.rmtree(staging, ignore_errors=True)
        with self._room:
            self._make_room(where, remote.size)
            self._coming += remote.size
        try:
            directory.mkdir(parents=True, mode=0o700)
            download.fetch(store, where, remote, directory)
            os.rename(staging, slot)
        except OSError as error:
            what = "the disk is full" if error.errno in _FULL else error.strerror
            raise BucketError(f"{where}: can't be kept: {what}", is_passing=True) from None
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            with self._room:
                self._coming -= remote.size

    def _make_room(self, where: str, size: int) -> None:
        """Removes what nobody uses, longest unused first, until a version fits."""
        if size > self._limit:
            raise BucketError(f"{where}: {size} bytes, and {self._limit} is what may be kept")
        for staging in self._directory.glob(f"*{_STAGING}"):  # of processes that were killed
            self._remove(staging.with_name(staging.name.removesuffix(_STAGING)), alone=staging)
        used = {slot: _size(slot) for slot in self._slots("")}
        total = sum(used.values()) + self._coming
        for slot in sorted(used, key=_last_use):
            if self._fits(total + size, size):
                return
            if self._remove(slot):
                total -= used[slot]
        if not self._fits(total + size, size):
            raise BucketError(
                f"{where}: {size} bytes don't fit: {total} bytes of versions are in use, of "
                f"{self._limit} that may be kept, and {self._free()} are free on the disk",
                is_passing=True,
            )

    def _fits(self, total: int, size: int) -> bool:
        return total <= self._limit and size + self._coming <= self._free()

    def _free(self) -> int:
        return shutil.disk_usage(self._directory).free

    def _remove(self, slot: Path, *, alone: Path | None = None) -> bool:
        """Removes a slot, or what is alone of it, unless somebody uses it; tells whether it did."""
        try:
            with _locked(slot, fcntl.LOCK_EX | fcntl.LOCK_NB):
                self._verified = {path for path in self._verified if slot not in path.parents}
                shutil.rmtree(alone or slot)
                if not slot.exists():
                    _lock_file(slot).unlink(missing_ok=True)
        except BlockingIOError:
            return False
        except OSError as error:
            logger.warning("%s can't be removed: %s", slot, error)
            return False
        return True

    def _slot(self, model: Address, remote: Remote) -> Path:
        return self._directory / f"{_hash(str(model))}-{remote.number}-{remote.key}"

    def _slots(self, prefix: str) -> list[Path]:
        return [
            path
            for path in self._directory.glob(f"{prefix}*")
            if path.suffix not in (_STAGING, _LOCK) and path.is_dir()
        ]


@contextlib.contextmanager
def _locked(slot: Path, how: int) -> Iterator[int]:
    """Takes a slot's lock: of the file that has its name, for another may just have been removed.

    Raises:
        BlockingIOError: with LOCK_NB, somebody else has it.
    """
    path = _lock_file(slot)
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, how)
            if _is_same(lock, path):
                yield lock
                return
        finally:
            os.close(lock)


def _is_same(file: int, path: Path) -> bool:
    try:
        return os.fstat(file).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _lock_file(slot: Path) -> Path:
    return slot.with_name(slot.name + _LOCK)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _size(slot: Path) -> int:
    return sum(file.stat().st_size for file in slot.rglob("*") if file.is_file())


def _last_use(slot: Path) -> float:
    with contextlib.suppress(OSError):
        return _lock_file(slot).stat().st_mtime
    return 0.0
