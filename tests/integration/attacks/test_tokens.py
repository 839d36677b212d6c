"""Nobody gets in without the token, whatever they send in its place."""

import http.client
import random
import time

import grpc
import hpack
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.support import attacks
from tests.support.attacks import PREDICT, STATUS, STATUS_REQUEST, TOKEN
from tests.support.h2_peer import H2Peer
from wire import services

WRONG = (
    None, "", "Bearer", "Bearer ", f"bearer {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer  {TOKEN}",
    f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", f"Bearer {TOKEN}, Bearer {TOKEN}", "Bearer " * 2000,
    f"Bearer {TOKEN.upper()}", "Bearer \xff\xfe",
)  # fmt: skip
PATHS = (
    "/", "/metrics", "/models", "/openapi.json", "/v1/models/scaled", "/v1/models/scaled/metadata",
    "/V1/models/scaled", "/nothing", "/healthz/", "//healthz", "/healthz/../metrics", "/healthz%2f",
    "/metrics?/healthz", "/metrics#/healthz", "/healthz;/metrics", "*", "http://a/metrics",
    "/v2", "/v2/models/scaled", "/v2/repository/index", "/%6detrics",
)  # fmt: skip


def test_every_page_and_method_of_http_wants_it(server):
    with attacks.attack(server):
        for method in ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            for path in PATHS:
                status, headers, body = ask(server, method, path)
                assert status in (400, 401), (method, path)
                assert "scaled" not in body.decode()
                if status == 401:
                    assert headers["WWW-Authenticate"] == "Bearer"
        for wrong in WRONG:
            status, _, _ = ask(server, "GET", "/metrics", wrong)
            assert status == 401, wrong
        for path in ("/healthz", "/readyz"):
            status, _, body = ask(server, "GET", path)
            assert status == 200
            assert b"scaled" not in body
        _, _, body = server.rest("/readyz", headers=attacks.bearer())
        assert b"scaled" in body


def ask(server, method, path, authorization=None):
    """Returns status, headers and body of a request by http.client, which sends any path."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=30)
    headers = {"Authorization": authorization} if authorization is not None else {}
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_two_authorizations_are_none(server):
    with attacks.attack(server), attacks.connect(server) as peer:
        peer.sendall(
            b"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\n"
            b"Authorization: Bearer %s\r\n\r\n" % TOKEN.encode()
        )
        assert attacks.answer(peer).startswith(b"HTTP/1.1 400 ")


def test_every_method_of_grpc_wants_it(server):
    paths = [m.path for m in (*services.PREDICTION_METHODS.values(),
                              *services.MODEL_METHODS.values())]  # fmt: skip
    paths += ["/tensorflow.ProfilerService/Profile", "/no/such", "/", ""]
    with attacks.attack(server), server.channel() as channel:
        for path in paths:
            call = channel.unary_unary(path or "/x")
            for wrong in ((), attacks.metadata("wrong"), (("authorization", TOKEN),)):
                code = attacks.code(lambda call=call, wrong=wrong: call(b"", 30, wrong))
                assert code in ("UNAUTHENTICATED", "UNIMPLEMENTED"), path
                if path in paths[:7]:
                    assert code == "UNAUTHENTICATED"
        assert attacks.code(lambda: status(channel, TOKEN)) == "OK"
        assert attacks.code(lambda: status(channel, attacks.ADMIN)) == "OK"


def status(channel, token):
    return STATUS.stub(channel)(STATUS_REQUEST, timeout=30, metadata=attacks.metadata(token))


def test_reflection_and_health_want_it(server):
    reflection = [reflection_pb2.ServerReflectionRequest(list_services="")]
    check = health_pb2.HealthCheckRequest()
    with attacks.attack(server), server.channel() as channel:
        reflect = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        health = health_pb2_grpc.HealthStub(channel)
        for call in (
            lambda **more: list(reflect(iter(reflection), **more)),
            lambda **more: health.Check(check, **more),
            lambda **more: next(health.Watch(check, **more)),
        ):
            for wrong in (None, "wrong"):
                found = attacks.code(
                    lambda call=call, wrong=wrong: call(
                        timeout=10, metadata=attacks.metadata(wrong)
                    )
                )
                assert found == "UNAUTHENTICATED"
            call(timeout=10, metadata=attacks.metadata())


def test_trailers_of_http_carry_none(server):
    with attacks.attack(server):
        for body in (b"", b'{"inputs": [[1,1,1,1]]}'):
            chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            for path in (PREDICT, "/healthz"):
                with attacks.connect(server) as peer:
                    headers = {"Transfer-Encoding": "chunked", "Connection": "close"}
                    head = attacks.post(path, headers)
                    peer.sendall(head + chunk + b"0\r\nAuthorization: Bearer %s\r\n\r\n"
                                 % TOKEN.encode())  # fmt: skip
                    found = attacks.answer(peer)
                    assert b"HTTP/1.1 200" not in found
                    assert found.startswith(b"HTTP/1.1 4")


def test_trailers_of_grpc_carry_none(server):
    body = STATUS_REQUEST.SerializeToString()
    with attacks.attack(server):
        for wrong in ((), attacks.metadata("wrong")):
            with H2Peer(server.grpc_port) as peer:
                number = peer.call(STATUS.path, body, wrong, trailers=attacks.metadata())
                found = peer.answer(number) or {}
                assert found.get("grpc-status") != "0"
                assert "reset" in found or found["grpc-status"] in ("16", "13", "3"), found


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.long)])
def test_no_call_gets_in_by_headers_of_an_earlier_one(server, count):
    """HPACK's table is filled and emptied, so that a block means something else each time."""
    body = STATUS_REQUEST.SerializeToString()
    choice = random.Random(0)
    with attacks.attack(server):
        for table_bytes in (4096, 200, 0):
            with H2Peer(server.grpc_port) as peer:
                peer.connection.encoder = encoder = hpack.Encoder()
                encoder.header_table_size = table_bytes
                for _ in range(count // 3):
                    is_right = choice.random() < 0.5
                    token = TOKEN if is_right else TOKEN[::-1]  # of the same length
                    fillers = tuple(
                        (f"x-{choice.randrange(3)}", "v" * choice.choice((1, 30, 3800)))
                        for _ in range(choice.randrange(4))
                    )
                    pairs = [*attacks.metadata(token), *fillers]
                    choice.shuffle(pairs)
                    found = peer.answer(peer.call(STATUS.path, body, pairs))
                    assert found is not None
                    assert found["grpc-status"] == ("0" if is_right else "16")


def test_a_block_that_evicts_and_inserts_at_once_is_read_anew(server):
    """The same bytes, an index into a table whose entry is another one: the wrong token's."""
    size = 32 + len("authorization") + len(f"Bearer {TOKEN}")
    filler = ("x", "y" * (size - 33))  # as large: each takes the other's place
    body = STATUS_REQUEST.SerializeToString()
    with attacks.attack(server), H2Peer(server.grpc_port) as peer:
        peer.connection.encoder = encoder = hpack.Encoder()
        encoder.header_table_size = size  # room for one entry
        for token, expected in ((TOKEN, "0"), (TOKEN[::-1], "16")) * 100:
            for pairs in ((filler, *attacks.metadata(token)), attacks.metadata(token)):
                found = peer.answer(peer.call(STATUS.path, body, pairs))
                assert found["grpc-status"] == expected


@pytest.mark.parametrize("headers", [
    {}, {"Authorization": "Bearer wrong"}, {"Expect": "100-continue"}, {"Content-Encoding": "gzip"},
    {"Transfer-Encoding": "chunked"},
])  # fmt: skip
def test_uploads_without_it_end_early(server, headers):
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with attacks.attack(server, growth=32 * 2**20):
        for path in (PREDICT, "/nothing", "/v2/models/scaled/infer"):
            with attacks.connect(server) as peer:
                peer.sendall(attacks.post(path, headers, length=100 * 2**20))
                sent = attacks.send_until_closed(peer, piece, 1600)
                assert sent < 1600, "all 100 MiB were taken"
            with attacks.connect(server) as peer:  # who listens is told
                peer.sendall(attacks.post(path, headers, length=100 * 2**20))
                found = attacks.answer(peer)
                assert found.startswith(b"HTTP/1.1 401 ")
                assert b"100 Continue" not in found


@pytest.mark.parametrize("method", ["Predict", "GetModelMetadata"])
def test_uploads_by_grpc_without_it_are_not_kept(server, method):
    path = services.PREDICTION_METHODS[method].path
    with attacks.attack(server, growth=48 * 2**20), server.channel() as channel:
        calls = [
            channel.unary_unary(path).future(b"x" * (16 * 2**20), timeout=60, metadata=wrong)
            for wrong in ((), attacks.metadata("wrong")) * 8
        ]
        assert {call.code().name for call in calls} == {"UNAUTHENTICATED"}


def test_the_time_that_a_wrong_token_takes_tells_nothing(server):
    """A smoke test: as good as right in all but the last letter is no slower than none right."""
    near, far = f"{TOKEN[:-1]}x", "x" * len(TOKEN)
    times = {near: [], far: []}
    for _ in range(50):
        for token in times:
            start = time.perf_counter()
            assert server.rest("/metrics", headers=attacks.bearer(token))[0] == 401
            times[token].append(time.perf_counter() - start)
    assert min(times[near]) < 3 * min(times[far])
    with server.channel() as channel, pytest.raises(grpc.RpcError):
        status(channel, near)
