"""What a bucket is asked for, whatever it is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from artifact.buckets.address import HUB, Address
from artifact.buckets.errors import MissingPackage

MAX_OBJECTS = 100_000  # of a model: what lists more is no model's folder


@dataclass(frozen=True)
class Entry:
    """An object below a folder.

    Attributes:
        name: Relative to the folder.
        size: In bytes.
        tag: Changes when its content does.
        modified: By the store's clock; None where it isn't told.
        revision: On the hub: the commit that it was seen in.
    """

    name: str
    size: int
    tag: str
    modified: datetime | None = None
    revision: str = ""


class Store(Protocol):
    """A folder of a store: a model's versions. Used by several threads.

    All methods raise `BucketError`.
    """

    def entries(self) -> Sequence[Entry]:
        """Returns everything below the folder, at most `MAX_OBJECTS`."""

    def download(self, entry: Entry, write: Callable[[bytes], object]) -> None:
        """Hands on an object's content, piece by piece, and no more than the size that was seen.

        Raises:
            NotThere: it is gone.
        """

    def publish(self, version: int | None, files: Path, seal: Callable[[int], None]) -> int:
        """Makes a version of a directory; returns its number.

        Args:
            version: Its number; None for the one after the highest.
            files: What it holds.
            seal: Called with the number before anything is written, maybe more than once.

        Raises:
            AlreadyThere: the version exists, or somebody else is writing it.
            Unsettled: nobody knows whether it was published.
        """


def check_installed(address: Address) -> None:
    """Tells whether what reads an address is here, without importing it.

    Raises:
        MissingPackage: it isn't.
    """
    is_hub = address.scheme == HUB
    package, extra = ("huggingface_hub", "hub") if is_hub else ("obstore", "buckets")
    if importlib.util.find_spec(package) is None:
        raise MissingPackage(f"{address} needs {package}: pip install 'jax-serving-stack[{extra}]'")


def open_store(address: Address) -> Store:
    """Returns the store of a model's address.

    Raises:
        MissingPackage: its library isn't installed.
        BucketError: its settings in the environment are wrong.
    """
    check_installed(address)
    if address.scheme == HUB:
        from artifact.buckets.hub import Hub

        return Hub(address)
    from artifact.buckets.objects import Objects

    return Objects(address)
