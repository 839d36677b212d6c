"""Swapping two directories in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # sys/stdio.h of macOS
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def swap(staged: Path, published: Path) -> None:
    """Swaps two directories; the published one is afterwards where the staged one was.

    Where the system or the file system can't swap, the published directory is moved away first:
    for a moment there is none under its name, but never a mixed or half one.

    Raises:
        OSError: neither way worked.
    """
    try:
        _swap(os.fsencode(staged), os.fsencode(published))
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
            raise
        aside = staged.with_name(f".replaced-{published.name}-{os.getpid()}")
        os.rename(published, aside)
        os.rename(staged, published)
        os.rename(aside, staged)


def _swap(first: bytes, second: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = libc.renamex_np(first, second, _RENAME_SWAP)
    else:
        failed = libc.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE)
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fsdecode(second))
