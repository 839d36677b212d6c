"""Which versions a listing shows."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from artifact import versions
from artifact.buckets.store import Entry

CLAIM = ".uploading"  # beside a version's files while they are uploaded


@dataclass(frozen=True)
class Remote:
    """A version in a bucket, or what is there of one.

    Attributes:
        number: The version.
        folder: Its name in the bucket; `1` as a rule, `001` is the same version.
        entries: Its objects by name, relative to the folder.
    """

    number: int
    folder: str
    entries: Mapping[str, Entry]

    @property
    def is_whole(self) -> bool:
        """Whether its manifest is there, which is written last."""
        return versions.MANIFEST in self.entries

    @property
    def key(self) -> str:
        """Changes when another version has taken its number."""
        manifest = self.entries[versions.MANIFEST]
        return hashlib.sha256(f"{manifest.size} {manifest.tag}".encode()).hexdigest()[:16]

    @property
    def size(self) -> int:
        """In bytes, of all that is there."""
        return sum(entry.size for entry in self.entries.values())


def group(entries: Iterable[Entry]) -> dict[int, Remote]:
    """Returns the versions that a listing shows, whole or not, ascending.

    Two folders of the same number give one entry: of a whole one, and of the shorter name.
    """
    folders: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        folder, slash, name = entry.name.partition("/")
        if slash and name:
            folders[folder][name] = entry
    found: dict[int, Remote] = {}
    for folder in sorted(folders, key=len, reverse=True):
        number = versions.parse(folder)
        if number is not None:
            remote = Remote(number, folder, folders[folder])
            if remote.is_whole or number not in found or not found[number].is_whole:
                found[number] = remote
    return dict(sorted(found.items()))


def whole(entries: Iterable[Entry]) -> dict[int, Remote]:
    """Returns the versions that are there: those with a manifest, ascending."""
    return {number: remote for number, remote in group(entries).items() if remote.is_whole}
