"""Peers that read nothing, send slowly, say nothing, or want another protocol."""

import os
import resource
import socket
import struct
import time

import numpy as np
import pytest

from tests.support import attacks
from tests.support.attacks import PREDICT, TOKEN
from tests.support.h2_peer import PREFACE, SETTINGS, H2Peer, frame
from wire import services, tensors
from wire import serving_pb2 as pb

PREDICT_PATH = services.PREDICTION_METHODS["Predict"].path
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def is_closed(peer, patience_s):
    """Whether the server ends a connection in time; what it says before is thrown away."""
    peer.settimeout(patience_s)
    try:
        while peer.recv(2**20):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def rows(count):
    return b'{"inputs": [' + b",".join([b"[1,1,1,1]"] * count) + b"]}"


@pytest.mark.slow
def test_peers_that_ask_for_large_answers_and_read_nothing(server):
    body = rows(400_000)
    with attacks.attack(server):
        peers = [attacks.connect(server, receive_bytes=4096) for _ in range(8)]
        for peer in peers:
            peer.sendall(attacks.post(PREDICT, attacks.bearer(), body))
        time.sleep(3)
        for peer in peers:
            peer.close()


@pytest.mark.slow
def test_peers_that_pipeline_and_read_nothing(server):
    """Small answers, without a token, but endlessly many."""
    with attacks.attack(server):
        peers = [attacks.connect(server, receive_bytes=4096) for _ in range(300)]
        for peer in peers:
            flood(peer, 50)
        time.sleep(5)
        for peer in peers:
            peer.close()


def flood(peer, count):
    """Sends thousands of requests at once, as far as the peer takes them."""
    peer.setblocking(False)
    for _ in range(count):
        try:
            peer.send(GET * 1000)
        except OSError:
            return


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_peers_that_read_nothing_are_ended(server):
    with attacks.attack(server):
        peers = [attacks.connect(server, receive_bytes=4096) for _ in range(2)]
        peers[0].sendall(attacks.post(PREDICT, attacks.bearer(), rows(200_000)))
        flood(peers[1], 1000)
        start = time.monotonic()
        time.sleep(3)
        while any(holds(server, peer) for peer in peers) and time.monotonic() < start + 120:
            time.sleep(0.5)
        print(f"ended after {time.monotonic() - start:.0f} s")
        assert not any(holds(server, peer) for peer in peers)
        for peer in peers:
            peer.close()


def holds(server, peer):
    """Whether the server has the other end of a connection."""
    ours = f":{peer.getsockname()[1]:04X}"
    with open(f"/proc/{server.process.pid}/net/tcp") as file:
        rows = [line.split() for line in file][1:]
    (inode,) = {row[9] for row in rows if row[2].endswith(ours)} or {"0"}
    folder = f"/proc/{server.process.pid}/fd"
    return inode != "0" and any(
        link(f"{folder}/{name}") == f"socket:[{inode}]" for name in os.listdir(folder)
    )


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_streams_whose_answers_are_not_read(server):
    """By gRPC: windows that are never opened again."""
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
    request.inputs["inputs"].CopyFrom(tensors.from_array(np.ones((50_000, 4), np.float32)))
    message = request.SerializeToString()
    with attacks.attack(server):
        peers = [H2Peer(server.grpc_port) for _ in range(8)]
        for peer in peers:
            for _ in range(4):
                number = peer.connection.get_next_available_stream_id()
                peer.connection.send_headers(number, [
                    (":method", "POST"), (":scheme", "http"), (":path", PREDICT_PATH),
                    (":authority", "me"), ("te", "trailers"), ("content-type", "application/grpc"),
                    *attacks.metadata(),
                ])  # fmt: skip
                left = memoryview(struct.pack(">BI", 0, len(message)) + message)
                while left:
                    room = min(peer.connection.local_flow_control_window(number), 16384, len(left))
                    if room <= 0:
                        peer.flush()
                        peer.receive()
                        continue
                    peer.connection.send_data(number, bytes(left[:room]), room == len(left))
                    left = left[room:]
                peer.flush()
        time.sleep(3)
        for peer in peers:
            peer.socket.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_slow_senders(server, count):
    """A byte a second of a head, of a body, of a chunk; of HTTP/2's preface and a frame."""
    heads = [
        GET[:5], GET[:30], attacks.post(PREDICT, attacks.bearer(), length=1000),
        attacks.post(PREDICT, {**attacks.bearer(), "Transfer-Encoding": "chunked"}) + b"ff\r\n",
    ]  # fmt: skip
    with attacks.attack(server):
        peers = []
        for n in range(count):
            peers.append(attacks.connect(server))
            peers[-1].sendall(heads[n % len(heads)])
        for n in range(count // 4):
            peer = socket.create_connection(("127.0.0.1", server.grpc_port), timeout=30)
            peer.sendall((PREFACE + frame(SETTINGS, 0, 0) + b"\0\0")[: 10 if n % 2 else 100])
            peers.append(peer)
        open_ones, start = set(peers), time.monotonic()
        while open_ones and time.monotonic() - start < 120:
            for peer in list(open_ones):
                try:
                    peer.send(b"1")
                    peer.setblocking(False)
                    if not peer.recv(65536):
                        open_ones.discard(peer)
                except BlockingIOError:
                    pass
                except OSError:
                    open_ones.discard(peer)
            time.sleep(1)
        print(f"{count * 5 // 4} slow senders are gone after {time.monotonic() - start:.0f} s")
        assert not open_ones
        for peer in peers:
            peer.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [2000, pytest.param(10_000, marks=pytest.mark.long)])
def test_idle_connections(start, count):
    """More than the server takes: those that wait longest make room, and it goes on answering."""
    most = count * 3 // 4
    allow_files(count + 1000)
    server = start(f"--max_connections={most}")
    with attacks.attack(server):
        peers = []
        for n in range(count):
            port = server.rest_port if n % 2 else server.grpc_port
            peers.append(socket.create_connection(("127.0.0.1", port), timeout=30))
            if n % 2:
                peers[-1].sendall(GET)
            elif n % 4:
                peers[-1].sendall(PREFACE + frame(SETTINGS, 0, 0))
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < most + 200
        time.sleep(1)
        for peer in peers:
            peer.close()


def allow_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


@pytest.mark.slow
def test_connections_that_say_nothing_are_ended(server):
    with attacks.attack(server):
        peers = [attacks.connect(server) for _ in range(50)]
        peers += [socket.create_connection(("127.0.0.1", server.grpc_port)) for _ in range(50)]
        start = time.monotonic()
        assert all(is_closed(peer, 60) for peer in peers)
        print(f"ended after {time.monotonic() - start:.1f} s")


@pytest.mark.parametrize("token", [None, TOKEN])
def test_an_upgrade_to_http2_is_ignored(server, token):
    upgrade = {
        "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA", **attacks.bearer(token),
    }  # fmt: skip
    body = b'{"inputs": [[1, 1, 1, 1]]}'
    smuggled = b"POST /v1/models/scaled:predict HTTP/1.1\r\nHost: a\r\n\r\n"
    with attacks.attack(server):
        for first in (body, smuggled):
            with attacks.connect(server) as peer:
                peer.sendall(attacks.post(PREDICT, upgrade, first))
                peer.sendall(GET.replace(b"Host", b"Connection: close\r\nHost"))
                found = attacks.answer(peer)
                statuses = [int(part[:3]) for part in found.split(b"HTTP/1.1 ")[1:]]
                if token is None:
                    assert statuses == [401]
                else:
                    assert statuses == [200 if first is body else 400, 200]
