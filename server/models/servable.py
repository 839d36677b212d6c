"""A loaded version, as requests use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from server.engines.engine import Engine
from server.engines.signatures import ModelSignature, Signatures
from server.engines.sizes import Sizes


class Servable:
    """One loaded version of a model, which lives until the last request on it is answered.

    Requests enter and leave it as a context, always on the event loop's thread, so counting
    needs no lock.

    Attributes:
        prepare: Compiles what may be compiled when the version is available already; None where
            nothing is left.
        is_retired: No new request reaches it: nothing more need be prepared.
    """

    def __init__(
        self,
        name: str,
        version: int,
        signatures: Signatures,
        engine: Engine,
        *,
        checks_method_names: bool = False,
    ) -> None:
        self.name = name
        self.version = version
        self.signatures: Mapping[str, ModelSignature] = signatures.by_name
        self.metadata = signatures.message
        self.engine = engine
        # Of the signatures whose calls may be merged; replaced as a whole when there are more.
        self.batches: Mapping[str, Sizes] = {}
        self.checks_method_names = checks_method_names
        self.prepare: Callable[[], None] | None = None
        self.is_retired = False
        self._requests = 0
        self._idle: asyncio.Event | None = None

    def __enter__(self) -> Servable:
        self._requests += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._requests -= 1
        if self._idle is not None and not self._requests:
            self._idle.set()

    async def drained(self) -> None:
        """Waits until no request is on it; the caller has stopped new ones before."""
        if self._requests:
            self._idle = asyncio.Event()
            await self._idle.wait()
