"""Models on the Hugging Face hub, through huggingface_hub: a version appears by one commit."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from artifact import versions
from artifact.buckets import listing
from artifact.buckets.address import Address
from artifact.buckets.errors import AlreadyThere, BucketError, NotThere, Unsettled
from artifact.buckets.store import MAX_OBJECTS, Entry

_CHUNK = 2**20
_MAX_TRIES = 20  # commits of others that come before ours


class Hub:
    """A model's folder in a repository; token and endpoint are the environment's (HF_TOKEN)."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._prefix = address.path and f"{address.path}/"
        import huggingface_hub

        self._library = huggingface_hub
        self._api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        self._seen: tuple[str, Sequence[Entry]] = ("", ())

    def entries(self) -> Sequence[Entry]:
        """Returns everything below the folder; one request as long as there is no new commit."""
        with self._told(""):
            return self._entries()[1]

    def download(self, entry: Entry, write: Callable[[bytes], object]) -> None:
        """Hands on a file's content as it was in the commit that it was seen in."""
        with self._told(entry.name), tempfile.TemporaryDirectory(prefix="hub-") as directory:
            path = self._api.hf_hub_download(
                self.address.bucket,
                self._prefix + entry.name,
                revision=entry.revision,
                local_dir=directory,
            )
            with open(path, "rb") as file:
                while data := file.read(_CHUNK):
                    write(data)

    def publish(self, version: int | None, files: Path, seal: Callable[[int], None]) -> int:
        """Adds a version by one commit, which no other may come before."""
        for _ in range(_MAX_TRIES):
            with self._told(""):
                parent, entries = self._entries()
            found = listing.group(entries)
            number = max(found, default=0) + 1 if version is None else version
            if number in found:
                raise AlreadyThere(f"{self.address}/{found[number].folder} exists")
            seal(number)
            if self._commit(number, files, parent):
                return number
        raise BucketError(f"{self.address}: others commit without a pause", is_passing=True)

    def _entries(self) -> tuple[str, Sequence[Entry]]:
        """The branch's last commit, and what is in it."""
        from huggingface_hub.errors import EntryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        address = self.address
        commit = self._api.repo_info(address.bucket, revision=address.revision or None).sha
        if commit is None:
            raise BucketError(f"{address}: the hub names no commit", is_passing=True)
        if commit != self._seen[0]:
            found: list[Entry] = []
            with contextlib.suppress(EntryNotFoundError):  # nothing was published there yet
                for file in self._api.list_repo_tree(
                    address.bucket, address.path or None, recursive=True, revision=commit
                ):
                    if isinstance(file, RepoFile):
                        name = file.path.removeprefix(self._prefix)
                        found.append(Entry(name, file.size, file.blob_id, revision=commit))
                    if len(found) > MAX_OBJECTS:
                        raise BucketError(f"{address}: more than {MAX_OBJECTS} files: no model's")
            self._seen = (commit, found)
        return self._seen

    def _commit(self, number: int, files: Path, parent: str) -> bool:
        """Commits a version on top of a commit; returns whether it is there now.

        Raises:
            Unsettled: there is no telling.
        """
        operations = [
            self._library.CommitOperationAdd(
                f"{self._prefix}{number}/{path.relative_to(files).as_posix()}", path
            )
            for path in sorted(files.rglob("*"))
            if path.is_file()
        ]
        try:
            with self._told(f"{number}"):
                self._api.create_commit(
                    self.address.bucket,
                    operations,
                    commit_message=f"{self.address.name or self.address.bucket} version {number}",
                    revision=self.address.revision or None,
                    parent_commit=parent,
                )
        except AlreadyThere:
            return False
        except BucketError as error:
            if not error.is_passing:
                raise
            return self._is_there(number, files)
        return True

    def _is_there(self, number: int, files: Path) -> bool:
        """Whether the hub has taken a commit although its answer was lost."""
        manifest = (files / versions.MANIFEST).read_bytes()
        try:
            there = listing.group(self.entries()).get(number)
            content = bytearray()
            if there is not None and there.is_whole:
                self.download(there.entries[versions.MANIFEST], content.extend)
        except BucketError:
            raise Unsettled(
                f"{self.address}/{number}: the hub doesn't say whether it took it; look there"
            ) from None
        return bytes(content) == manifest

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Makes errors of this project of the hub's, whose texts hold requests."""
        from huggingface_hub import errors

        what = f"{self.address}/{name}" if name else str(self.address)
        try:
            yield
        except BucketError:
            raise
        except errors.EntryNotFoundError:
            raise NotThere(f"{what}: not there") from None
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
            raise BucketError(
                f"{what}: no such repository or revision, or HF_TOKEN may not see it"
            ) from None
        except errors.HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in (409, 412):
                raise AlreadyThere(f"{what}: another commit came first") from None
            if status in (401, 403):
                raise BucketError(f"{what}: refused ({status}); see docs/buckets.md") from None
            is_passing = status == 429 or status >= 500 or not status
            raise BucketError(f"{what}: no answer ({status})", is_passing=is_passing) from None
        except errors.HFValidationError:
            raise BucketError(f"{what}: no repository's name") from None
        except Exception as error:  # of the HTTP library, which may be another one tomorrow
            if isinstance(error, OSError) and error.errno is not None and error.filename:
                raise  # the disk
            raise BucketError(
                f"{what}: no answer ({type(error).__name__})", is_passing=True
            ) from None
