"""A model server made of the official TensorFlow Serving stubs, to hold the client against.

Two models: `half_plus_two` (y = x / 2 + 2, in TensorFlow) and `echo`, which gives back what it is
sent. `Peer.faults` makes the next requests fail.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

VERSION = 7
PREFIX = "/behind/a/proxy"  # REST works with and without it
ECHO_DTYPES = {"numbers": tf.float32, "counts": tf.int64, "flags": tf.bool, "words": tf.string}


@dataclass
class Peer:
    """Ports of a running peer; `faults` are what the next predict calls meet, in order."""

    grpc_port: int = 0
    rest_port: int = 0
    faults: list[str] = field(default_factory=list)
    seen: list[dict] = field(default_factory=list)
    connections: int = 0

    def port(self, api):
        return self.grpc_port if api == "grpc" else self.rest_port


@tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
def half_plus_two(x):
    return x / 2 + 2


def run(model, inputs):
    if model == "half_plus_two":
        return {"y": half_plus_two(inputs["x"]).numpy()}
    return inputs


def signatures(model):
    def info(name, dtype):
        shape = tf.TensorShape([None]).as_proto()
        return meta_graph_pb2.TensorInfo(
            name=name, dtype=dtype.as_datatype_enum, tensor_shape=shape
        )

    if model == "half_plus_two":
        inputs, outputs = {"x": info("x:0", tf.float32)}, {"y": info("y:0", tf.float32)}
    else:
        inputs = outputs = {name: info(name, dtype) for name, dtype in ECHO_DTYPES.items()}
    found = get_model_metadata_pb2.SignatureDefMap()
    found.signature_def["serving_default"].CopyFrom(
        meta_graph_pb2.SignatureDef(
            inputs=inputs, outputs=outputs, method_name="tensorflow/serving/predict"
        )
    )
    return found


def status():
    state = get_model_status_pb2.ModelVersionStatus
    return get_model_status_pb2.GetModelStatusResponse(
        model_version_status=[
            state(version=6, state=state.END),
            state(version=VERSION, state=state.AVAILABLE),
        ]
    )


def metadata(model):
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = model
    response.model_spec.version.value = VERSION
    response.metadata["signature_def"].Pack(signatures(model))
    return response


class Servicer(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    def __init__(self, peer):
        self.peer = peer

    def _check(self, request, context):
        spec = request.model_spec
        self.peer.seen.append(dict(context.invocation_metadata()))
        fault = self.peer.faults.pop(0) if self.peer.faults else None
        if fault == "unavailable":
            context.abort(grpc.StatusCode.UNAVAILABLE, "try later")
        if fault == "broken":
            context.abort(grpc.StatusCode.INTERNAL, "it broke")
        if fault == "slow":
            time.sleep(1)
        if spec.name not in ("half_plus_two", "echo"):
            message = f"Servable not found for request: Latest({spec.name})"
            context.abort(grpc.StatusCode.NOT_FOUND, message)
        return spec

    def Predict(self, request, context):
        spec = self._check(request, context)
        response = predict_pb2.PredictResponse()
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        for name, array in run(spec.name, inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        response.model_spec.CopyFrom(spec)
        response.model_spec.version.value = VERSION
        return response

    def Classify(self, request, context):
        self._check(request, context)
        response = classification_pb2.ClassificationResponse()
        for example in request.input.example_list.examples:
            value = example.features.feature["x"].float_list.value[0]
            response.result.classifications.add().classes.add(label="big", score=value / 2 + 2)
        return response

    def Regress(self, request, context):
        self._check(request, context)
        kind = request.input.WhichOneof("kind")
        base = 0.0
        if kind == "example_list_with_context":
            context_features = request.input.example_list_with_context.context.features.feature
            base = context_features["base"].float_list.value[0]
        response = regression_pb2.RegressionResponse()
        for example in getattr(request.input, kind).examples:
            value = example.features.feature["x"].float_list.value[0]
            response.result.regressions.add(value=value / 2 + 2 + base)
        return response

    def GetModelMetadata(self, request, context):
        if request.model_spec.name not in ("half_plus_two", "echo"):
            self._check(request, context)
        return metadata(request.model_spec.name)

    def GetModelStatus(self, request, context):
        if request.model_spec.name not in ("half_plus_two", "echo"):
            message = f"Could not find any versions of model {request.model_spec.name}"
            context.abort(grpc.StatusCode.NOT_FOUND, message)
        return status()


def handler(peer):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def setup(self):
            peer.connections += 1
            super().setup()

        def parse_request(self):
            understood = super().parse_request()
            self.path = self.path.removeprefix(PREFIX) if understood else ""
            return understood

        def do_GET(self):
            name = self.path.removeprefix("/v1/models").strip("/").split("/")[0]
            if name not in ("half_plus_two", "echo"):
                unknown = f"Could not find any versions of model {name}"
                if self.path.endswith("/metadata"):
                    unknown = f"Servable not found for request: Latest({name})"
                self.answer(404, {"error": unknown})
                return
            found = metadata(name) if self.path.endswith("/metadata") else status()
            self.answer(200, json_format.MessageToDict(found, preserving_proto_field_name=True))

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            peer.seen.append({key.lower(): value for key, value in self.headers.items()})
            fault = peer.faults.pop(0) if peer.faults else None
            if fault == "reset":
                self.connection.close()
                self.close_connection = True
                return
            if fault == "unavailable":
                self.answer(503, {"error": "try later"})
            elif fault == "broken":
                self.answer(500, {"error": "it broke"})
            elif fault == "nonsense":
                self.answer(200, ["what"])
            else:
                if fault == "slow":
                    time.sleep(1)
                self.serve(body)

        def serve(self, body):
            path, verb = self.path.removeprefix("/v1/models/").split(":")
            name, _, version = path.partition("/versions/")
            if name not in ("half_plus_two", "echo") or version not in ("", str(VERSION)):
                asked = f"Specific({name}, {version})" if version else f"Latest({name})"
                self.answer(404, {"error": f"Servable not found for request: {asked}"})
            elif verb == "predict":
                columns = body["inputs"]
                if not isinstance(columns, dict):
                    columns = {"x": columns}
                arrays = {key: to_array(value) for key, value in columns.items()}
                outputs = {key: to_json(key, v) for key, v in run(name, arrays).items()}
                only = len(outputs) == 1
                self.answer(200, {"outputs": next(iter(outputs.values())) if only else outputs})
            else:
                base = body.get("context", {}).get("base", 0.0)
                values = [example["x"] / 2 + 2 + base for example in body["examples"]]
                scored = [[["big", value]] for value in values]
                self.answer(200, {"results": values if verb == "regress" else scored})

        def answer(self, code, body):
            content = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def to_array(value):
    def leaf(item):
        if isinstance(item, list):
            return [leaf(i) for i in item]
        return base64.b64decode(item["b64"]) if isinstance(item, dict) else item

    array = np.array(leaf(value))
    if array.dtype.kind == "S":  # NumPy's bytes drop trailing NULs
        array = np.array(leaf(value), object)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def to_json(name, array):
    if array.dtype.kind in "SUO":
        return [{"b64": base64.b64encode(v).decode()} if isinstance(v, bytes) else v for v in array]
    return array.tolist()


@contextmanager
def serve(*, rest_port=0, certificate=None):
    """Runs a peer on free ports until the block ends; with TLS and client certificates, if given.

    Args:
        certificate: (certificate file, key file), which also signs the client's certificate.
    """
    peer = Peer()
    server = grpc.server(
        futures.ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)]
    )
    servicer = Servicer(peer)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
    if certificate is None:
        peer.grpc_port = server.add_insecure_port("localhost:0")
    else:
        chain, key = (file.read_bytes() for file in certificate)
        credentials = grpc.ssl_server_credentials([(key, chain)], chain, require_client_auth=True)
        peer.grpc_port = server.add_secure_port("localhost:0", credentials)
    server.start()
    http = ThreadingHTTPServer(("localhost", rest_port), handler(peer))
    http.handle_error = lambda *_: None  # clients that hang up are part of the tests
    peer.rest_port = http.server_address[1]
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate[0])
        context.load_cert_chain(*certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.stop(0)
        http.shutdown()
        http.server_close()
