"""What both APIs of a model server offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from artifact.manifest import SignatureRecord

Arrays = Mapping[str, np.ndarray]


class Unreachable(Exception):
    """Nobody answers at the address, or not in the way of a model server."""


class Refusal(Exception):
    """The server's error, in its own words."""


@dataclass(frozen=True)
class VersionState:
    """A version in the server.

    Attributes:
        version: Its number.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error: Why it couldn't be loaded; empty where nothing is known to be wrong.
    """

    version: int
    state: str
    error: str = ""


class Server(Protocol):
    """A server at an address.

    Attributes:
        api: `REST` or `gRPC`.
    """

    api: str

    def states(self, model: str) -> list[VersionState]:
        """Returns the states of a model's versions.

        Raises:
            Refusal: the server has no such model. Unreachable: it doesn't answer.
        """

    def tensors(self, model: str, version: int) -> Mapping[str, SignatureRecord]:
        """Returns the signatures that the server says a version has, by name.

        Raises:
            Refusal: it refuses to say. Unreachable: it doesn't answer.
        """

    def predict(
        self, model: str, version: int, signature: str, inputs: Arrays, outputs: Mapping[str, str]
    ) -> Arrays:
        """Runs a signature.

        Args:
            model: Name in the server.
            version: Number.
            signature: Name.
            inputs: Arrays by name.
            outputs: The outputs' dtypes by name.

        Raises:
            Refusal: the server's error. Unreachable: it doesn't answer.
        """
