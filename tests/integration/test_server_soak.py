"""Everything at once, for a while: load, versions that come and go, reloads, clients that die.

`SOAK_SEED=7 make test-long` lets other things happen.
"""

import itertools
import os
import random
import shutil
import socket
import statistics
import struct
import threading
import time

import pytest
from google.protobuf import text_format

from tests.support import exports
from tests.support.servers import ServerProcess
from tests.support.traffic import Client
from wire import services
from wire import serving_pb2 as pb

SEED = int(os.environ.get("SOAK_SEED", "1"))
WARM_SHARE = 1 / 6  # of the time, before memory and descriptors may grow no more


class Trouble:
    """What happens to a server meanwhile."""

    def __init__(self, server, base, seed):
        self._server, self._base = server, base
        self._random = random.Random(seed)
        self._numbers = itertools.count(2)
        self.published = [1]

    def happen(self):
        """Does one thing at random."""
        (self._random.choice((self._publish, self._roll_back, self._reload, self._die)))()

    def _publish(self):
        number = next(self._numbers)
        exports.export_scaled(self._base, number)
        self.published.append(number)
        self._server.wait_for("scaled", number)
        for old in self.published[:-3]:
            shutil.rmtree(self._base / "scaled" / str(old))
        del self.published[:-3]

    def _roll_back(self):
        if len(self.published) > 1:
            gone = self.published.pop()
            shutil.rmtree(self._base / "scaled" / str(gone))
            self._server.wait_for("scaled", self.published[-1])
            self._server.wait_for("scaled", gone, "END")

    def _reload(self):
        count = self._random.choice((1, 2))
        text = f"""model_config_list {{ config {{
            name: "scaled" base_path: "{self._base / "scaled"}"
            model_version_policy {{ latest {{ num_versions: {count} }} }} }} }}"""
        request = pb.ReloadConfigRequest(config=text_format.Parse(text, pb.ModelServerConfig()))
        with self._server.channel() as channel:
            stub = services.MODEL_METHODS["HandleReloadConfigRequest"].stub(channel)
            assert stub(request, timeout=60).status.error_code == 0

    def _die(self):
        for port in (self._server.rest_port, self._server.grpc_port):
            with socket.create_connection(("127.0.0.1", port)) as peer:
                # As for a client that is killed: no orderly end.
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.sendall(
                    b"POST /v1/models/scaled:predict HTTP/1.1\r\nContent-Length: 99\r\n\r\n"
                )


class Gauge(threading.Thread):
    """Samples the server's memory and descriptors."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._pid = pid
        self.samples = []
        self.stopped = threading.Event()

    def run(self):
        while not self.stopped.wait(0.5):
            with open(f"/proc/{self._pid}/statm") as file:
                pages = int(file.read().split()[1])
            self.samples.append((pages * os.sysconf("SC_PAGE_SIZE"), self._descriptors()))

    def _descriptors(self):
        return len(os.listdir(f"/proc/{self._pid}/fd"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("transport", "seconds"),
    [
        ("own", 40),
        ("library", 20),
        pytest.param("own", 1800, marks=pytest.mark.long),
        pytest.param("library", 1800, marks=pytest.mark.long),
    ],
)
def test_a_server_in_trouble_answers_right_and_does_not_grow(tmp_path, transport, seconds):
    exports.scaled(tmp_path, 1)
    flags = [
        "--model_name=scaled",
        f"--model_base_path={tmp_path / 'scaled'}",
        "--file_system_poll_wait_seconds=0.1",
        f"--transport={transport}",
    ]
    with ServerProcess(tmp_path / "log", *flags) as server:
        gauge = Gauge(server.process.pid)
        clients = [Client(server, seed) for seed in range(6)]
        for thread in (gauge, *clients):
            thread.start()
        trouble = Trouble(server, tmp_path, SEED)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                trouble.happen()
        finally:
            for thread in (gauge, *clients):
                thread.stopped.set()
            for thread in (gauge, *clients):
                thread.join()
        settled = gauge.samples[int(len(gauge.samples) * WARM_SHARE) :]
        early, late = settled[: len(settled) // 4], settled[-len(settled) // 4 :]
        (memory, descriptors), (later_memory, later_descriptors) = (
            [statistics.median(column) for column in zip(*part, strict=True)]
            for part in (early, late)
        )
        answers = sum(sum(client.answered.values()) for client in clients)
        versions = {version for client in clients for version in client.answered}
        print(f"{answers} answers of {len(versions)} versions in {seconds} s")
        print(f"memory {memory / 2**20:.0f} -> {later_memory / 2**20:.0f} MiB, ", end="")
        print(f"descriptors {descriptors:.0f} -> {later_descriptors:.0f}")
        assert [failure for client in clients for failure in client.failures] == []
        assert later_memory < memory * 1.05
        assert later_descriptors < descriptors + 10
        assert "Traceback" not in server.log
