"""How many versions stay: old ones go, so that a disk doesn't fill up with them."""

from __future__ import annotations

import shutil
from pathlib import Path

from artifact import versions
from exporter.storage.staging import locked, staging_name


def keep_newest(model_dir: Path, count: int) -> list[int]:
    """Removes all versions but those with the highest numbers.

    A version disappears by one rename, to a name that no server takes for a version, before its
    files go. What is left where this process is killed, the next export removes.

    Args:
        model_dir: `<base>/<model>`.
        count: How many stay, 1 or more.

    Returns:
        The versions that went, ascending.

    Raises:
        OSError: one can't be removed.
    """
    if count < 1:
        raise ValueError(f"{count} versions can't be kept; 1 is the least")
    with locked(model_dir):
        found = versions.find(model_dir)
        old = sorted(found)[:-count]
        for version in old:
            gone = staging_name(model_dir)
            found[version].rename(gone)
            shutil.rmtree(gone)
    return old
