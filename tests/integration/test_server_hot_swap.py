"""New versions under load: no request fails, each answer is its version's."""

import json
import threading

import numpy as np
import pytest

from tests.support import exports
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

pytest.importorskip("tensorflow", reason="needs tensorflow to export: pip install tensorflow")

VERSIONS = (1, 2, 3, 4, 5, 6)


class Client(threading.Thread):
    """Sends random inputs until it is told to stop, and checks every answer."""

    def __init__(self, server, seed):
        super().__init__()
        self.server = server
        self.is_rest = seed % 2 == 0
        self.generator = np.random.default_rng(seed)
        self.stopped = threading.Event()
        self.answered = dict.fromkeys(VERSIONS, 0)
        self.failures = []

    def run(self):
        with self.server.channel() as channel:
            self.stub = services.PREDICTION_METHODS["Predict"].stub(channel)
            while not self.stopped.is_set():
                x = self.generator.normal(size=(self.generator.integers(1, 4), 4))
                try:
                    version, answer = (self.rest if self.is_rest else self.grpc)(np.float32(x))
                    expected = exports.scaled_answer(np.float32(x), version)
                    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)
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


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["xla", "tensorflow"])
def test_five_versions_in_a_row_fail_no_request(tmp_path, engine):
    exports.scaled(tmp_path, VERSIONS[0])
    flags = [
        "--model_name=scaled",
        f"--model_base_path={tmp_path / 'scaled'}",
        "--file_system_poll_wait_seconds=0.1",
        f"--engine={engine}",
        "--xla_cpu_compilation_enabled=true",
    ]
    with ServerProcess(tmp_path / "log", *flags) as server:
        clients = [Client(server, seed) for seed in range(8)]
        for client in clients:
            client.start()
        try:
            for version in VERSIONS[1:]:
                exports.scaled(tmp_path, version)
                server.wait_for("scaled", version)
                server.wait_for("scaled", version - 1, "END")
        finally:
            for client in clients:
                client.stopped.set()
            for client in clients:
                client.join()
        assert [failure for client in clients for failure in client.failures] == []
        for version in VERSIONS:
            for is_rest in (True, False):
                seen = sum(c.answered[version] for c in clients if c.is_rest is is_rest)
                assert seen, f"no answer of version {version}, REST {is_rest}"
        assert server.stop() == 0
