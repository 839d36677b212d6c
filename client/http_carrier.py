"""Carries HTTP exchanges out: by connections that are kept, on the caller's thread or others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException, RemoteDisconnected
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Timeout

from client import errors, timed_sockets
from client.codec import HttpExchange, HttpReply, Read
from client.deadline import Deadline
from client.endpoint import Endpoint

# Connections that are kept, if so many threads have asked at once.
_KEPT = 1024
# Requests that an AsyncClient has under way at most.
_THREADS = 64
_BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


class HttpCarrier:
    """One try of an exchange at a time, by a session that several threads share."""

    def __init__(self, endpoint: Endpoint):
        """Opens no connection yet."""
        self._server = str(endpoint)
        scheme = "https" if endpoint.secure else "http"
        self._base = f"{scheme}://{endpoint.authority}{endpoint.prefix}"
        self._session = session = requests.Session()
        session.mount(f"{scheme}://", _Adapter(pool_maxsize=_KEPT))
        session.trust_env = not endpoint.is_loopback
        if endpoint.ca_file:
            session.verify = endpoint.ca_file
        if endpoint.cert_file and endpoint.key_file:
            session.cert = (endpoint.cert_file, endpoint.key_file)
        session.auth = _Headers(endpoint)  # as `auth`, which a .netrc doesn't override

    def send(self, exchange: HttpExchange[Read], deadline: Deadline) -> Read:
        """Sends a request and reads its answer.

        Raises:
            ServingError: a refusal; Unavailable where nobody answers.
        """
        body = exchange.encode() if exchange.encode else None
        try:
            response = self._session.request(
                "POST" if body else "GET",
                self._base + exchange.path,
                data=body.content if body else None,
                headers=dict(body.headers) if body else None,
                timeout=Timeout(total=deadline.left(self._server)),  # type: ignore[arg-type]
                allow_redirects=False,
            )
        except requests.RequestException as error:
            if deadline.expired:
                raise deadline.exceeded(self._server) from None
            if isinstance(error, _BROKEN):
                raise errors.Unavailable(f"{self._server}: {_reason(error)}") from None
            raise errors.ServingError("INTERNAL", f"{self._server}: {error}") from None
        names = {name.lower(): value for name, value in response.headers.items()}
        return exchange.read(
            HttpReply(response.status_code, response.reason or "", names, response.content)
        )

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


class AsyncHttpCarrier:
    """The same for an event loop, on threads of its own; arrays become JSON there, too.

    A call that is given up leaves its thread behind until its deadline, and no longer.
    """

    def __init__(self, endpoint: Endpoint):
        """Opens no connection yet."""
        self._server = str(endpoint)
        self._carrier = HttpCarrier(endpoint)
        self._threads = ThreadPoolExecutor(_THREADS, "client.rest")

    async def send(self, exchange: HttpExchange[Read], deadline: Deadline) -> Read:
        """Sends a request and reads its answer; raises as `HttpCarrier.send`."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline.left(self._server)):
                return await loop.run_in_executor(
                    self._threads, self._carrier.send, exchange, deadline
                )
        except TimeoutError:
            raise deadline.exceeded(self._server) from None

    async def compute(self, function: Callable[[], Any]) -> Any:
        """Calls a function on a thread: JSON takes its time."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def close(self) -> None:
        """Closes the connections; what is under way ends by its deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._carrier.close()


class _Adapter(HTTPAdapter):
    """Connections whose time-out is the whole exchange's, to a proxy as to the server."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = timed_sockets.POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = timed_sockets.POOLS
        return manager


class _Headers(requests.auth.AuthBase):
    def __init__(self, endpoint: Endpoint):
        self._headers = endpoint.all_headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


def _reason(error: BaseException) -> str:
    """Returns the innermost cause, which is the one that a user can act on."""
    cause: BaseException = error
    while True:
        inner = cause.__cause__ or cause.__context__ or getattr(cause, "reason", None)
        if not isinstance(inner, BaseException):
            break
        cause = inner
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, HTTPException) and not isinstance(cause, RemoteDisconnected):
        return "what answers there doesn't speak HTTP; is it the gRPC port?"
    return str(cause) or type(cause).__name__
