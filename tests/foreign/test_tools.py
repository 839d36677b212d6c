"""nghttp2's tools and gRPC through nginx and HAProxy, as they come with Debian."""

import re
import socket
import subprocess
import time
from contextlib import contextmanager

import grpc
import pytest

from server.protocol.grpc.server import GrpcServer
from tests.support import needs
from tests.support.grpc_methods import running

GRPC = ("-H", "content-type: application/grpc", "-H", "te: trailers")

NGINX = """
daemon off; pid {directory}/pid; error_log {directory}/log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
  fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  client_max_body_size 0; http2_max_concurrent_streams 1000;
  server {{ listen 127.0.0.1:{front} http2; location / {{ grpc_pass grpc://127.0.0.1:{back}; }} }}
}}
"""
HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:{front} proto h2
  default_backend back
backend back
  server one 127.0.0.1:{back} proto h2
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@contextmanager
def process(*command, port):
    started = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while True:
            assert started.poll() is None, started.stderr.read()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "it doesn't listen"
                time.sleep(0.05)
        yield
    finally:
        started.terminate()
        started.wait(30)


def nginx(directory, back):
    program = needs.program("nginx", "/usr/sbin/nginx", debian="nginx-light")
    front = free_port()
    (directory / "nginx.conf").write_text(NGINX.format(directory=directory, front=front, back=back))
    return front, (program, "-c", directory / "nginx.conf", "-e", directory / "log")


def haproxy(directory, back):
    program = needs.program("haproxy", "/usr/sbin/haproxy", debian="haproxy")
    front = free_port()
    (directory / "haproxy.cfg").write_text(HAPROXY.format(front=front, back=back))
    return front, (program, "-f", directory / "haproxy.cfg")


@pytest.mark.parametrize("proxy", [nginx, haproxy])
def test_calls_come_through_a_proxy(proxy, tmp_path):
    with running(GrpcServer) as back:
        front, command = proxy(tmp_path, back)
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        with (
            process(*command, port=front),
            grpc.insecure_channel(f"127.0.0.1:{front}", options) as channel,
        ):
            unary = channel.unary_unary("/test.Service/Unary")
            answer, call = unary.with_call(b"ab", metadata=[("x-question", "q")], timeout=30)
            assert answer == b"abab"
            assert ("x-answer", "q") in call.trailing_metadata()
            with pytest.raises(grpc.RpcError) as error:
                unary(b"abort", timeout=30)
            assert (error.value.code(), error.value.details()) == (
                grpc.StatusCode.DATA_LOSS, "lost",
            )  # fmt: skip
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary("/test.Service/Nothing")(b"", timeout=30)
            assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
            large = bytes(5_000_000)
            assert channel.unary_unary("/test.Service/Length")(large, timeout=60) == b"5000000"
            assert unary(large, timeout=60) == large + large
            many = [unary.future(b"%d" % number, timeout=60) for number in range(300)]
            assert [one.result() for one in many] == [b"%d%d" % (n, n) for n in range(300)]
            both = channel.stream_stream("/test.Service/Both")
            assert list(both(iter([b"a", b"b"]), timeout=30)) == [b"aa", b"bb"]
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary("/test.Service/Wait")(b"", timeout=0.3)
            assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_h2load_gets_all_its_answers(tmp_path):
    program = needs.program("h2load", debian="nghttp2-client")
    body = tmp_path / "body"
    body.write_bytes(b"\0" + (3144).to_bytes(4, "big") + bytes(3144))
    with running(GrpcServer) as port:
        done = subprocess.run(
            [program, "-n", "5000", "-c", "4", "-m", "100", "-d", body, *GRPC,
             f"http://127.0.0.1:{port}/test.Service/Length"],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    assert "5000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout
    assert "5000 2xx" in done.stdout


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--header-table-size=0",),
        ("--header-table-size=100", "--encoder-header-table-size=100"),
        ("--padding=200",),
        ("--window-bits=10",),
        ("--max-concurrent-streams=1",),
        ("--no-dep",),
    ],
)
def test_nghttp_gets_an_answer_however_it_is_set(options, tmp_path):
    program = needs.program("nghttp", debian="nghttp2-client")
    body = tmp_path / "body"
    body.write_bytes(b"\0" + (30_000).to_bytes(4, "big") + bytes(30_000))
    with running(GrpcServer) as port:
        url = f"http://127.0.0.1:{port}/test.Service/Unary"
        done = subprocess.run(
            [program, "-v", "-n", "-m", "3", *options, *GRPC, "-d", body, url],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    assert len(re.findall("grpc-status: 0", done.stdout)) == 3, done.stdout[-3000:]
    assert "GOAWAY" not in re.findall(r"recv (\w+) frame", done.stdout)
