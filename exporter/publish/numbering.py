"""Version numbers, and the rename that publishes a version under its own.

A server sees a version whole or not at all: what is being written has a name that no server takes
for a version.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from artifact import versions
from exporter.errors import UserError
from exporter.publish.options import AUTO
from exporter.storage import disk
from exporter.storage.staging import locked, place, readable_errors, staged_directory

_FLAG = "--model_path"


def check_version(model_dir: Path, version: int | str, *, overwrite: bool) -> None:
    """Checks early that a version could be published.

    Raises:
        UserError: it exists and isn't to be overwritten, or is no version.
    """
    check_number(version)
    existing = None if version == AUTO else versions.find(model_dir).get(int(version))
    if existing is not None and not overwrite:
        raise _exists(existing)


def check_number(version: int | str) -> None:
    """Checks that a version is one.

    Raises:
        UserError: it is neither a number that servers take nor `"auto"`.
    """
    is_number = isinstance(version, int) and version >= 0
    if version != AUTO and not (is_number and versions.parse(str(version)) is not None):
        raise UserError(f"version {version!r} is neither a number from 0 to 2^63-1 nor {AUTO!r}")


def next_version(model_dir: Path) -> int:
    """Returns the version after the highest there is, 1 where there is none."""
    return max(versions.find(model_dir), default=0) + 1


@contextlib.contextmanager
def staged_version(model_dir: Path) -> Iterator[Path]:
    """Makes a directory to write a version into, and removes it at the end if it's still there.

    Args:
        model_dir: `<base>/<model>`; made if it is missing.

    Raises:
        UserError: the directory can't be written, or the disk is full.
    """
    with readable_errors(model_dir, _FLAG), staged_directory(model_dir) as directory:
        yield directory


def publish(
    staged: Path, version: int | str, *, overwrite: bool, seal: Callable[[int], None]
) -> Path:
    """Turns a staged directory into a version.

    Args:
        staged: From `staged_version`.
        version: A number, or `"auto"` for the one after the highest.
        overwrite: Replace the version if it exists, in one step where the system can.
        seal: Called with the version's number before the rename, to write what depends on it.

    Returns:
        The version's directory.

    Raises:
        UserError: the version exists (and not `overwrite`), or the disk is full.
    """
    model_dir = staged.parent
    with readable_errors(model_dir, _FLAG), locked(model_dir):
        existing = versions.find(model_dir)
        number = next_version(model_dir) if version == AUTO else int(version)
        final = existing.get(number, model_dir / str(number))
        if number in existing and not overwrite:
            raise _exists(final)
        seal(number)
        place(staged, final)
        disk.sync(model_dir.parent)
    return final


def _exists(version_dir: Path) -> UserError:
    return UserError(
        f"{version_dir} exists; choose another --model_version, 'auto' for the next, or --overwrite"
    )
