"""Our gRPC server as gRPC's own clients, curl and the h2 library see it."""

import asyncio
import socket
import subprocess
import threading
import time

import grpc
import pytest

from server.errors import Code, ServingError
from server.protocol.grpc.method import Method
from server.protocol.grpc.server import GrpcOptions, GrpcServer
from server.protocol.tls import Tls
from tests.support import needs

LOOPS = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop
except ModuleNotFoundError:
    pass


class Service:
    """Methods that show what a server must do right."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.entered = threading.Event()
        self.release = asyncio.Event()

    def methods(self):
        def unary(function):
            return Method(bytes, bytes, function)

        return {
            "/test/Echo": unary(self.echo),
            "/test/Repeat": unary(self.repeat),
            "/test/Fail": unary(self.fail),
            "/test/Crash": unary(self.crash),
            "/test/Wait": unary(self.wait),
            "/test/Metadata": unary(self.metadata),
            "/test/Parse": Method(int, str.encode, self.echo),
            "/test/Count": Method(bytes, bytes, stream=self.count),
            "/test/Chat": Method(bytes, bytes, stream=self.chat),
        }

    async def echo(self, request, context):
        return request

    async def repeat(self, request, context):
        return request * int(dict(context.invocation_metadata())["times"])

    async def fail(self, request, context):
        raise ServingError(Code(int(request)), "a % sign, a ü\nand 日本")

    async def crash(self, request, context):
        raise KeyError("secret")

    async def wait(self, request, context):
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b"released"

    async def metadata(self, request, context):
        context.set_trailing_metadata([("x-version", "3")])
        remaining = context.time_remaining()
        token = dict(context.invocation_metadata()).get("x-token", "")
        seen = [token.encode(), context.peer().encode()]
        return b" ".join([*seen, b"none" if remaining is None else b"%d" % remaining])

    async def count(self, requests, context):
        async for request in requests:
            for number in range(int(request)):
                yield str(number).encode()

    async def chat(self, requests, context):
        async for request in requests:
            if request == b"fail":
                raise ServingError(Code.ABORTED, "enough")
            yield request.upper()


class Running:
    """A server on a loop of its own thread."""

    def __init__(self, new_loop, service, **options):
        self.service = service
        self.loop = new_loop()
        self.server = GrpcServer(service.methods(), GrpcOptions(**options))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def listen(self):
        self.port = self.run(self.server.start())
        self.address = f"127.0.0.1:{self.port}"
        return self

    def close(self, grace_s=None):
        self.run(self.server.close(grace_s))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        self.loop.close()


@pytest.fixture(params=LOOPS)
def serve(request):
    started = []

    def start(**options):
        running = Running(LOOPS[request.param], Service(), **options)
        started.append(running)
        return running.listen()

    yield start
    for running in started:
        if not running.loop.is_closed():
            running.close()


@pytest.fixture
def server(serve):
    return serve()


@pytest.fixture
def channel(server):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.address, options) as channel:
        yield channel


def test_many_calls_at_once_get_their_own_answers(channel):
    echo = channel.unary_unary("/test/Echo")
    requests = [str(n).encode() * (n % 50) for n in range(500)]
    futures = [echo.future(request, timeout=30) for request in requests]
    assert [future.result() for future in futures] == requests


def test_aio_clients_get_their_own_answers(server):
    async def main():
        async with grpc.aio.insecure_channel(server.address) as channel:
            echo = channel.unary_unary("/test/Echo")
            requests = [str(n).encode() * 100 for n in range(200)]
            assert await asyncio.gather(*(echo(request) for request in requests)) == requests

    asyncio.run(main())


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 70_000, 3_000_001, 40_000_000])
def test_messages_of_any_size_go_both_ways(channel, size):
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert channel.unary_unary("/test/Echo")(message, timeout=60) == message


def test_large_answers_share_a_connection(channel):
    repeat = channel.unary_unary("/test/Repeat")
    futures = [repeat.future(b"%d" % n, metadata=[("times", "1000000")]) for n in range(8)]
    for number, future in enumerate(futures):
        assert future.result() == b"%d" % number * 1_000_000


@pytest.mark.parametrize("code", [code for code in Code if code != Code.OK])
def test_errors_come_with_code_and_text(channel, code):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/test/Fail")(b"%d" % code)
    assert error.value.code().value[0] == code
    assert error.value.details() == "a % sign, a ü\nand 日本"


def test_a_crash_is_internal_and_keeps_its_secret(channel, caplog):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/test/Crash")(b"")
    assert error.value.code() == grpc.StatusCode.INTERNAL
    assert "secret" not in error.value.details()
    assert "KeyError" in caplog.text


def test_an_unknown_method_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/test/Nothing")(b"x" * 100_000)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details() == "Method not found!"


def test_a_request_that_cannot_be_parsed_is_internal_as_in_grpc(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/test/Parse")(b"no number")
    assert error.value.code() == grpc.StatusCode.INTERNAL
    assert error.value.details() == "Exception deserializing request!"


def test_metadata_goes_both_ways(channel):
    call = channel.unary_unary("/test/Metadata")
    answer, done = call.with_call(b"", metadata=[("x-token", "t" * 300)], timeout=1000)
    token, peer, remaining = answer.split()
    assert token == b"t" * 300
    assert peer.startswith(b"ipv4:127.0.0.1:")
    assert 900 < int(remaining) < 1100  # clients round timeouts up
    assert ("x-version", "3") in done.trailing_metadata()
    assert call(b"").endswith(b" none")


def test_changing_metadata_is_told_apart(channel):
    call = channel.unary_unary("/test/Metadata")
    for number in [1, 2, 1, 3, 3, 1, *range(300), 1]:
        assert call(b"", metadata=[("x-token", str(number))]).startswith(b"%d " % number)


def test_a_deadline_ends_the_call_on_both_sides(server, channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/test/Wait")(b"", timeout=0.2)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.service.cancelled.wait(10)


def test_a_cancelled_call_is_cancelled_in_the_server(server, channel):
    future = channel.unary_unary("/test/Wait").future(b"")
    assert server.service.entered.wait(10)
    future.cancel()
    assert server.service.cancelled.wait(10)
    assert channel.unary_unary("/test/Echo")(b"still here") == b"still here"


def test_a_client_that_goes_away_cancels_its_calls(server):
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/test/Wait").future(b"")
        assert server.service.entered.wait(10)
    assert server.service.cancelled.wait(10)
    assert call.code() == grpc.StatusCode.CANCELLED  # and was held until here


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_read(channel, compression):
    message = b"abc" * 10_000
    echo = channel.unary_unary("/test/Echo")
    assert echo(message, compression=compression) == message


def test_a_message_over_the_limit_is_refused_and_the_connection_goes_on(serve):
    server = serve(arguments={"grpc.max_receive_message_length": 1000})
    with grpc.insecure_channel(server.address) as channel:
        echo = channel.unary_unary("/test/Echo")
        for size, compression in [(2_000_000, None), (1001, None), (5000, grpc.Compression.Gzip)]:
            with pytest.raises(grpc.RpcError) as error:
                echo(b"x" * size, compression=compression)
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "Received message larger than max" in error.value.details()
        assert echo(b"x" * 1000) == b"x" * 1000


def test_calls_over_the_limit_of_streams_wait_their_turn(serve):
    server = serve(arguments={"grpc.max_concurrent_streams": 2})
    with grpc.insecure_channel(server.address) as channel:
        echo = channel.unary_unary("/test/Echo")
        futures = [echo.future(b"%d" % n, timeout=30) for n in range(100)]
        assert [future.result() for future in futures] == [b"%d" % n for n in range(100)]


def test_streams_of_responses_and_of_both(channel):
    assert list(channel.unary_stream("/test/Count")(b"5")) == [b"0", b"1", b"2", b"3", b"4"]
    assert list(channel.stream_stream("/test/Chat")(iter([b"a", b"b"]))) == [b"A", b"B"]
    assert list(channel.stream_stream("/test/Chat")(iter([]))) == []
    answers = channel.stream_stream("/test/Chat")(iter([b"a", b"fail"]))
    assert next(answers) == b"A"
    with pytest.raises(grpc.RpcError) as error:
        next(answers)
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.ABORTED, "enough")
    many = b"%d" % 20_000
    assert len(list(channel.unary_stream("/test/Count")(many))) == 20_000


def test_a_drained_server_answers_what_it_has_and_takes_no_more(server, channel):
    future = channel.unary_unary("/test/Wait").future(b"")
    assert server.service.entered.wait(10)
    closing = threading.Thread(target=server.close, args=(30,))
    closing.start()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except OSError:
            break
    server.loop.call_soon_threadsafe(server.service.release.set)
    assert future.result(30) == b"released"
    closing.join(30)
    assert server.loop.is_closed()


def test_calls_that_overlap_a_drain_are_answered_or_retried_elsewhere(serve):
    first, second = serve(), serve()
    options = [("grpc.lb_policy_name", "pick_first")]
    target = f"ipv4:127.0.0.1:{first.port},127.0.0.1:{second.port}"
    with grpc.insecure_channel(target, options) as channel:
        echo = channel.unary_unary("/test/Echo")
        echo(b"", wait_for_ready=True)
        closing = threading.Thread(target=first.close, args=(30,))
        futures = []
        for number in range(300):
            futures.append(echo.future(b"%d" % number, wait_for_ready=True, timeout=30))
            if number == 100:
                closing.start()
        assert [future.result() for future in futures] == [b"%d" % n for n in range(300)]
    closing.join(30)
    assert first.loop.is_closed()


def test_a_grace_that_ends_cancels(server, channel):
    future = channel.unary_unary("/test/Wait").future(b"")
    assert server.service.entered.wait(10)
    server.close(0.1)
    assert future.exception(30).code() == grpc.StatusCode.UNAVAILABLE
    assert server.service.cancelled.wait(10)


def test_a_unix_socket_serves_in_the_place_of_a_dead_one(serve, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    serve(port=None, socket_path=str(path))
    with grpc.insecure_channel(f"unix:{path}") as channel:
        assert channel.unary_unary("/test/Echo")(b"x") == b"x"
        assert channel.unary_unary("/test/Metadata")(b"").split()[0] == b"unix:"


def test_an_address_that_is_taken_is_refused(server, serve):
    with pytest.raises(OSError, match="in use"):
        serve(port=server.port)


def test_tls_serves(serve, tmp_path):
    key, certificate = certify(tmp_path)
    port = serve(tls=Tls(key.read_text(), certificate.read_text())).port
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        message = b"x" * 1_000_000
        assert channel.unary_unary("/test/Echo")(message, timeout=30) == message


def certify(directory):
    key, certificate = directory / "key.pem", directory / "cert.pem"
    needs.program("openssl", debian="openssl")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


def curl(server, *arguments, data):
    needs.program("curl", debian="curl")
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "20", "--data-binary", "@-",
         "-D", "/dev/stderr", *arguments, f"http://{server.address}/test/Echo"],
        input=data, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr.decode().lower()


def test_curl_gets_an_answer(server):
    body = b"\0\0\0\0\5hello"
    answer, headers = curl(
        server, "-H", "content-type: application/grpc", "-H", "te: trailers", data=body
    )
    assert answer == body
    assert "http/2 200" in headers
    assert "grpc-status: 0" in headers


def test_what_is_not_grpc_is_told_so(server):
    assert "http/2 415" in curl(server, "-H", "content-type: text/plain", data=b"x")[1]
    assert "http/2 405" in curl(server, "-X", "PUT", data=b"x")[1]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "has%20no%20message"),
        (b"\0\0\0", "has%20no%20message"),
        (b"\0\0\0\0\5hell", "must%20be%20one%20message"),
        (b"\0\0\0\0\1a\0\0\0\0\1b", "must%20be%20one%20message"),
        (b"\1\0\0\0\1a", "without%20grpc-encoding"),
        (b"\7\0\0\0\1a", "invalid%20message%20flag"),
    ],
)
def test_a_body_that_is_not_one_message_is_internal(server, body, text):
    _, headers = curl(server, "-H", "content-type: application/grpc", data=body)
    assert "grpc-status: 13" in headers
    assert text in headers.replace(" ", "%20")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("grpc-timeout", "soon", 13),
        ("grpc-timeout", "123456789S", 13),
        ("grpc-encoding", "snappy", 12),
    ],
)
def test_wrong_headers_are_told_so(server, name, value, code):
    _, headers = curl(
        server, "-H", "content-type: application/grpc", "-H", f"{name}: {value}",
        data=b"\1\0\0\0\1a",
    )  # fmt: skip
    assert f"grpc-status: {code}" in headers
