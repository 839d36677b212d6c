"""The files of a request log: whole records alone, and no more of them than there may be."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

# What follows the prefix: start, process, and the number behind the first file.
_NAME = re.compile(r"-\d{8}-\d{6}-\d+(-\d+)?\.tfrecord")


@dataclass(frozen=True)
class Bounds:
    """What the files of one prefix may take, those of earlier processes included.

    Attributes:
        file_bytes: A file that would get larger is ended, and the next one begun.
        files: How many stay; the oldest goes first.
    """

    file_bytes: int = 256 * 2**20
    files: int = 16


class LogFile:
    """A file of whole records: one that doesn't fit on the disk leaves nothing of it behind."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.path = path
        self._file = os.fdopen(os.open(path, flags, 0o666), "ab", buffering=0)
        self.size = os.fstat(self._file.fileno()).st_size

    def write(self, record: bytes) -> None:
        """Appends a record.

        Raises:
            OSError: the disk doesn't take all of it.
        """
        view = memoryview(record)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            os.ftruncate(self._file.fileno(), self.size)
            raise
        self.size += len(record)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def make_room(prefix: Path, files: int, in_use: Collection[Path]) -> list[Path]:
    """Removes the oldest files of a prefix, so that one more is not one too many.

    Args:
        prefix: What their names begin with.
        files: How many there may be.
        in_use: Files that stay in any case.

    Returns:
        What went, the oldest first.

    Raises:
        OSError: one can't be removed.
    """
    length = len(prefix.name)
    found = []
    for entry in os.scandir(prefix.parent):
        is_ours = entry.name.startswith(prefix.name) and _NAME.fullmatch(entry.name[length:])
        if is_ours and entry.is_file(follow_symlinks=False):
            found.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
    old = [path for _, path in sorted(found)[: max(len(found) - files + 1, 0)]]
    gone = [path for path in old if path not in in_use]
    for path in gone:
        path.unlink(missing_ok=True)  # another worker may have been faster
    return gone
