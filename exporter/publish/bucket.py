"""Publishing in buckets: a version is written on this machine, and uploaded once it has passed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from artifact import versions
from artifact.buckets import listing
from artifact.buckets.address import Address
from artifact.buckets.cache import Cache
from artifact.buckets.errors import AlreadyThere, BucketError, NotThere, Unsettled
from artifact.buckets.store import open_store
from exporter.errors import UserError
from exporter.publish import numbering
from exporter.publish.options import AUTO
from exporter.storage.cache import cache_directory
from exporter.storage.staging import readable_errors


class Bucket:
    """A model's folder in a bucket."""

    def __init__(self, model: Address) -> None:
        """Opens the bucket.

        Raises:
            UserError: its library or its settings are missing.
        """
        self.name = model.name
        self._model = model
        if not self.name:
            raise UserError(f"{model}: give the model a folder of its own, such as {model}/mine")
        with _readable():
            self._store = open_store(model)

    def check_version(self, version: int | str, *, overwrite: bool) -> None:
        """Checks early that a version could be published.

        Raises:
            UserError: it exists, or is to be replaced, which can't be done at once in a bucket.
        """
        if overwrite:
            raise UserError(
                f"{self._model}: versions in buckets are never replaced; leave --overwrite out and "
                "publish the next one"
            )
        numbering.check_number(version)
        with _readable():
            found = listing.whole(self._store.entries())
        if version in found:
            raise UserError(_exists(f"{self._model}/{version}"))

    def next_version(self) -> int:
        """Returns the version after the highest that is there, or on its way."""
        with _readable():
            return max(listing.group(self._store.entries()), default=0) + 1

    @contextlib.contextmanager
    def staged_version(self) -> Iterator[Path]:
        """Makes a directory for temporary files, in which the version is written and compared."""
        with tempfile.TemporaryDirectory(
            prefix="version-", ignore_cleanup_errors=True
        ) as directory:
            staged = Path(directory, self.name)
            staged.mkdir()
            with readable_errors(staged, "TMPDIR"):
                yield staged

    def publish(
        self, staged: Path, version: int | str, *, overwrite: bool, seal: Callable[[int], None]
    ) -> Address:
        """Uploads what was written; its manifest, which makes it a version, goes last."""
        wanted = None if version == AUTO else int(version)
        with _readable("; nothing was published"):
            return self._model / self._store.publish(wanted, staged, seal)


@contextlib.contextmanager
def local(version: Address) -> Iterator[Path]:
    """Gives a version of a bucket as a directory, fetched and compared with its digests.

    Args:
        version: `<model>/<version>`, or a model's address, for its latest version.

    Raises:
        UserError: it can't be read, or isn't as it was published.
    """
    number = versions.parse(version.name)
    model = version if number is None else version.parent
    with _readable():
        store = open_store(model)
        found = listing.whole(store.entries())
        number = max(found, default=None) if number is None else number
        if number is None or number not in found:
            raise NotThere(f"{version}: no version there")
        with Cache(cache_directory("versions")).held(store, model, found[number]) as path:
            yield path


@contextlib.contextmanager
def _readable(then: str = "") -> Iterator[None]:
    """Makes a `UserError` of what a bucket refuses, with what follows from it."""
    try:
        yield
    except AlreadyThere as error:
        raise UserError(
            f"{error}; choose another --model_version, or 'auto' for the next"
        ) from None
    except Unsettled as error:
        raise UserError(str(error)) from None
    except BucketError as error:
        raise UserError(f"{error}{then}") from None


def _exists(where: str) -> str:
    return f"{where} exists; choose another --model_version, or 'auto' for the next"
