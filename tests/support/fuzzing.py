"""Requests that nobody would send, made from requests that somebody does."""

import json
import random

import numpy as np

from wire import services, tensors
from wire import serving_pb2 as pb

PATHS = (
    "/v1/models/scaled:predict", "/v1/models/named:predict", "/v1/models/scaled:classify",
    "/v1/models/scaled:regress", "/v1/models/scaled/versions/1:predict", "/v1/models/none:predict",
    "/v1/models/scaled/labels/stable:predict", "/v1/models/scaled", "/v1/models/scaled/metadata",
    "/v1/models", "/", "/models", "/metrics", "/readyz", "/openapi.json",
)  # fmt: skip
BODIES = (
    {"instances": [[1.0, 2.0, 3.0, 4.0]]},
    {"inputs": [[1.0, -2.5e10, 0, 4]], "signature_name": "serving_default"},
    {"instances": [{"a": 1, "b": [0.5, 1]}, {"a": -7, "b": [1e-3, 2]}]},
    {"inputs": {"a": [1, 2], "b": [[0.5, 1], [1, 1]]}},
    {"examples": [{"x": 1.0, "y": [1, 2], "z": {"b64": "AAEC"}}], "context": {"c": "text"}},
)
TOKENS = (
    b"null", b"true", b"NaN", b"-Infinity", b"Inf", b"1e999", b"18446744073709551616", b"-0",
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u0000", b"\\ud800", b"\xff", b"\x00",
    b'{"b64": "!"}', b"[" * 50, b"9" * 400, b"[[[]]]", b'"instances"', b'"inputs"', b"\xef\xbb\xbf",
)  # fmt: skip
HEADERS = (
    {}, {}, {}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "br"},
    {"Content-Type": "text/plain"}, {"X": "y" * 1000}, {"Expect": "100-continue"},
)  # fmt: skip


class Fuzzer:
    """An endless source of requests, the same for the same seed."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        self._messages = list(_messages())

    def rest(self):
        """Returns method, path, headers and body of a REST request."""
        choice = self._random
        method = choice.choices(("POST", "GET", "PUT", "HEAD", "OPTIONS"), (20, 3, 1, 1, 1))[0]
        path = choice.choice(PATHS)
        if choice.random() < 0.1:
            path = self._mutated(path.encode(), (b"%00", b"..", b"/", b":", b"%2f", b"1" * 30))
            path = "/" + "".join(chr(c) for c in path if 0x20 < c < 0x7F).lstrip("/")
        body = json.dumps(choice.choice(BODIES)).encode() if method == "POST" else b""
        if body and choice.random() < 0.9:
            body = self._mutated(body, TOKENS)
        return method, path, choice.choice(HEADERS), body

    def call(self):
        """Returns path and message bytes of a gRPC call."""
        path, message = self._random.choice(self._messages)
        if self._random.random() < 0.9:
            message = self._mutated(message, (b"\xff" * 9, b"\x00", b"\x0a\x80\x80", b"\x08\x7f"))
        return path, message

    def _mutated(self, data, tokens):
        choice, found = self._random, bytearray(data)
        for _ in range(choice.randint(1, 4)):
            at = choice.randrange(len(found) + 1)
            kind = choice.randrange(5)
            if kind == 0:
                found[at:at] = choice.choice(tokens)
            elif kind == 1:
                del found[at : at + choice.randint(1, 8)]
            elif kind == 2 and at < len(found):
                found[at] ^= 1 << choice.randrange(8)
            elif kind == 3:
                end = choice.randrange(len(found) + 1)
                found[at:at] = found[min(at, end) : max(at, end)]
            elif at < len(found):
                found[at : at + 1] = choice.choice(tokens)
        return bytes(found[:100_000])


def _messages():
    predict = pb.PredictRequest(output_filter=["output_0"])
    predict.model_spec.name = "scaled"
    predict.inputs["inputs"].CopyFrom(tensors.from_array(np.ones((2, 4), np.float32)))
    yield services.PREDICTION_METHODS["Predict"].path, predict.SerializeToString()
    named = pb.PredictRequest(model_spec=pb.ModelSpec(name="named"))
    named.inputs["a"].CopyFrom(tensors.from_array(np.int32([1, 2])))
    named.inputs["b"].CopyFrom(tensors.from_array(np.ones((2, 2), np.float32), as_content=True))
    yield services.PREDICTION_METHODS["Predict"].path, named.SerializeToString()
    example = pb.Example()
    example.features.feature["x"].float_list.value.append(1.0)
    examples = pb.Input(example_list=pb.ExampleList(examples=[example]))
    for method, request in (
        ("Classify", pb.ClassificationRequest), ("Regress", pb.RegressionRequest)
    ):  # fmt: skip
        found = request(model_spec=pb.ModelSpec(name="scaled"), input=examples)
        yield services.PREDICTION_METHODS[method].path, found.SerializeToString()
    task = pb.InferenceTask(
        model_spec=pb.ModelSpec(name="scaled"), method_name="tensorflow/serving/classify"
    )
    multi = pb.MultiInferenceRequest(tasks=[task], input=examples)
    yield services.PREDICTION_METHODS["MultiInference"].path, multi.SerializeToString()
    metadata = pb.GetModelMetadataRequest(
        model_spec=pb.ModelSpec(name="scaled"), metadata_field=["signature_def"]
    )
    yield services.PREDICTION_METHODS["GetModelMetadata"].path, metadata.SerializeToString()
    status = pb.GetModelStatusRequest(model_spec=pb.ModelSpec(name="scaled"))
    yield services.MODEL_METHODS["GetModelStatus"].path, status.SerializeToString()
