"""Clients that send `exports.scaled` random inputs and check every answer."""

import collections
import json
import threading

import numpy as np

from tests.support import exports
from wire import services, tensors
from wire import serving_pb2 as pb


class Client(threading.Thread):
    """Sends random inputs until it is told to stop, and checks every answer."""

    def __init__(self, server, seed):
        super().__init__()
        self.server = server
        self.is_rest = seed % 2 == 0
        self.generator = np.random.default_rng(seed)
        self.stopped = threading.Event()
        self.answered = collections.Counter()
        self.failures = []

    def run(self):
        with self.server.channel() as channel:
            self.stub = services.PREDICTION_METHODS["Predict"].stub(channel)
            while not self.stopped.is_set():
                x = self.generator.normal(size=(self.generator.integers(1, 4), 4))
                try:
                    version, answer = (self.rest if self.is_rest else self.grpc)(np.float32(x))
                    # The version scales a tanh, and its rounding errors with it.
                    found = np.array(answer) / version
                    expected = exports.scaled_answer(np.float32(x), version) / version
                    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
                    self.answered[version] += 1
                except Exception as error:
                    self.failures.append(error)

    def rest(self, x):
        status, headers, body = self.server.rest(
            "/v1/models/scaled:predict", {"instances": x.tolist()}
        )
        assert status == 200, body
        return int(headers["X-Model-Version"]), json.loads(body)["predictions"]

    def grpc(self, x):
        request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
        request.inputs["inputs"].CopyFrom(tensors.from_array(x))
        response = self.stub(request, timeout=60)
        answer = tensors.to_array(response.outputs["output_0"])
        return response.model_spec.version.value, answer
