"""A server that is attacked, and what must hold meanwhile and afterwards."""

import http.client
import threading
import time
from contextlib import contextmanager

import pytest

from tests.support import exports, needs
from tests.support.servers import ServerProcess

TOKEN, ADMIN = "let-me-in", "let-me-change-it"
PREDICT = "/v1/models/scaled:predict"
BODY = {"inputs": [[1.0] * 4]}
MAX_GROWTH = 400 * 2**20  # bytes of memory
MAX_HEALTH_S = 2.0  # of a machine that does other things besides
DRAIN_S = 10


@pytest.fixture(scope="package")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("attacked")
    exports.scaled(base, 1)
    exports.named(base, 1)
    return base


@pytest.fixture(scope="package", params=["own"])
def transport(request):
    return request.param


@pytest.fixture
def start(models, tmp_path_factory, transport):
    """Starts servers of the two models; without `token=None` they want one."""
    started = []

    def start(*flags, token=TOKEN, **options):
        folder = tmp_path_factory.mktemp("server")
        config = folder / "models.config"
        entries = "".join(
            f'config {{ name: "{name}" base_path: "{models / name}" model_platform: "tensorflow" }}'
            for name in ("scaled", "named")
        )
        config.write_text(f"model_config_list {{ {entries} }}")
        if token is not None:
            (folder / "token").write_text(token)
            (folder / "admin").write_text(ADMIN)
            flags += (
                f"--auth_token_file={folder / 'token'}", f"--admin_token_file={folder / 'admin'}",
            )  # fmt: skip
        server = ServerProcess(
            folder / "log",
            f"--model_config_file={config}",
            f"--access_log={folder / 'access.log'}",
            "--enable_grpc_healthcheck_service",
            f"--drain_seconds={DRAIN_S}",
            f"--transport={transport}",
            *flags,
            **options,
        )
        server.folder, server.token = folder, token
        started.append(server)
        assert predict(server)[0] == 200  # all that is made once is made
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def server(start):
    return start()


def bearer(token=TOKEN):
    return {"Authorization": f"Bearer {token}"} if token is not None else {}


def predict(server):
    return server.rest(PREDICT, BODY, headers=bearer(server.token))


class Watch(threading.Thread):
    """Asks for /healthz over and over, each time on a connection of its own.

    Attributes:
        worst_s: The longest answer.
        failures: What went wrong.
    """

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.worst_s = 0.0
        self.count = 0
        self.failures = []
        self._is_over = threading.Event()

    def run(self):
        while not self._is_over.wait(0.02):
            start = time.monotonic()
            try:
                connection = http.client.HTTPConnection(
                    "127.0.0.1", self.server.rest_port, timeout=60
                )
                connection.request("GET", "/healthz")
                response = connection.getresponse()
                response.read()
                connection.close()
                if response.status != 200:
                    self.failures.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
            self.worst_s = max(self.worst_s, time.monotonic() - start)
            self.count += 1

    def stop(self):
        self._is_over.set()
        self.join()


@contextmanager
def attack(server, *, growth=MAX_GROWTH):
    """Watches a server while the block attacks it, and sees that it is well afterwards."""
    before = status(server, "VmRSS")
    reset_peak(server)
    watch = Watch(server)
    watch.start()
    try:
        yield watch
        time.sleep(0.1)
    finally:
        watch.stop()
    peak = status(server, "VmHWM")
    print(
        f"/healthz: {watch.count} times, {watch.worst_s * 1e3:.0f} ms at worst; "
        f"memory: {before >> 20} MiB, {(peak - before) >> 20} MiB more at worst"
    )
    assert watch.failures == []
    assert watch.worst_s < MAX_HEALTH_S
    assert peak - before < growth
    assert predict(server)[0] == 200
    assert "Traceback" not in server.log
    start = time.monotonic()
    assert server.stop(DRAIN_S + 15) == 0, server.log
    print(f"SIGTERM: ended after {time.monotonic() - start:.1f} s")


def status(server, field):
    """Returns a size of the process in bytes."""
    needs.linux("for /proc")
    with open(f"/proc/{server.process.pid}/status") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    raise AssertionError(field)


def reset_peak(server):
    with open(f"/proc/{server.process.pid}/clear_refs", "w") as file:
        file.write("5")  # https://docs.kernel.org/filesystems/proc.html
