"""Files and directories that a reader sees whole or not at all: staged beside, then renamed.

What is being written has a name that nobody takes for the real thing. Writers exclude one another
by locks on directories, which the kernel drops with the process that held them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from exporter.errors import UserError
from exporter.storage import disk, swap

PREFIX = ".staging-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


@contextlib.contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it into place if nothing was raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield staged
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


@contextlib.contextmanager
def staged_directory(parent: Path) -> Iterator[Path]:
    """Makes a directory to write into, and removes it at the end if it's still there.

    What writers that were killed have left behind is removed first.

    Args:
        parent: Where it is made; made itself if it is missing. `place` puts it beside.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with locked(parent):
        _remove_stale(parent)
        directory = staging_name(parent)
        directory.mkdir()
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def staging_name(parent: Path) -> Path:
    """Returns a new name in a directory that nobody takes for the real thing, and writers clear."""
    return parent / f"{PREFIX}{secrets.token_hex(6)}"


def place(staged: Path, target: Path) -> None:
    """Puts a staged directory in its place, with all of it on the disk first.

    A directory that is there is replaced, in one step where the system can.

    Raises:
        OSError: the disk is full, or the target can't be written.
    """
    disk.sync_tree(staged)
    if target.exists():
        swap.swap(staged, target)
    else:
        os.rename(staged, target)
    disk.sync(target.parent)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Excludes other processes that lock the same directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def readable_errors(target: Path, flag: str) -> Iterator[None]:
    """Makes a `UserError` of what the file system refuses.

    Args:
        target: What can't be written.
        flag: What a user changes then, such as `--model_path`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(f"{target}: {error.strerror}; nothing was published") from error
        if error.errno in _REFUSED:
            where = error.filename or target
            raise UserError(f"{where}: {error.strerror}; choose another {flag}") from error
        raise


def _remove_stale(parent: Path) -> None:
    """Removes the staging directories whose writer has ended; call it under the lock."""
    for directory in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # gone in the meantime, or no directory
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            pass  # its writer is alive
        finally:
            os.close(descriptor)
