"""Compiled programs on disk: nobody else's, and whole.

JAX hands what it finds in its cache to native code, which runs it. So the cache must be this user's
alone, and an entry that is damaged, by a disk or a power cut, must not get there.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
import tempfile
import threading
from pathlib import Path

logger = logging.getLogger(__name__)

_SUFFIX = ".program"
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_DIGEST_BYTES = hashlib.sha256().digest_size


class UnsafeCacheError(Exception):
    """A directory that others may write, or have written."""


def use(directory: Path) -> None:
    """Has JAX keep the programs that it compiles from now on in a directory, and read them there.

    Raises:
        UnsafeCacheError: others may change it. JAX goes on without.
        OSError: it can't be made.
    """
    import jax

    from artifact import _compat

    directory = make(directory)
    if not _compat.set_compilation_cache(str(directory), Cache(directory)):
        raise UnsafeCacheError(f"JAX {jax.__version__} can't be given a cache of one's own")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def make(directory: Path) -> Path:
    """Makes a directory that is this user's alone, or finds that it is; returns it without links.

    Raises:
        UnsafeCacheError: the directory, or one above it, is or may be somebody else's work.
        OSError: it can't be made.
    """
    directory = directory.absolute()
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    real = directory.resolve()  # a link may lead elsewhere tomorrow
    _check(real)
    return real


class Cache:
    """JAX's cache of compiled programs: `get` and `put` by key; see jax's LRUCache.

    An entry is a file that begins with a digest of its key and its content, and appears whole.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory
        self._lock = threading.Lock()
        self._is_failing = False

    def get(self, key: str) -> bytes | None:
        """Returns an entry's content; None where there is none, or it is damaged."""
        try:
            file = os.open(self._file(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(file, "rb") as opened:
            if not _is_ours(os.fstat(file)):
                logger.warning("compiled program %s may be somebody else's: not used", key)
                return None
            try:
                digest, content = opened.read(_DIGEST_BYTES), opened.read()
            except OSError as error:
                logger.warning("compiled program %s can't be read: %s", key, error)
                return None
        if digest != _digest(key, content):
            logger.warning("compiled program %s is damaged, and compiled again", key)
            return None
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keeps an entry, as far as the disk takes it."""
        try:
            with tempfile.NamedTemporaryFile(dir=self._path, delete=False) as file:
                try:
                    file.write(_digest(key, content))
                    file.write(content)
                    file.close()
                    os.replace(file.name, self._file(key))
                except OSError:
                    os.unlink(file.name)
                    raise
        except OSError as error:
            with self._lock:
                if not self._is_failing:
                    logger.warning("compiled programs aren't kept: %s", error)
                self._is_failing = True

    def _file(self, key: str) -> Path:
        return self._path / f"{key}{_SUFFIX}"


def _digest(key: str, content: bytes) -> bytes:
    found = hashlib.sha256(key.encode())
    found.update(content)
    return found.digest()


def _check(directory: Path) -> None:
    if not _is_ours(found := directory.stat()):
        raise UnsafeCacheError(f"{directory} {_blame(found)}")
    for parent in directory.parents:
        found = parent.stat()
        is_sticky = bool(found.st_mode & stat.S_ISVTX)  # there, others can't replace what is ours
        if found.st_uid == 0 and (is_sticky or not found.st_mode & stat.S_IWOTH):
            return
        if not _is_ours(found):
            raise UnsafeCacheError(f"{directory}: {parent}, above it, {_blame(found)}")


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_MAY_WRITE


def _blame(found: os.stat_result) -> str:
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, not to {os.geteuid()}, who runs this"
    return f"may be written by others: its mode is {stat.S_IMODE(found.st_mode):o}, not 700"
