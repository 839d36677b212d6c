"""What the client finds at an address, and what it says of servers that are no model servers."""

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from client import Client, ServingError, Unavailable, connect, exits
from client.probe import api_at, split


@contextmanager
def listening(answer):
    """A port whose connections are handed to a function, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@contextmanager
def web_server(status, content, **headers):
    """A web server that gives every request the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


def say(content):
    def answer(connection):
        connection.recv(100)
        connection.sendall(content)

    return answer


@pytest.mark.parametrize(
    ("answer", "api"),
    [
        (say(b"HTTP/1.1 200 OK\r\n\r\n"), "rest"),
        (say(b"\0\0\x12\4\0\0\0\0\0" + bytes(18)), "grpc"),  # HTTP/2's SETTINGS
        (lambda connection: None, "grpc"),  # closed, and reset: the question wasn't read
    ],
)
def test_a_port_that_answers_http_1_speaks_rest(answer, api):
    with listening(answer) as port:
        assert api_at("127.0.0.1", port, 5.0) == api


def test_a_silent_port_is_unavailable():
    done = threading.Event()
    with listening(lambda connection: done.wait(10)) as port:
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: timed out"):
            connect(f"127.0.0.1:{port}", timeout=0.1)
        done.set()


def test_a_closed_port_is_unavailable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: Connection refused"):
        connect(f"127.0.0.1:{port}")


def test_an_unknown_host_is_unavailable():
    with pytest.raises(Unavailable, match=r"nowhere\.invalid:8501: "):
        connect("nowhere.invalid:8501")


def test_addresses_are_split():
    assert split("localhost:8501") == ("localhost", 8501)
    assert split("[::1]:8500") == ("::1", 8500)


@pytest.mark.parametrize(
    "address", ["nowhere", ":8501", "host:", "host:no", "host:0", "host:65536"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="write it as HOST:PORT"):
        connect(address)


@pytest.mark.parametrize(
    ("status", "content", "seen"),
    [
        (404, b"<html>Not Found</html>", "HTTP 404 without an error in JSON"),
        (404, b'{"detail": "Not Found"}', "HTTP 404 without an error in JSON"),
        (501, b"<html>Unsupported method</html>", "HTTP 501 without an error in JSON"),
        (200, b"<html>Welcome</html>", "no JSON object"),
        (200, b'{"name": "m", "ready": true}', "no states of versions"),
    ],
)
def test_another_server_is_told_from_a_model_server(status, content, seen):
    with web_server(status, content) as port, Client("127.0.0.1", port) as client:
        with pytest.raises(ServingError, match="doesn't answer as TensorFlow Serving") as caught:
            client.wait_until_ready("m", timeout=5)
        assert seen in caught.value.message
        assert caught.value.code == "UNIMPLEMENTED"
        assert exits.code_for(caught.value.code) == exits.USAGE


@pytest.mark.parametrize("metadata", [{}, {"metadata": 1}, {"metadata": {"signature_def": {}}}])
def test_metadata_of_another_server(metadata):
    with web_server(200, json.dumps(metadata).encode()) as port:
        with Client("127.0.0.1", port) as client:
            with pytest.raises(ServingError, match="no signatures"):
                client.metadata("m")


@pytest.mark.parametrize(("status", "code"), [(404, "NOT_FOUND"), (401, "UNAUTHENTICATED")])
def test_a_model_servers_refusal_stays_one(status, code):
    with web_server(status, b'{"error": "its own words"}') as port:
        with Client("127.0.0.1", port) as client:
            with pytest.raises(ServingError, match="its own words") as caught:
                client.status("m")
    assert caught.value.code == code


def test_a_redirection_is_said_and_not_followed():
    with web_server(301, b"", Location="https://elsewhere.invalid/x") as port:
        with Client("127.0.0.1", port, token="secret") as client:
            with pytest.raises(ServingError, match="HTTP 301: ask https://elsewhere"):
                client.status("m")


def test_a_proxys_page_is_passed_on():
    """Whoever stands before the server may refuse, too, and not in JSON."""
    with web_server(403, b"Forbidden by the proxy") as port, Client("127.0.0.1", port) as client:
        with pytest.raises(ServingError, match="PERMISSION_DENIED: Forbidden by the proxy"):
            client.status("m")


@pytest.mark.parametrize(
    ("address", "api", "shown"),
    [
        ("http://127.0.0.1:9/eu", "rest", "127.0.0.1:9/eu (REST)"),
        ("dns:///localhost:9", "grpc", "dns:///localhost:9 (gRPC)"),
        ("unix:/nowhere.sock", "grpc", "unix:/nowhere.sock (gRPC)"),
    ],
)
def test_urls_and_targets_say_their_api_themselves(address, api, shown):
    with connect(address) as client:
        assert (client.endpoint.api, str(client.endpoint)) == (api, shown)
