"""How a request is written in each protocol, and where its answer's first output is read.

A protocol is a row of its own in every table: what it costs to write numbers as text is the
protocol's doing, not the server's. Their names are those of `bench.peers.peer.PROTOCOLS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from bench.peers.peer import PROTOCOLS, RAW_ROWS, RAW_TYPE
from client import grpc as client_grpc
from client import rest, v2_grpc, v2_rest
from client.api import Api
from client.codec import HttpBody
from client.endpoint import Endpoint
from client.load import http1, http2
from client.model_spec import ModelSpec
from wire import open_inference_pb2 as v2
from wire import serving_pb2 as pb
from wire import tensors
from wire.services import INFERENCE_METHODS, PREDICTION_METHODS

SIGNATURE = "serving_default"
# In tables; the order is theirs, too.
TITLES: Mapping[str, str] = {
    "grpc": "gRPC",
    "v2-grpc": "v2 gRPC",
    "v2-binary": "v2 REST, binary",
    "raw": "REST, raw bytes",
    "v2-json": "v2 REST, flat JSON",
    "rest": "REST, nested JSON",
}
_APIS: Mapping[str, Api] = {
    "grpc": "grpc",
    "rest": "rest",
    "v2-grpc": "v2-grpc",
    "v2-binary": "v2",
    "v2-json": "v2-json",
    "raw": "rest",  # for its carrier alone
}
_ORDER = list(TITLES)


def rank(protocol: str) -> int:
    """Returns a protocol's place in tables."""
    return _ORDER.index(protocol)


def api(protocol: str) -> Api:
    """Returns the client's name of a protocol, whose carrier it shares."""
    return _APIS[protocol]


def kind(protocol: str) -> str:
    """Returns the kind of port that a protocol is asked at: `"grpc"` or `"http"`."""
    return PROTOCOLS[protocol]


def encode(
    protocol: str,
    endpoint: Endpoint,
    model: str,
    batches: Sequence[Mapping[str, np.ndarray]],
    raw_path: str = "",
) -> tuple[list[bytes], str]:
    """Returns requests as they go onto a connection, and the method or path.

    Args:
        protocol: One of `TITLES`.
        endpoint: Where they go.
        model: Its name.
        batches: Inputs by name; `raw` takes one input.
        raw_path: Where raw requests go.
    """
    spec = ModelSpec(model)
    if protocol == "grpc":
        messages = [client_grpc.predict_request(spec, batch, SIGNATURE) for batch in batches]
        path = PREDICTION_METHODS["Predict"].path
        return [http2.message(m.SerializeToString()) for m in messages], path
    if protocol == "v2-grpc":
        calls = [v2_grpc.infer_request(spec, batch, SIGNATURE) for batch in batches]
        path = INFERENCE_METHODS["ModelInfer"].path
        return [http2.message(call.SerializeToString()) for call in calls], path
    if protocol == "rest":
        bodies, path = [_nested(batch) for batch in batches], rest.path(spec, ":predict")
    elif protocol == "v2-binary":
        path = v2_rest.path(spec, "/infer")
        bodies = [v2_rest.infer_body(batch, SIGNATURE, is_binary=True) for batch in batches]
    elif protocol == "v2-json":
        bodies, path = [_flat(batch) for batch in batches], v2_rest.path(spec, "/infer")
    else:
        bodies, path = [_raw(batch) for batch in batches], raw_path.format(model=model)
    return [http1.request(endpoint, path, body) for body in bodies], path


def decode(protocol: str, body: bytes, like: np.ndarray) -> np.ndarray:
    """Returns the first output of an answer.

    Args:
        protocol: One of `TITLES`.
        body: The answer's message or body.
        like: What is expected; raw bytes are read in its dtype and shape.

    Raises:
        ValueError: it is no such answer. KeyError, TypeError, DecodeError: so are these.
    """
    if protocol == "grpc":
        outputs = pb.PredictResponse.FromString(body).outputs
        return tensors.to_array(next(iter(outputs.values())))
    if protocol == "rest":
        return np.asarray(orjson.loads(body)["predictions"])
    if protocol == "raw":
        return np.frombuffer(body, like.dtype).reshape(like.shape)
    if protocol == "v2-grpc":
        found = v2_grpc.read_outputs(v2.ModelInferResponse.FromString(body))
    else:
        found = v2_rest.read_outputs(body)
    return next(iter(found.values()))


def _nested(batch: Mapping[str, np.ndarray]) -> HttpBody:
    ((_, array),) = batch.items()  # of one input, rows are instances
    return HttpBody(_json({"instances": array}), rest.JSON)


def _flat(batch: Mapping[str, np.ndarray]) -> HttpBody:
    # As the client's own, but with the shortest digits that give the same float32.
    document = orjson.loads(v2_rest.infer_body(batch, SIGNATURE, is_binary=False).content)
    for tensor in document["inputs"]:
        tensor["data"] = batch[tensor["name"]].ravel()
    return HttpBody(_json(document), rest.JSON)


def _raw(batch: Mapping[str, np.ndarray]) -> HttpBody:
    ((_, array),) = batch.items()
    headers = {"Content-Type": RAW_TYPE, RAW_ROWS: str(len(array))}
    return HttpBody(np.ascontiguousarray(array).tobytes(), headers)


def _json(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
