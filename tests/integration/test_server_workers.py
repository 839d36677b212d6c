"""Several worker processes behind the same ports."""

import http.client
import json
import os
import re
import signal
import socket
import time

import grpc
import numpy as np
import pytest

from tests.support import exports, needs
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

needs.package("uvloop", "server")
parser = needs.package("prometheus_client.parser")

WORKERS = 2
CONNECTIONS = 16  # enough for each worker to get some


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("exports")
    exports.scaled(base, 2)
    exports.scaled(base, 3, name="other")
    return base


@pytest.fixture
def server(models, tmp_path):
    config = tmp_path / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "scaled" base_path: "{models / "scaled"}" '
        'model_platform: "tensorflow" } }'
    )
    flags = [f"--workers={WORKERS}", f"--model_config_file={config}"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        wait_for(lambda: server.log.count("Exporting HTTP/REST API") == WORKERS, server)
        yield server


def wait_for(condition, server, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, server.log
        assert server.process.poll() is None, server.launch.log
        time.sleep(0.05)


def pids(server):
    return [int(pid) for pid in re.findall(r"worker \d+ is process (\d+)", server.log)]


def predict(server, name, *, options=()):
    """Asks over a connection of its own."""
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name=name))
    x = np.full((2, 4), 0.5, np.float32)
    request.inputs["inputs"].CopyFrom(tensors.from_array(x))
    options = [("grpc.use_local_subchannel_pool", 1), *options]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
        response = services.PREDICTION_METHODS["Predict"].stub(channel)(
            request, timeout=30, wait_for_ready=True
        )
    return tensors.to_array(response.outputs["output_0"]), x


def test_all_workers_serve_and_end_together(server):
    for _ in range(CONNECTIONS):
        answer, x = predict(server, "scaled")
        np.testing.assert_allclose(answer, exports.scaled_answer(x, 2), rtol=1e-5, atol=1e-5)
        assert server.rest("/v1/models/scaled:predict", {"instances": x.tolist()})[0] == 200
    assert len(pids(server)) == WORKERS
    assert server.stop() == 0
    for pid in pids(server):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_new_configuration_reaches_all_workers_and_their_successors(server, models):
    request = pb.ReloadConfigRequest()
    for name in ("scaled", "other"):
        request.config.model_config_list.config.add(name=name, base_path=str(models / name))
    with server.channel() as channel:
        reload = services.MODEL_METHODS["HandleReloadConfigRequest"].stub(channel)
        assert reload(request, timeout=60).status.error_code == 0
    for _ in range(CONNECTIONS):
        answer, x = predict(server, "other")
        np.testing.assert_allclose(answer, exports.scaled_answer(x, 3), rtol=1e-5, atol=1e-5)
    os.kill(pids(server)[0], signal.SIGKILL)
    wait_for(lambda: server.log.count("Exporting HTTP/REST API") == WORKERS + 1, server)
    for _ in range(CONNECTIONS):
        predict(server, "other")
    assert "worker 0 ended with status -9" in server.log


def page(server, path):
    """Asks for a page over a connection of its own."""
    status, _, body = server.rest(path)
    return status, body.decode()


def test_every_worker_tells_the_metrics_of_all(server):
    for _ in range(CONNECTIONS):
        predict(server, "scaled")
    for _ in range(CONNECTIONS):
        families = {
            family.name: family
            for family in parser.text_string_to_metric_families(page(server, "/metrics")[1])
        }
        samples = families[":tensorflow:serving:request_count"].samples
        assert sum(sample.value for sample in samples) == CONNECTIONS
        assert {sample.labels["worker"] for sample in samples} <= {"0", "1"}
        memory = families["process_resident_memory_bytes"].samples
        assert [sample.labels for sample in memory] == [{"worker": "0"}, {"worker": "1"}]
    assert f"last {CONNECTIONS} requests" in page(server, "/")[1]


def test_readiness_is_that_of_all_workers(server):
    status, body = page(server, "/readyz")
    one = {"ready": True, "models": {"scaled": 2}}
    assert (status, json.loads(body)["workers"]) == (200, [one, one])
    os.kill(pids(server)[0], signal.SIGKILL)
    wait_for(lambda: "worker 0 ended" in server.log, server)
    status, body = page(server, "/readyz")
    assert (status, json.loads(body)["workers"]) == (503, [None, one])
    wait_for(lambda: page(server, "/readyz")[0] == 200, server)


def test_the_index_is_that_of_all_workers(server):
    def index():
        return json.loads(server.rest("/v2/repository/index", {})[2])

    one = {"name": "scaled", "version": "2", "state": "READY", "reason": ""}
    assert [index() for _ in range(CONNECTIONS)] == [[one]] * CONNECTIONS
    os.kill(pids(server)[0], signal.SIGKILL)
    wait_for(lambda: "worker 0 ended" in server.log, server)
    missing = "1 of 2 workers don't have it"
    assert index() == [{**one, "state": "LOADING", "reason": missing}]
    wait_for(lambda: index() == [one], server)


def test_a_worker_that_hangs_is_told(server):
    hung = pids(server)[0]
    os.kill(hung, signal.SIGSTOP)
    try:
        wait_for(lambda: answer(server, "/readyz") == 503, server)
    finally:
        os.kill(hung, signal.SIGCONT)
    wait_for(lambda: answer(server, "/readyz") == 200, server)


def answer(server, path):
    """Returns a page's status; None where the connection went to a worker that hangs."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=8)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except TimeoutError:
        return None
    finally:
        connection.close()


def test_a_wrong_configuration_is_answered_and_changes_nothing(server, models):
    request = pb.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="scaled", base_path="")
    assert refusal(server, request) == "INVALID_ARGUMENT"
    # Each worker looks whether there is such a version before any of them changes.
    request = pb.ReloadConfigRequest()
    entry = request.config.model_config_list.config.add(
        name="scaled", base_path=str(models / "scaled")
    )
    entry.version_labels["stable"] = 7
    request.config.model_config_list.config.add(name="other", base_path=str(models / "other"))
    assert refusal(server, request) == "FAILED_PRECONDITION"
    del entry.version_labels["stable"]
    entry.logging_config.log_collector_config.filename_prefix = "/tmp/elsewhere"
    assert refusal(server, request) == "INVALID_ARGUMENT"
    for _ in range(CONNECTIONS):
        predict(server, "scaled")
        with pytest.raises(grpc.RpcError):
            predict(server, "other")
    os.kill(pids(server)[0], signal.SIGKILL)  # nor does a successor take it
    wait_for(lambda: server.log.count("Exporting HTTP/REST API") == WORKERS + 1, server)
    for _ in range(CONNECTIONS):
        predict(server, "scaled")


def refusal(server, request):
    with server.channel() as channel:
        reload = services.MODEL_METHODS["HandleReloadConfigRequest"].stub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            reload(request, timeout=60)
    return caught.value.code().name


def test_a_worker_that_hangs_holds_up_no_configuration_and_is_replaced(models, tmp_path):
    flags = [f"--workers={WORKERS}", "--worker_timeout_seconds=15"]
    flags += ["--model_name=scaled", f"--model_base_path={models / 'scaled'}"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        wait_for(lambda: server.log.count("Exporting HTTP/REST API") == WORKERS, server)
        hung = pids(server)[0]
        os.kill(hung, signal.SIGSTOP)
        request = pb.ReloadConfigRequest()
        request.config.model_config_list.config.add(name="other", base_path=str(models / "other"))
        deadline = time.monotonic() + 60
        while True:  # until a connection goes to the other one
            try:
                options = [("grpc.use_local_subchannel_pool", 1)]
                with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
                    reload = services.MODEL_METHODS["HandleReloadConfigRequest"].stub(channel)
                    reload(request, timeout=20)
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline, server.log
        wait_for(lambda: server.log.count("Exporting HTTP/REST API") == WORKERS + 1, server)
        assert f"worker 0, process {hung}, hasn't answered" in server.log
        assert "worker 0 ended with status -9" in server.log
        for _ in range(CONNECTIONS):
            predict(server, "other")
        assert server.stop() == 0


def test_a_port_that_is_taken_and_a_wrong_flag_end_it_with_status_2(models, tmp_path):
    flags = [
        f"--workers={WORKERS}",
        "--model_name=scaled",
        f"--model_base_path={models / 'scaled'}",
    ]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = ServerProcess(tmp_path / "log", *flags, f"--port={port}", wait_s=0).process
        assert process.wait(60) == 2
    process = ServerProcess(
        tmp_path / "log2", *flags, "--batching_parameters_file=none", wait_s=0
    ).process
    assert process.wait(60) == 2
