"""Fuzzed requests by both faces: no crash, no hang, no fault that isn't one, no leak.

`FUZZ_SEED=7 make test-long` sends others.
"""

import collections
import http.client
import os
import threading

import grpc
import pytest
from google.protobuf.message import DecodeError

from tests.support import exports
from tests.support.fuzzing import Fuzzer
from tests.support.servers import ServerProcess
from wire import services

SEED = int(os.environ.get("FUZZ_SEED", "1"))
THREADS = 4
METHODS = {
    method.path: method
    for method in (*services.PREDICTION_METHODS.values(), *services.MODEL_METHODS.values())
}


def send_rest(connection, request):
    method, path, headers, body = request
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    except (http.client.HTTPException, ConnectionError):
        connection.close()  # the server closes connections that break the protocol
        return "closed"


def send_call(channel, request):
    path, message = request
    try:
        channel.unary_unary(path)(message, timeout=60)
        return "OK"
    except grpc.RpcError as error:
        code = error.code().name
        # gRPC's servers answer INTERNAL to bytes that are no message: the framework's words.
        return "no message" if code == "INTERNAL" and not is_message(path, message) else code


def is_message(path, data):
    try:
        METHODS[path].request.FromString(data)
    except DecodeError:
        return False
    return True


class Attacker(threading.Thread):
    """Sends fuzzed requests by one face."""

    def __init__(self, server, seed, count):
        super().__init__()
        self.server, self.fuzzer, self.count = server, Fuzzer(seed), count
        self.outcomes = collections.Counter()
        self.faults = []
        self.is_rest = seed % 2 == 0

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.rest_port, timeout=60)
        with self.server.channel() as channel:
            for _ in range(self.count):
                request = self.fuzzer.rest() if self.is_rest else self.fuzzer.call()
                outcome = (
                    send_rest(connection, request) if self.is_rest else send_call(channel, request)
                )
                self.outcomes[outcome] += 1
                if outcome in (500, "INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"):
                    self.faults.append((outcome, request))
        connection.close()


def attack(server, seed, count):
    attackers = [Attacker(server, seed * THREADS + n, count // THREADS) for n in range(THREADS)]
    for attacker in attackers:
        attacker.start()
    for attacker in attackers:
        attacker.join()
    outcomes = sum((attacker.outcomes for attacker in attackers), collections.Counter())
    return outcomes, [fault for attacker in attackers for fault in attacker.faults]


def memory(server):
    with open(f"/proc/{server.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [4000, pytest.param(200_000, marks=pytest.mark.long)])
def test_fuzzed_requests_do_no_harm(tmp_path, count):
    exports.scaled(tmp_path, 1)
    exports.named(tmp_path, 1)
    config = tmp_path / "models.config"
    config.write_text(
        f"""model_config_list {{
          config {{ name: "scaled" base_path: "{tmp_path / "scaled"}"
                    version_labels {{ key: "stable" value: 1 }} }}
          config {{ name: "named" base_path: "{tmp_path / "named"}" }} }}"""
    )
    with ServerProcess(tmp_path / "log", f"--model_config_file={config}") as server:
        attack(server, SEED + 1000, 2000)  # pools and caches fill
        before = memory(server)
        outcomes, faults = attack(server, SEED, count)
        print(f"{sum(outcomes.values())} requests: {dict(outcomes)}")
        print(f"memory {before >> 20} MiB before, {memory(server) >> 20} MiB after")
        assert faults == []
        assert outcomes[200] > 0 < outcomes["OK"]
        assert memory(server) < before * 1.1
        assert "Traceback" not in server.log
        status, _, body = server.rest("/v1/models/scaled:predict", {"inputs": [[0.0] * 4]})
        assert (status, b"outputs" in body) == (200, True)
