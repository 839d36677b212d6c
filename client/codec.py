"""The seam between the calls and an API: messages to send, and answers read back.

A codec knows nothing of connections, tries and deadlines: it makes exchanges, which a carrier
(`client.http_carrier`, `client.grpc_carrier`) carries out, for `Client` and `AsyncClient` alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from client.model_spec import ModelSpec
from client.results import Classification, Regression, VersionStatus
from client.signature import ServedSignature

if TYPE_CHECKING:
    from wire.services import Method

Read = TypeVar("Read")
Read_co = TypeVar("Read_co", covariant=True)


@dataclass(frozen=True)
class HttpBody:
    """What a POST carries, and the headers that belong to it."""

    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class HttpReply:
    """An answer as it came, whatever its status; names of headers in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True)
class HttpExchange(Generic[Read]):
    """One request and how its answer is read.

    Attributes:
        path: Without the endpoint's prefix.
        read: Turns the reply into what the call returns; raises ServingError.
        encode: Makes the body; None for a GET. The carrier calls it, where it keeps nobody waiting.
    """

    path: str
    read: Callable[[HttpReply], Read]
    encode: Callable[[], HttpBody] | None = None


@dataclass(frozen=True)
class RpcExchange(Generic[Read]):
    """One unary gRPC call and how its answer is read.

    Attributes:
        method: The method; makes its stub.
        request: The message.
        read: Turns the response into what the call returns; raises ServingError.
    """

    method: Method
    request: Any
    read: Callable[[Any], Read]


Exchange = HttpExchange[Read] | RpcExchange[Read]


@dataclass(frozen=True)
class Description:
    """A version's signatures.

    Attributes:
        version: Whose they are; None where the server doesn't say.
        signatures: By name.
    """

    version: int | None
    signatures: Mapping[str, ServedSignature] = field(default_factory=dict)


class UnlikeSignature(ValueError):
    """An answer isn't of the form that the signature describes."""


@dataclass(frozen=True)
class Predicted:
    """The answer to a predict call, its outputs still to be named.

    Attributes:
        version: The version that the server says has answered; None where it doesn't say.
        outputs: Gives arrays by output name. Takes the signature of the version that answered,
            or None where it isn't known; raises UnlikeSignature.
        is_large: Whether that takes so long that an event loop shouldn't wait for it.
    """

    version: int | None
    outputs: Callable[[ServedSignature | None], dict[str, np.ndarray]]
    is_large: bool = False


class Codec(Protocol):
    """An API's messages.

    Attributes:
        names_outputs: Whether an answer itself holds its outputs' names and dtypes, so that nothing
            depends on a signature that was read before.
    """

    names_outputs: bool

    def predict(
        self,
        spec: ModelSpec,
        inputs: Mapping[str, np.ndarray],
        signature_name: str,
        signature: ServedSignature | None,
    ) -> Exchange[Predicted]:
        """Returns a predict call; raises ValueError for inputs that the API can't carry."""

    def classify(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
    ) -> Exchange[Classification]:
        """Returns a classify call."""

    def regress(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
    ) -> Exchange[Regression]:
        """Returns a regress call."""

    def status(self, spec: ModelSpec) -> Exchange[list[VersionStatus]]:
        """Returns the question for the states of a model's versions."""

    def describe(self, spec: ModelSpec) -> Exchange[Description]:
        """Returns the question for a version's signatures."""
