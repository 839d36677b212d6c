"""Small bodies that inflate to large ones."""

import gzip
import struct
import time
import zlib

import numpy as np
import pytest

from tests.support import attacks
from tests.support.attacks import PREDICT
from tests.support.h2_peer import H2Peer
from wire import services, tensors
from wire import serving_pb2 as pb

GIB = 2**30
PATH = services.PREDICTION_METHODS["Predict"].path


@pytest.fixture(scope="module")
def bomb():
    """2 GiB of zeros in 2 MB."""
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(2**24)
    return b"".join(packer.compress(zeros) for _ in range(2 * GIB // len(zeros))) + packer.flush()


@pytest.mark.slow
def test_a_bomb_without_the_token_is_not_touched(server, bomb):
    with attacks.attack(server, growth=32 * 2**20):
        for headers in ({}, attacks.bearer("wrong")):
            with attacks.connect(server) as peer:
                start = time.monotonic()
                peer.sendall(attacks.post(PREDICT, {"Content-Encoding": "gzip", **headers}, bomb))
                assert attacks.answer(peer).startswith(b"HTTP/1.1 401 ")
                assert time.monotonic() - start < 10


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate"])
def test_a_bomb_with_the_token_stops_at_the_limit(server, bomb, coding):
    headers = {"Content-Encoding": coding, **attacks.bearer()}
    with attacks.attack(server):
        status, _, body = server.rest(PREDICT, bomb, headers=headers)
        assert status == 429, body
        assert b"inflates to over 134217728 bytes" in body
        status, _, body = server.rest(PREDICT, b"x" + bomb, headers=headers)
        assert (status, b"the body is not" in body) == (400, True)


@pytest.mark.slow
def test_many_bombs_at_once_stay_within_the_budget(start, bomb):
    server = start("--max_bytes_under_way=200000000")
    with attacks.attack(server):
        peers = [attacks.connect(server) for _ in range(8)]
        head = {"Content-Encoding": "gzip", **attacks.bearer()}
        for peer in peers:
            peer.sendall(attacks.post(PREDICT, head, bomb))
        for peer in peers:
            assert b" 429 " in peer.recv(65536)[:20]
            peer.close()


def test_what_inflates_to_the_limit_is_parsed(server):
    spaces = b" " * (100 * 2**20)
    body = gzip.compress(b'{"inputs": [[1, 1, 1, 1]]' + spaces + b"}", 1)
    headers = {"Content-Encoding": "gzip", **attacks.bearer()}
    with attacks.attack(server):
        status, _, answer = server.rest(PREDICT, body, headers=headers)
        assert (status, b"outputs" in answer) == (200, True)


def grpc_body(message, flag=1):
    return struct.pack(">BI", flag, len(message)) + message


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, "wrong", attacks.TOKEN])
def test_a_bomb_by_grpc(server, bomb, token):
    with attacks.attack(server), H2Peer(server.grpc_port, timeout_s=60) as peer:
        found = send(peer, bomb, token)
        assert found["grpc-status"] == ("8" if token == attacks.TOKEN else "16")


def test_a_message_within_a_bomb_by_grpc_is_an_answer(server):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
    request.inputs["inputs"].CopyFrom(tensors.from_array(np.ones((1, 4), np.float32)))
    message = gzip.compress(request.SerializeToString())
    with attacks.attack(server), H2Peer(server.grpc_port) as peer:
        assert send(peer, message, attacks.TOKEN)["grpc-status"] == "0"


def send(peer, message, token):
    """Calls Predict with a gzipped message; returns what the answer's headers are."""
    number = peer.connection.get_next_available_stream_id()
    peer.connection.send_headers(number, [
        (":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "me"),
        ("te", "trailers"), ("content-type", "application/grpc"), ("grpc-encoding", "gzip"),
        *attacks.metadata(token),
    ])  # fmt: skip
    left = memoryview(grpc_body(message))
    while left and number not in peer.answers and not peer.is_over:
        peer.flush()
        room = min(peer.connection.local_flow_control_window(number), 16384, len(left))
        if room <= 0:
            peer.receive()
            continue
        peer.connection.send_data(number, bytes(left[:room]), end_stream=room == len(left))
        left = left[room:]
    peer.flush()
    return peer.answer(number)
