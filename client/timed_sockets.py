"""Connections of urllib3 whose time-out is that of a whole exchange.

A socket's own time-out starts again with each read, so that a server that sends a byte now and
then holds a call for ever. Here it is a moment: resolving the name, connecting to any of its
addresses, sending, and reading the answer to its end have that long together.
"""

from __future__ import annotations

import io
import ipaddress
import socket
import threading
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection


class TimedSocket:
    """A connected socket; `settimeout` says how long all that follows may take."""

    def __init__(self, connected: Any, seconds: float | None):
        self._socket = connected
        self.settimeout(seconds)

    def settimeout(self, seconds: float | None) -> None:
        """Sets the moment from which everything raises TimeoutError; None is never."""
        self._end = None if seconds is None else time.monotonic() + seconds

    def arm(self) -> None:
        """Gives the next operation the time that is left; raises TimeoutError where none is."""
        left = None if self._end is None else self._end - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)

    def sendall(self, data: Any) -> None:
        """Sends all of the data."""
        with memoryview(data) as view, view.cast("B") as unsent:
            at = 0
            while at < len(unsent):
                self.arm()
                at += self._socket.send(unsent[at:])

    def makefile(self, mode: str, buffering: int | None = None) -> io.BufferedReader:
        """Returns what an answer is read from."""
        raw = self._socket.makefile(mode, buffering=0)
        return io.BufferedReader(_TimedReader(self, raw), io.DEFAULT_BUFFER_SIZE)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _TimedReader(io.RawIOBase):
    def __init__(self, timed: TimedSocket, raw: Any):
        self._timed = timed
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._timed.arm()
        return int(self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Timed(HTTPConnection):
    def connect(self) -> None:
        started = time.monotonic()
        super().connect()
        left = None if self.timeout is None else self.timeout - (time.monotonic() - started)
        # http.client asks for no more of a socket than this one has.
        self.sock: Any = TimedSocket(self.sock, left)

    def _new_conn(self) -> socket.socket:
        """Connects to the first address that answers; each has its share of the time.

        Raises:
            HTTPError: urllib3's, by what went wrong.
        """
        end = time.monotonic() + (self.timeout or 0.0)
        try:
            addresses = resolve(self._dns_host, self.port, self.timeout)
        except TimeoutError:
            raise ConnectTimeoutError(self, f"{self.host}: the name was not resolved") from None
        except OSError as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        failure: OSError = TimeoutError("timed out")
        for number, address in enumerate(addresses):
            left = (end - time.monotonic()) / (len(addresses) - number)
            if left <= 0:
                break
            try:
                return create_connection(
                    (address, self.port),
                    left,
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, f"{self.host}: no connection in time") from failure
        raise NewConnectionError(self, str(failure)) from failure


class _TimedTls(_Timed, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Timed


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTls


POOLS = {"http": _Pool, "https": _TlsPool}


def resolve(host: str, port: int, seconds: float | None) -> list[str]:
    """Returns a host's addresses.

    Raises:
        TimeoutError: not within so many seconds. The resolver has no such limit, so it is asked on
            a thread, which is left to itself then.
        OSError: there are none.
    """
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    found: list[str] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                if address[0] not in found:
                    found.append(str(address[0]))
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else OSError(str(error)))

    asking = threading.Thread(target=ask, name="resolver", daemon=True)
    asking.start()
    asking.join(seconds)
    if asking.is_alive():
        raise TimeoutError("timed out")
    if failed:
        raise failed[0]
    return found
