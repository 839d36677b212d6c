"""The one way to versions, wherever they are."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from artifact.buckets.address import Address
from server.errors import ServingError
from server.models import discovery
from server.models.discovery import Seen
from server.models.scan import Place
from server.models.version import Load

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from server.models.servable import Servable
    from server.models.storage.bucket_options import BucketOptions
    from server.models.storage.buckets import Buckets


class Storage:
    """Looks for versions and brings them to where they can be loaded."""

    def __init__(self, buckets: BucketOptions | None, *, tflite: bool = False) -> None:
        """Takes how buckets are kept; None: there are none."""
        self._options = buckets
        self._buckets: Buckets | None = None
        self._lock = threading.Lock()
        self._tflite = tflite

    def look(self, place: Place) -> Seen:
        """Looks at a base path, and at what became of the versions that couldn't be loaded."""
        if isinstance(place.path, Address):
            buckets = self._known()
            return buckets.look(place.path, place.failed) if buckets else Seen(None, {})
        return discovery.look(place.path, place.failed, tflite=self._tflite)

    def loading(self, load: Load) -> Load:
        """Returns a load that fetches a bucket's version before, and keeps it there meanwhile."""

        def fetch_and_load(name: str, number: int, path: Path) -> Servable:
            buckets = self._buckets
            address = buckets and buckets.address_of(path)
            if not buckets or not address:
                return load(name, number, path)
            with buckets.held(address, path):
                return load(name, number, path)

        return fetch_and_load

    def _known(self) -> Buckets | None:
        """What knows buckets, imported when there is one; None where it can't keep anything."""
        from server.models.storage.buckets import Buckets

        with self._lock:
            if self._buckets is None and self._options is not None:
                try:
                    self._buckets = Buckets(self._options)
                except ServingError as error:
                    logger.error("%s", error.message)
                    self._options = None
            return self._buckets
