"""Models in buckets: looked at now and then, fetched when a version is to be loaded."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from artifact.buckets import cache, listing
from artifact.buckets.address import Address
from artifact.buckets.errors import BucketError, Damaged, NotThere
from artifact.buckets.listing import Remote
from artifact.buckets.store import Entry, Store, open_store
from server.errors import Code, ServingError
from server.models import discovery
from server.models.discovery import Seen
from server.models.storage.bucket_options import BucketOptions

logger = logging.getLogger(__name__)

_MAX_MODELS = 10_000  # whose last look is remembered
_FIRST_RETRY_S, _LAST_RETRY_S = 10.0, 60.0  # of a fetch that may go well later
_DAMAGED_RETRY_S = 600.0  # of one that will only if somebody mends it


@dataclass
class _Model:
    """What is known of one model's folder."""

    store: Store
    lock: threading.Lock = field(default_factory=threading.Lock)
    looked: float | None = None  # when, by the monotonic clock
    found: Mapping[int, Path] | None = None
    remotes: Mapping[Path, Remote] = field(default_factory=dict)
    problem: str = ""
    unfinished: frozenset[int] = frozenset()


@dataclass
class _Failure:
    """A fetch that failed, and when the next try is due."""

    wait_s: float
    due: float
    entries: Mapping[str, Entry]


class Buckets:
    """All models in buckets of a server process; used by threads."""

    def __init__(self, options: BucketOptions) -> None:
        """Makes the cache.

        Raises:
            ServingError: it isn't this user's alone, or can't be made.
        """
        self._options = options
        self._models: OrderedDict[Address, _Model] = OrderedDict()
        self._failures: OrderedDict[Path, _Failure] = OrderedDict()
        self._lock = threading.Lock()
        try:
            self._cache = cache.Cache(options.cache, options.cache_bytes)
        except BucketError as error:
            raise ServingError(Code.FAILED_PRECONDITION, f"--bucket_cache_dir: {error}") from None

    def look(self, address: Address, failed: tuple[Path, ...]) -> Seen:
        """Returns the versions that a bucket has; what was seen last where that isn't long ago.

        Where the bucket can't be read, nothing is said of its versions: what is loaded stays.
        """
        model = self._model(address)
        if model is None:
            return Seen(None, {})
        with model.lock:
            now = time.monotonic()
            if model.looked is None or now - model.looked >= self._options.poll_s:
                self._look(address, model)
                model.looked = time.monotonic()
            found = model.found
        return Seen(found, {path: self._fingerprint(path) for path in failed})

    @contextlib.contextmanager
    def held(self, address: Address, path: Path) -> Iterator[None]:
        """Fetches a version to where `look` has said that it is, and keeps it there meanwhile.

        Raises:
            ServingError: it can't be fetched, or isn't what its manifest says.
        """
        model = self._models.get(address)
        remote = model.remotes.get(path) if model is not None else None
        if model is None or remote is None:
            raise ServingError(Code.NOT_FOUND, f"{address}: the version is gone from the bucket")
        if path in self._failures:
            self._failures[path].due = math.inf  # it is being tried
        try:
            with self._cache.held(model.store, address, remote):
                self._failures.pop(path, None)
                yield
        except BucketError as error:
            self._note(path, remote, error)
            raise ServingError(_code(error), str(error)) from None

    def address_of(self, path: Path) -> Address | None:
        """Returns the model that a version was seen of; None of a directory that is no bucket's."""
        with self._lock:
            models = list(self._models.items())
        return next((address for address, model in models if path in model.remotes), None)

    def _model(self, address: Address) -> _Model | None:
        with self._lock:
            if address not in self._models:
                try:
                    self._models[address] = _Model(open_store(address))
                except BucketError as error:
                    logger.error("%s", error)
                    return None
                while len(self._models) > _MAX_MODELS:
                    self._models.popitem(last=False)
            self._models.move_to_end(address)
            return self._models[address]

    def _look(self, address: Address, model: _Model) -> None:
        try:
            found = listing.group(model.store.entries())
        except BucketError as error:
            if str(error) != model.problem:
                logger.warning("%s; what is loaded stays", error)
            model.problem, model.found = str(error), None
            return
        if model.problem:
            logger.info("%s: the bucket answers again", address)
        model.problem = ""
        unfinished = frozenset(n for n, remote in found.items() if not remote.is_whole)
        for number in sorted(unfinished - model.unfinished):
            logger.info("%s/%d has no manifest, so it is no version yet", address, number)
        model.unfinished = unfinished
        whole = {n: remote for n, remote in found.items() if remote.is_whole}
        remotes = {self._cache.path(address, remote): remote for remote in whole.values()}
        model.remotes = remotes
        model.found = {remote.number: path for path, remote in remotes.items()}
        for path, remote in remotes.items():
            failure = self._failures.get(path)
            if failure is not None and failure.entries != remote.entries and failure.due < math.inf:
                failure.due = 0.0  # somebody has mended it
        self._cache.clean(address, remotes)

    def _fingerprint(self, path: Path) -> object:
        """Changes when a fetch that failed is to be tried again; see `Version.notice`.

        Until then it is that of a directory that isn't there.
        """
        failure = self._failures.get(path)
        if failure is None or time.monotonic() < failure.due:
            return discovery.fingerprint(path)
        return frozenset({("try again", 0, 0)})

    def _note(self, path: Path, remote: Remote, error: BucketError) -> None:
        before = self._failures.pop(path, None)
        if error.is_passing or isinstance(error, NotThere):
            wait = min(2 * before.wait_s, _LAST_RETRY_S) if before else _FIRST_RETRY_S
        else:
            wait = _DAMAGED_RETRY_S
        self._failures[path] = _Failure(wait, time.monotonic() + wait, remote.entries)
        while len(self._failures) > _MAX_MODELS:
            self._failures.popitem(last=False)


def _code(error: BucketError) -> Code:
    if isinstance(error, Damaged):
        return Code.DATA_LOSS
    if isinstance(error, NotThere):
        return Code.NOT_FOUND
    return Code.UNAVAILABLE if error.is_passing else Code.FAILED_PRECONDITION
