"""What must hold of a server while it is attacked, and afterwards."""

import http.client
import socket
import threading
import time
from contextlib import contextmanager

import grpc

from tests.support import needs
from wire import services
from wire import serving_pb2 as pb

TOKEN, ADMIN = "let-me-in", "let-me-change-it"
PREDICT = "/v1/models/scaled:predict"
BODY = {"inputs": [[1.0] * 4]}
MAX_GROWTH = 400 * 2**20  # bytes of memory
MAX_HEALTH_S = 2.0  # of a machine that does other things besides
DRAIN_S = 10
STATUS = services.MODEL_METHODS["GetModelStatus"]
STATUS_REQUEST = pb.GetModelStatusRequest(model_spec=pb.ModelSpec(name="scaled"))


def bearer(token=TOKEN):
    return {"Authorization": f"Bearer {token}"} if token is not None else {}


def predict(server):
    return server.rest(PREDICT, BODY, headers=bearer(server.token))


class Watch(threading.Thread):
    """Asks for /healthz over and over, each time on a connection of its own.

    Attributes:
        worst_s: The longest answer, since the last `mark`.
        worst_s_of_all: The longest of all, once it is stopped.
        peak: Bytes of memory that the server has had at most, likewise.
        failures: What went wrong.
    """

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.worst_s = self.worst_s_of_all = 0.0
        self.peak = 0
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

    def mark(self):
        """Begins a part of an attack; returns the memory (bytes) that the server has now."""
        self.worst_s_of_all = max(self.worst_s_of_all, self.worst_s)
        self.peak = max(self.peak, status(self.server, "VmHWM"))
        self.worst_s = 0.0
        reset_peak(self.server)
        return status(self.server, "VmRSS")

    def stop(self):
        self._is_over.set()
        self.join()
        self.mark()


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
    growth_found = watch.peak - before
    print(
        f"/healthz: {watch.count} times, {watch.worst_s_of_all * 1e3:.0f} ms at worst; "
        f"memory: {before >> 20} MiB, {growth_found >> 20} MiB more at worst"
    )
    assert watch.failures == []
    assert watch.worst_s_of_all < MAX_HEALTH_S
    assert growth_found < growth
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


def connect(server, *, receive_bytes=None):
    """Returns a socket to the REST port; with a small receive buffer, if asked for."""
    peer = socket.socket()
    if receive_bytes:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    peer.settimeout(30)
    peer.connect(("127.0.0.1", server.rest_port))
    return peer


def post(path, headers, body=b"", *, length=None):
    """Returns the bytes of a POST, with another length than the body's if asked for."""
    lines = [f"POST {path} HTTP/1.1", "Host: a"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if "Transfer-Encoding" not in headers:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def send_until_closed(peer, piece, count):
    """Sends a piece over and over until the server ends the connection; returns how often."""
    for n in range(count):
        try:
            peer.sendall(piece)
        except OSError:
            return n
    return count


def answer(peer):
    """Returns all that comes until the connection ends."""
    found = b""
    try:
        while data := peer.recv(65536):
            found += data
    except ConnectionError:
        pass
    return found


def code(call):
    """Returns the name of the status that a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def metadata(token=TOKEN):
    return (("authorization", f"Bearer {token}"),) if token is not None else ()
