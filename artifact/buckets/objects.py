"""Buckets of S3 and Google Cloud Storage, and of stores that speak as they do."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from artifact.buckets import upload
from artifact.buckets.address import Address
from artifact.buckets.errors import AlreadyThere, BucketError, NotThere
from artifact.buckets.store import MAX_OBJECTS, Entry

_CHUNK = 16 * 2**20  # bytes of a request for a part of an object
# A request that gets nowhere for so long is given up and repeated.
_CLIENT = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(minutes=10),
}
_RETRIES = {
    "max_retries": 8,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
}
# Who names an endpoint without TLS wants it so.
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
}
_STATUS = re.compile(r"status code: (\d{3})")
_PASSING = ("408", "409", "412", "425", "429")  # refusals that are no last word
_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")


class Objects:
    """A model's folder in a bucket, through obstore; credentials are the environment's."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._prefix = address.path and f"{address.path}/"
        import obstore
        from obstore.store import from_url

        self._obstore = obstore
        with self._told(""):
            self._store = from_url(
                f"{address.scheme}://{address.bucket}",
                client_options={**_CLIENT, "allow_http": _allows_http(address.scheme)},
                retry_config=_RETRIES,
            )

    def entries(self) -> Sequence[Entry]:
        """Returns everything below the folder; one request for a thousand objects."""
        found: list[Entry] = []
        with self._told(""):
            for chunk in self._obstore.list(self._store, self._prefix or None, chunk_size=1000):
                found += [self._entry(meta) for meta in chunk]
                if len(found) > MAX_OBJECTS:
                    raise BucketError(
                        f"{self.address}: more than {MAX_OBJECTS} objects: no model's folder"
                    )
        return found

    def download(self, entry: Entry, write: Callable[[bytes], object]) -> None:
        """Hands on an object's content; one that was replaced meanwhile has another digest."""
        for start in range(0, entry.size, _CHUNK):
            end = min(start + _CHUNK, entry.size)
            with self._told(entry.name):
                data = self._obstore.get_range(
                    self._store, self._prefix + entry.name, start=start, end=end
                )
            if len(data) != end - start:
                raise BucketError(
                    f"{self.address}/{entry.name}: {len(data)} bytes came in place of "
                    f"{end - start}",
                    is_passing=True,
                )
            write(bytes(data))

    def publish(self, version: int | None, files: Path, seal: Callable[[int], None]) -> int:
        """Claims a number, uploads a version's files and, last, its manifest."""
        return upload.publish(self, version, files, seal)

    def read(self, name: str) -> bytes:
        """Returns the content of a small object.

        Raises:
            NotThere: it isn't there.
        """
        with self._told(name):
            return bytes(self._obstore.get(self._store, self._prefix + name).bytes())

    def create(self, name: str, content: bytes) -> None:
        """Writes an object that nobody has written.

        Raises:
            AlreadyThere: somebody has.
        """
        with self._told(name):
            self._obstore.put(
                self._store, self._prefix + name, content, mode="create", use_multipart=False
            )

    def write(self, name: str, file: Path) -> None:
        """Writes an object, in parts where it is big; it appears whole."""
        with self._told(name):
            self._obstore.put(
                self._store, self._prefix + name, file, chunk_size=_CHUNK, max_concurrency=4
            )

    def delete(self, name: str) -> None:
        """Deletes an object that may be there."""
        with contextlib.suppress(NotThere), self._told(name):
            self._obstore.delete(self._store, self._prefix + name)

    def _entry(self, meta: Mapping[str, Any]) -> Entry:
        return Entry(
            meta["path"].removeprefix(self._prefix),
            meta["size"],
            meta["e_tag"] or "",
            meta["last_modified"],
        )

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Makes errors of this project of obstore's, whose texts hold whole answers."""
        what = f"{self.address}/{name}" if name else str(self.address)
        exceptions = self._obstore.exceptions
        try:
            yield
        except FileNotFoundError:
            raise NotThere(f"{what}: not there") from None
        except exceptions.AlreadyExistsError:
            raise AlreadyThere(f"{what}: already there") from None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise BucketError(f"{what}: refused{_reason(error)}; see docs/buckets.md") from None
        except exceptions.InvalidPathError:
            raise BucketError(f"{what}: an object's name there can't be a file's") from None
        except exceptions.NotSupportedError:
            raise BucketError(f"{what}: the store can't do that (conditional writes)") from None
        except exceptions.BaseError as error:
            status = _STATUS.search(str(error))
            if status is not None and status[1].startswith("4") and status[1] not in _PASSING:
                raise BucketError(f"{what}: refused{_reason(error)}; see docs/buckets.md") from None
            raise BucketError(f"{what}: no answer{_reason(error)}", is_passing=True) from None
        except (ValueError, TypeError) as error:
            raise BucketError(f"{what}: {type(error).__name__} in the store's settings") from None


def _reason(error: Exception) -> str:
    """What may be told of an error: the status and the store's word for it."""
    text = str(error)
    found = [match[1] for match in (_STATUS.search(text), _CODE.search(text)) if match]
    return f" ({' '.join(found)})" if found else ""


def _allows_http(scheme: str) -> bool:
    names = _ENDPOINTS[scheme]
    return any(os.environ.get(name, "").startswith("http://") for name in names)
