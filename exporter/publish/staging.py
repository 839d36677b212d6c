"""Publishing: a staging directory beside the versions, then one rename.

A server sees a version whole or not at all: what is being written has a name that no server takes
for a version, and is renamed once all of it is on the disk. Exporters exclude one another by
locks on directories, which the kernel drops with the process that held them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from artifact import versions
from exporter.errors import UserError
from exporter.storage import disk, swap

AUTO = "auto"
_PREFIX = ".staging-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_version(model_dir: Path, version: int | str, *, overwrite: bool) -> None:
    """Checks early that a version could be published.

    Raises:
        UserError: it exists and isn't to be overwritten, or is no version.
    """
    if version == AUTO:
        return
    if not isinstance(version, int) or versions.parse(str(version)) is None:
        raise UserError(f"version {version!r} is neither a number from 0 to 2^63-1 nor {AUTO!r}")
    existing = versions.find(model_dir).get(version)
    if existing is not None and not overwrite:
        raise _exists(existing)


def next_version(model_dir: Path) -> int:
    """Returns the version after the highest there is, 1 where there is none."""
    return max(versions.find(model_dir), default=0) + 1


@contextlib.contextmanager
def staging(model_dir: Path) -> Iterator[Path]:
    """Makes a directory to write a version into, and removes it at the end if it's still there.

    What exporters that were killed have left behind is removed first.

    Args:
        model_dir: `<base>/<model>`; made if it is missing.

    Raises:
        UserError: the directory can't be written, or the disk is full.
    """
    with _readable_errors(model_dir):
        model_dir.mkdir(parents=True, exist_ok=True)
        with _lock(model_dir):
            _remove_stale(model_dir)
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=model_dir))
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            directory.chmod(0o777 & ~_umask())  # mkdtemp's 0700 would shut a server out
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)


def publish(
    staged: Path, version: int | str, *, overwrite: bool, seal: Callable[[int], None]
) -> Path:
    """Turns a staging directory into a version.

    Args:
        staged: From `staging`.
        version: A number, or `"auto"` for the one after the highest.
        overwrite: Replace the version if it exists, in one step where the system can.
        seal: Called with the version's number before the rename, to write what depends on it.

    Returns:
        The version's directory.

    Raises:
        UserError: the version exists (and not `overwrite`), or the disk is full.
    """
    model_dir = staged.parent
    with _readable_errors(model_dir), _lock(model_dir):
        existing = versions.find(model_dir)
        number = next_version(model_dir) if version == AUTO else int(version)
        final = existing.get(number, model_dir / str(number))
        if number in existing and not overwrite:
            raise _exists(final)
        seal(number)
        disk.sync_tree(staged)
        if number in existing:
            swap.exchange(staged, final)
        else:
            os.rename(staged, final)
        disk.sync(model_dir)
        disk.sync(model_dir.parent)
    return final


def _exists(version_dir: Path) -> UserError:
    return UserError(
        f"{version_dir} exists; choose another --model_version, 'auto' for the next, or --overwrite"
    )


def _remove_stale(model_dir: Path) -> None:
    """Removes the staging directories whose exporter has ended; call it under the lock."""
    for directory in model_dir.glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # gone in the meantime, or no directory
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            pass  # its exporter is alive
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _readable_errors(model_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(f"{model_dir}: {error.strerror}; nothing was published") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            where = error.filename or model_dir
            raise UserError(f"{where}: {error.strerror}; choose another --model_path") from error
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
