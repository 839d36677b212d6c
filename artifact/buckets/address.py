"""Addresses of models in buckets: `s3://bucket/models/mnist_flax`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from artifact.buckets.errors import AddressError

_OBJECTS = ("gs", "s3")
HUB = "hf"
_SCHEMES = (*_OBJECTS, HUB)
_URI = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,221}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_MAX_PATH = 800  # bytes; object stores take names of up to 1,024


@dataclass(frozen=True)
class Address:
    """A folder in a bucket or on the hub.

    Attributes:
        scheme: `gs`, `s3` or `hf`.
        bucket: The bucket; on the hub `owner/repository`.
        path: Below it, without slashes at its ends; empty for the whole.
        revision: On the hub: a branch, a tag or a commit; empty: the main branch.
    """

    scheme: str
    bucket: str
    path: str = ""
    revision: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads an address: `gs://BUCKET/PATH`, `s3://BUCKET/PATH`, `hf://OWNER/NAME[@REV]/PATH`.

        Raises:
            AddressError: it is none. The text isn't repeated where credentials may stand in it.
        """
        match = _URI.fullmatch(text)
        if match is None or match[1] not in _SCHEMES:
            raise AddressError("an address begins with gs://, s3:// or hf://")
        scheme, rest = match[1], match[2]
        if scheme != HUB:
            bucket, _, path = rest.partition("/")
            if not _BUCKET.fullmatch(bucket):
                raise AddressError(
                    f"{scheme}://: a bucket's name, of letters, digits, dots and dashes, comes "
                    "first; credentials belong into the environment, not into an address"
                )
            return cls(scheme, bucket, _path(scheme, path))
        owner, _, rest = rest.partition("/")
        name, _, path = rest.partition("/")
        name, at, revision = name.partition("@")
        bucket = f"{owner}/{name}"
        if not _REPOSITORY.fullmatch(bucket) or (at and not _REVISION.fullmatch(revision)):
            raise AddressError("hf://: OWNER/NAME or OWNER/NAME@REVISION comes first")
        return cls(scheme, bucket, _path(scheme, path), revision)

    @property
    def name(self) -> str:
        """The last part of the path; empty without one."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Address:
        """The folder above; itself where there is none."""
        return replace(self, path=self.path.rpartition("/")[0])

    def __truediv__(self, name: str | int) -> Address:
        """Returns a folder below.

        Raises:
            AddressError: the name is no part of a path.
        """
        return replace(self, path=_path(self.scheme, f"{self.path}/{name}"))

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.scheme}://{self.bucket}{revision}" + (f"/{self.path}" if self.path else "")

    def is_absolute(self) -> bool:
        """Yes; a base path is asked."""
        return True

    def absolute(self) -> Address:
        """Returns itself; a base path is asked."""
        return self


def is_address(text: str) -> bool:
    """Whether text begins as an address of a bucket or of the hub does."""
    match = _URI.fullmatch(text)
    return match is not None and match[1] in _SCHEMES


def is_safe(name: str) -> bool:
    """Whether an object's name can become a file's below a directory, and leads nowhere else."""
    parts = name.split("/")
    return bool(name) and all(
        part not in ("", ".", "..") and part.isprintable() and "\\" not in part for part in parts
    )


def _path(scheme: str, path: str) -> str:
    path = path.strip("/")
    if path and (not is_safe(path) or len(path.encode()) > _MAX_PATH):
        raise AddressError(f"{scheme}://: the path has empty parts, dots, or more than letters")
    return path
