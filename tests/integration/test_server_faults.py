"""Faults: broken versions, models that raise, slow and idle clients, an end under load."""

import concurrent.futures
import json
import os
import shutil
import signal
import socket
import threading
import time

import grpc
import numpy as np
import pytest

from tests.support import exports, saved_models
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

PREDICT = "/v1/models/scaled:predict"
X = np.ones((1, 4), np.float32)


@pytest.fixture
def base(tmp_path):
    exports.scaled(tmp_path, 1)
    return tmp_path / "scaled"


def serve(base, *flags):
    return ServerProcess(
        base.parent / "log",
        "--model_name=scaled",
        f"--model_base_path={base}",
        "--file_system_poll_wait_seconds=0.1",
        *flags,
    )


def answers(server, version):
    status, headers, body = server.rest(PREDICT, {"inputs": X.tolist()})
    assert (status, headers["X-Model-Version"]) == (200, str(version)), body
    found = json.loads(body)["outputs"]
    np.testing.assert_allclose(found, exports.scaled_answer(X, version), rtol=1e-5, atol=1e-5)


def test_a_truncated_version_is_refused_and_taken_when_it_is_whole(base):
    with serve(base) as server:
        exports.scaled(base.parent / "whole", 2)
        whole = base.parent / "whole" / "scaled" / "2"
        shutil.copytree(whole, base / "tmp")
        data = base / "tmp" / "variables" / "variables.data-00000-of-00001"
        complete = data.read_bytes()
        data.write_bytes(complete[:20])
        (base / "tmp").rename(base / "2")
        deadline = time.monotonic() + 60
        while "loading scaled version 2 failed" not in server.log:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        answers(server, 1)
        entries = json.loads(server.rest("/v1/models/scaled")[2])["model_version_status"]
        assert entries[0]["state"] == "LOADING"
        assert "truncated" in entries[0]["status"]["error_message"]
        (base / "2" / "variables" / "variables.data-00000-of-00001").write_bytes(complete)
        server.wait_for("scaled", 2)
        answers(server, 2)


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "assets.extra/manifest.json", "variables/variables.index"]
)
def test_a_damaged_file_harms_its_version_alone(base, name):
    with serve(base, "--max_num_load_retries=0", "--engine=xla") as server:
        exports.scaled(base.parent / "whole", 2)
        whole = base.parent / "whole" / "scaled" / "2"
        (whole / name).write_bytes(b"\xff nonsense")
        whole.rename(base / "2")
        server.wait_for("scaled", 2, "END")
        answers(server, 1)


def test_files_that_change_under_a_loaded_version_do_not_reach_it(base):
    with serve(base) as server:
        answers(server, 1)
        for file in (base / "1").rglob("*"):
            if file.is_file():
                os.truncate(file, 0)
        for _ in range(5):
            answers(server, 1)


def test_a_model_that_raises_fails_its_request_alone(tmp_path):
    base = tmp_path / "picky"
    saved_models.picky(base)
    flags = ["--model_name=picky", f"--model_base_path={base}"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        path = "/v1/models/picky:predict"
        for _ in range(3):
            status, _, body = server.rest(path, {"instances": [1.0, -1.0]})
            assert status == 400
            assert "only positive numbers" in json.loads(body)["error"]
            assert server.rest(path, {"instances": [1.0, 2.0]})[0] == 200


def test_slow_clients_hold_up_nobody(scaled_server):
    server = scaled_server
    slow = [socket.create_connection(("127.0.0.1", server.rest_port)) for _ in range(50)]
    for peer in slow:
        peer.sendall(
            b"POST /v1/models/scaled:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        )
    for _ in range(20):
        answers(server, 1)
    for peer in slow:
        peer.close()


def test_a_thousand_idle_connections_hold_up_nobody(scaled_server):
    server = scaled_server
    idle = [socket.create_connection(("127.0.0.1", server.rest_port)) for _ in range(1000)]
    for _ in range(20):
        answers(server, 1)
    idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle[-1].recv(100).startswith(b"HTTP/1.1 200 OK")
    for peer in idle:
        peer.close()


def test_inputs_that_would_take_all_memory_are_refused(scaled_server):
    server = scaled_server
    with server.channel() as channel:
        request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
        tensor = request.inputs["inputs"]
        tensor.dtype = 1
        tensor.float_val.append(np.float32([1]).tobytes())
        for sizes in ((2**40, 4), (2**29, 4), (-1, 4)):
            del tensor.tensor_shape.dim[:]
            for size in sizes:
                tensor.tensor_shape.dim.add(size=size)
            with pytest.raises(grpc.RpcError) as caught:
                services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        answers(server, 1)


def test_a_restart_after_kill_serves_again(base):
    server = serve(base)
    answers(server, 1)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    with serve(base) as server:
        answers(server, 1)


def test_sigterm_before_the_first_load_has_ended_ends_the_process(base):
    with ServerProcess(
        base.parent / "log", "--model_name=m", f"--model_base_path={base.parent / 'none'}", wait_s=0
    ) as server:
        while "no versions of servables found yet" not in server.log:
            time.sleep(0.05)
        assert server.stop(20) == 0


class Load(threading.Thread):
    """Sends requests on a connection of its own until the port is closed."""

    def __init__(self, server, is_rest):
        super().__init__()
        self.server, self.is_rest = server, is_rest
        self.answered, self.lost = 0, []

    def run(self):
        (self.rest if self.is_rest else self.grpc)()

    def rest(self):
        body = json.dumps({"inputs": X.tolist()}).encode()
        request = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (
            PREDICT.encode(),
            len(body),
        )
        while True:
            try:
                peer = socket.create_connection(("127.0.0.1", self.server.rest_port), timeout=30)
            except OSError:
                return  # the port is closed: nothing was accepted
            with peer, peer.makefile("rb") as reader:
                while True:
                    peer.sendall(request + body)
                    head = reader.readline()
                    if not head.startswith(b"HTTP/1.1 200"):
                        self.lost.append(head)
                        return
                    self.answered += 1
                    headers = list(iter(reader.readline, b"\r\n"))
                    size = next(int(h[15:]) for h in headers if h.startswith(b"Content-Length:"))
                    reader.read(size)
                    if b"Connection: close\r\n" in headers:
                        return

    def grpc(self):
        request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
        request.inputs["inputs"].CopyFrom(tensors.from_array(X))
        with self.server.channel() as channel:
            stub = services.PREDICTION_METHODS["Predict"].stub(channel)
            while True:
                try:
                    stub(request, timeout=30)
                    self.answered += 1
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        self.lost.append(error)
                    return


def test_sigterm_under_load_answers_all_and_ends_well(base):
    with serve(base) as server:
        clients = [Load(server, is_rest=n % 2 == 0) for n in range(8)]
        for client in clients:
            client.start()
        time.sleep(1)
        start = time.monotonic()
        assert server.stop(30) == 0
        assert time.monotonic() - start < 30
        for client in clients:
            client.join(30)
        assert [lost for client in clients for lost in client.lost] == []
        assert all(client.answered for client in clients)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", server.rest_port), timeout=1)
        assert "drained" in server.log


def test_many_clients_that_hang_up_leave_nothing_behind(base):
    with serve(base) as server:
        answers(server, 1)

        def hang_up(n):
            with socket.create_connection(("127.0.0.1", server.rest_port)) as peer:
                peer.sendall(
                    b"POST /v1/models/scaled:predict HTTP/1.1\r\nHost: x\r\n"
                    b"Content-Length: 40\r\n\r\n"
                    + (b'{"inputs": [[1, 1, 1, 1]]}              ' if n % 2 else b'{"inputs"')
                )

        def descriptors():
            return len(os.listdir(f"/proc/{server.process.pid}/fd"))

        before = descriptors()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(hang_up, range(400)))
        deadline = time.monotonic() + 30
        while descriptors() > before + 5:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answers(server, 1)
