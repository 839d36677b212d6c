"""Which versions stand on disk, whole enough to be loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from artifact import versions

_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")


@dataclass(frozen=True)
class Seen:
    """What a look at a model's base path has shown.

    Attributes:
        versions: Directories of complete versions; None where the path can't be read.
        fingerprints: Of directories that were asked for.
    """

    versions: Mapping[int, Path] | None
    fingerprints: Mapping[Path, object]


def look(base_path: Path, failed: Sequence[Path] = (), *, tflite: bool = False) -> Seen:
    """Looks at a base path, and at what became of the directories that couldn't be loaded."""
    return Seen(find(base_path, tflite=tflite), {path: fingerprint(path) for path in failed})


def find(base_path: Path, *, tflite: bool = False) -> dict[int, Path] | None:
    """Returns the complete version directories by version; None where the path can't be read.

    A version that is still being copied (no `saved_model.pb` yet, or data shards missing) isn't
    there yet. Serving would load it, fail, and try again a minute later.
    """
    try:
        if not base_path.is_dir():
            return None
        return {
            version: path
            for version, path in versions.find(base_path).items()
            if _is_complete(path) or (tflite and (path / "model.tflite").is_file())
        }
    except (OSError, ValueError):  # no leave to read it, or no path at all
        return None


def fingerprint(path: Path) -> frozenset[tuple[str, int, int]]:
    """Returns what changes when a file of the directory does: names, sizes and times."""
    found = set()
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            try:
                stat = file.stat()
            except OSError:
                continue
            found.add((str(file), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)


def _is_complete(path: Path) -> bool:
    if not (path / versions.SAVED_MODEL).is_file():
        return False
    try:
        names = os.listdir(path / "variables")
    except OSError:
        return True  # a model may be without variables
    shards = [match for match in map(_SHARD.fullmatch, names) if match]
    wanted = int(shards[0][1]) if shards else 0
    return len(shards) == wanted and ("variables.index" in names) == bool(shards)
