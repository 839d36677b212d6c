"""Who may ask for what. Checked on a request's headers, before a byte of its body is kept."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from server.errors import Code, ServingError, invalid

# What proxies add: the peer is then the proxy, and nobody knows where its client is.
_OF_PROXIES = frozenset({"x-forwarded-for", "forwarded", "via"})


def is_forwarded(names: Iterable[str]) -> bool:
    """Tells from a request's lower-case header names whether a proxy has handed it on."""
    return not _OF_PROXIES.isdisjoint(names)


class Token:
    """A secret that requests carry as `Authorization: Bearer <token>`."""

    def __init__(self, secret: str) -> None:
        self._expected = f"Bearer {secret}".encode()

    @classmethod
    def read(cls, path: Path) -> Token:
        """Reads the secret from a file.

        Raises:
            OSError: the file can't be read.
            ServingError: it is empty.
        """
        secret = path.read_text().strip()
        if not secret:
            raise invalid(f"{path}: no token in it")
        return cls(secret)

    def matches(self, authorization: str) -> bool:
        """Compares a request's Authorization header with the secret, in constant time."""
        return hmac.compare_digest(authorization.encode(errors="replace"), self._expected)


class Guard:
    """Lets a request pass, or refuses it, by its path, its Authorization header and its peer.

    Each protocol asks it once for each request, when the headers are here and before anything
    else happens: methods, pages, reflection and health watches alike.
    """

    def __init__(
        self,
        token: Token | None = None,
        admin_token: Token | None = None,
        *,
        open_paths: Collection[str] = (),
        is_admin: Callable[[str], bool] = lambda path: False,
    ) -> None:
        """Takes the secrets and what they are for.

        Args:
            token: What all requests must carry; None: nothing.
            admin_token: What requests that change the server must carry; it opens all else, too.
                None: only peers on this machine may change it.
            open_paths: Whatever a request carries, these answer: no secret may come from them.
            is_admin: Tells whether a path changes the server.
        """
        self._token = token
        self._admin_token = admin_token
        self._open_paths = frozenset(open_paths)
        self._is_admin = is_admin

    @property
    def is_open(self) -> bool:
        """Whether anybody may ask for what doesn't change the server."""
        return self._token is None

    def trusts(self, authorization: str) -> bool:
        """Tells whether who sends this header may be told what the server serves.

        For what is on an open path and says more to those who might ask for it elsewhere.
        """
        return self._token is None or any(
            token is not None and token.matches(authorization)
            for token in (self._token, self._admin_token)
        )

    def check(self, path: str, authorization: str, *, is_local: bool) -> None:
        """Lets a request pass.

        Args:
            path: Without a query.
            authorization: The header's value; empty where there is none.
            is_local: The client is on this machine: loopback or a unix socket, and no proxy
                between (`is_forwarded`).

        Raises:
            ServingError: UNAUTHENTICATED, no or a wrong token; PERMISSION_DENIED, the path
                changes the server and the token, or the peer, isn't one for that.
        """
        if path in self._open_paths:
            return
        is_admin_path = self._is_admin(path)
        if self._token is None and not is_admin_path:
            return
        if self._admin_token is not None and self._admin_token.matches(authorization):
            return
        if self._token is not None and not self._token.matches(authorization):
            raise ServingError(Code.UNAUTHENTICATED, "this server wants Authorization: Bearer …")
        if is_admin_path and (self._admin_token is not None or not is_local):
            raise ServingError(
                Code.PERMISSION_DENIED,
                f"{path} changes the server: it takes the token of --admin_token_file"
                + ("" if self._admin_token is not None else ", or a client on this machine"),
            )
