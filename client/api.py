"""The APIs that the client speaks: one codec each, over HTTP or gRPC.

`rest` and `grpc` are TensorFlow Serving's, `v2` is the Open Inference Protocol: that of Triton,
KServe, MLServer and OpenVINO.

A further API is a codec (see `client.codec`) and a line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from client.codec import Codec

Api = Literal["rest", "grpc", "v2", "v2-json", "v2-grpc"]


@dataclass(frozen=True)
class ApiKind:
    """One API.

    Attributes:
        name: For people.
        port: TCP port that its servers have by default.
        carrier: What carries its messages.
        codec: Module and class of its codec.
    """

    name: str
    port: int
    carrier: Literal["http", "grpc"]
    codec: str

    def make_codec(self, server: str) -> Codec:
        """Returns the codec; `server` names the server in its errors."""
        module, _, name = self.codec.partition(":")
        made: Codec = getattr(importlib.import_module(module), name)(server)
        return made


APIS: Mapping[str, ApiKind] = {
    "rest": ApiKind("REST", 8501, "http", "client.rest:RestCodec"),
    "grpc": ApiKind("gRPC", 8500, "grpc", "client.grpc:GrpcCodec"),
    "v2": ApiKind("v2 by REST", 8501, "http", "client.v2_rest:V2RestCodec"),
    "v2-json": ApiKind("v2 by REST in JSON", 8501, "http", "client.v2_rest:V2JsonCodec"),
    "v2-grpc": ApiKind("v2 by gRPC", 8500, "grpc", "client.v2_grpc:V2GrpcCodec"),
}
