"""Where versions are published: in a directory, or in a bucket."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from artifact.buckets.address import Address, is_address
from artifact.buckets.errors import AddressError
from exporter.errors import UserError
from exporter.publish import numbering


class Destination(Protocol):
    """A model's directory, or its folder in a bucket; all methods raise `UserError`."""

    @property
    def name(self) -> str:
        """The model's."""

    def check_version(self, version: int | str, *, overwrite: bool) -> None:
        """Checks early that a version could be published."""

    def next_version(self) -> int:
        """Returns the version after the highest there is."""

    def staged_version(self) -> AbstractContextManager[Path]:
        """Makes a directory to write a version into, which is gone at the end."""

    def publish(
        self, staged: Path, version: int | str, *, overwrite: bool, seal: Callable[[int], None]
    ) -> Path | Address:
        """Turns what was written into a version; `seal` writes what depends on its number."""


class Directory:
    """A model's directory on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.absolute().name
        if not self.name:
            raise UserError(f"{path}: give the model a directory of its own, such as models/mine")

    def check_version(self, version: int | str, *, overwrite: bool) -> None:
        """Checks early that a version could be published."""
        numbering.check_version(self._path, version, overwrite=overwrite)

    def next_version(self) -> int:
        """Returns the version after the highest there is."""
        return numbering.next_version(self._path)

    def staged_version(self) -> AbstractContextManager[Path]:
        """Makes a directory beside the versions."""
        return numbering.staged_version(self._path)

    def publish(
        self, staged: Path, version: int | str, *, overwrite: bool, seal: Callable[[int], None]
    ) -> Path:
        """Renames what was written."""
        return numbering.publish(staged, version, overwrite=overwrite, seal=seal)


def of(model_dir: str | Path | Address) -> Destination:
    """Returns the destination that a directory or an address is.

    Raises:
        UserError: it is no address, or what reads it isn't installed.
    """
    if isinstance(model_dir, str) and is_address(model_dir):
        model_dir = address(model_dir)
    if not isinstance(model_dir, Address):
        return Directory(Path(model_dir))
    from exporter.publish.bucket import Bucket

    return Bucket(model_dir)


def address(text: str) -> Address:
    """Reads an address.

    Raises:
        UserError: it is none.
    """
    try:
        return Address.parse(text)
    except AddressError as error:
        raise UserError(str(error)) from None
