"""A disk that is full, or takes no more, under the logs."""

import json
import resource
import subprocess
import sys
import threading
import time

import pytest

from tests.support import attacks
from tests.support.servers import ROOT
from wire import services
from wire import serving_pb2 as pb

# The server, with files that may have so many bytes: writes beyond fail as on a full disk.
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
from server.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def limited(tmp_path):
    """The command of a server whose files end at 20 kB, its log on standard error apart."""
    assert resource.RLIMIT_FSIZE
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    return (sys.executable, str(script), "20000")


def test_a_full_disk_under_the_access_log(start, limited):
    server = start(command=limited, env={"PYTHONPATH": str(ROOT)})
    with attacks.attack(server):
        with server.channel() as channel:
            for _ in range(100):
                assert attacks.predict(server)[0] == 200
                assert server.rest("/metrics")[0] == 401
                stub = attacks.STATUS.stub(channel)
                stub(attacks.STATUS_REQUEST, timeout=30, metadata=attacks.metadata())
        lines = (server.folder / "access.log").read_bytes().split(b"\n")
        assert len(b"\n".join(lines)) == 20_000
        for line in lines[:-1]:
            json.loads(line)
    assert server.log.count("can't be written") == 1


def test_a_full_disk_under_a_request_log(start, limited, models, tmp_path):
    server = start(f"--request_log_dir={tmp_path}", command=limited, env={"PYTHONPATH": str(ROOT)})
    request = pb.ReloadConfigRequest()
    config = request.config.model_config_list.config.add(
        name="scaled", base_path=str(models / "scaled"), model_platform="tensorflow"
    )
    config.logging_config.log_collector_config.type = "file"
    config.logging_config.log_collector_config.filename_prefix = str(tmp_path / "requests")
    config.logging_config.sampling_config.sampling_rate = 1.0
    reload = services.MODEL_METHODS["HandleReloadConfigRequest"]
    with attacks.attack(server):
        with server.channel() as channel:
            answer = reload.stub(channel)(
                request, timeout=60, metadata=attacks.metadata(attacks.ADMIN)
            )
            assert answer.status.error_code == 0
        for _ in range(400):
            assert attacks.predict(server)[0] == 200
        assert sum(file.stat().st_size for file in tmp_path.glob("requests*")) > 10_000


def test_a_pipe_that_nobody_reads_under_the_logs(models, tmp_path):
    """Standard output and error as pipes that fill up: the server goes on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "--port=-1", f"--rest_api_port={free_port()}",
         "--model_name=scaled", f"--model_base_path={models / 'scaled'}", "--access_log=-"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        port = int(process.args[4].partition("=")[2])
        server = Plain(port, process)
        deadline = time.monotonic() + 120
        while not server.answers():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        threads = [threading.Thread(target=server.ask, args=(500,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.failures == []
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()


class Plain:
    """A server that is asked for a page over and over."""

    def __init__(self, port, process):
        self.rest_port, self.process, self.failures = port, process, []

    def answers(self):
        try:
            with attacks.connect(self):
                return True
        except OSError:
            return False

    def ask(self, count):
        with attacks.connect(self) as peer:
            path = "/nothing" + "x" * 300
            for _ in range(count):
                peer.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                if b" 404 " not in peer.recv(65536):
                    self.failures.append(path)


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
