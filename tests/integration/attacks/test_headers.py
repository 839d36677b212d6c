"""Headers that never end, by both protocols."""

import socket

import pytest

from tests.support import attacks
from tests.support.h2_peer import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
)

HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a target": (b"GET /", b"x"),
    "a method": (b"", b"G"),
    "a name": (HEAD, b"x"),
    "a value": (HEAD + b"X: ", b"x"),
    "spaces before a value": (HEAD + b"X:", b" "),
    "many": (HEAD, b"A: b\r\n"),
    "many of one byte": (HEAD, b"A:\r\n"),
    "many of one name": (HEAD, b"Cookie: b\r\n"),
    "empty lines": (b"", b"\r\n"),
    "a chunk's extension": (CHUNKED + b"1;", b"x"),
    "a chunk's size": (CHUNKED, b"0"),
    "chunks' extensions": (CHUNKED, b"1;" + b"x" * 1000 + b"\r\na\r\n"),
    "a trailer": (CHUNKED + b"0\r\nX: ", b"x"),
    "trailers": (CHUNKED + b"0\r\n", b"A: b\r\n"),
    "a folded value": (HEAD + b"X: a\r\n", b" b\r\n"),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_endless_headers_of_http_are_refused(server, what, transport):
    start, part = ENDLESS[what]
    piece = part * (65536 // len(part))
    with attacks.attack(server, growth=64 * 2**20):
        with attacks.connect(server) as peer:
            peer.sendall(start)
            sent = attacks.send_until_closed(peer, piece, 1600)
            # Neither of these holds memory: the connection's begin, and the body, have their time.
            takes_all = ("empty lines", "chunks' extensions" if transport == "library" else "")
            if what not in takes_all:
                assert sent < 1600, "100 MiB were taken"
        peers = [attacks.connect(server) for _ in range(100)]
        for peer in peers:
            peer.sendall(start + piece[:60_000])
        for peer in peers:
            peer.close()


def test_heads_that_wait_for_an_answer_are_bounded(server):
    """Pipelined requests of the most headers, on connections whose answers nobody reads."""
    one = HEAD + b"A: b\r\n" * 250 + b"\r\n"
    with attacks.attack(server):
        peers = [attacks.connect(server, receive_bytes=4096) for _ in range(200)]
        for peer in peers:
            peer.setblocking(False)
            for _ in range(100):
                try:
                    peer.send(one * 100)
                except OSError:
                    break
        for peer in peers:
            peer.close()


def open_h2(server):
    peer = socket.create_connection(("127.0.0.1", server.grpc_port), timeout=30)
    peer.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return peer


LITERAL = b"\x00\x01a\x7f\x80\x80\x04" + b"v" * 65663  # a: 65,663 bytes


@pytest.mark.parametrize("payload", [b"", b"\x00\x01a\x01b" * 3000, LITERAL[:16384]])
@pytest.mark.parametrize("opening", [b"", b"\x83"])
def test_endless_continuation_is_refused(server, payload, opening):
    with attacks.attack(server, growth=64 * 2**20):
        with open_h2(server) as peer:
            peer.sendall(frame(HEADERS, END_STREAM, 1, opening))
            piece = frame(CONTINUATION, 0, 1, payload)
            assert attacks.send_until_closed(peer, piece * max(65536 // len(piece), 1), 1600) < 1600


def test_a_header_block_that_unpacks_to_much_is_refused(server):
    """An entry of 4,000 bytes, then thousands of indices of one byte to it."""
    entry = b"\x40\x01a\x7f\xa1\x1e" + b"v" * 4000
    with attacks.attack(server, growth=64 * 2**20):
        for _ in range(5):
            with open_h2(server) as peer:
                block = entry + b"\xbe" * 12_000
                peer.sendall(frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
                for stream in range(3, 300, 2):
                    try:
                        peer.sendall(frame(HEADERS, END_STREAM | END_HEADERS, stream,
                                           b"\xbe" * 16_000))  # fmt: skip
                    except OSError:
                        break


def test_headers_that_never_come_to_their_end_are_timed_out(start):
    """A byte now and then is no way to keep a connection."""
    server = start()
    with attacks.attack(server), attacks.connect(server) as peer:
        peer.settimeout(1)
        peer.sendall(HEAD)
        for _ in range(30):
            try:
                peer.sendall(b"a")
                found = peer.recv(65536)
            except TimeoutError:
                continue
            assert found.startswith(b"HTTP/1.1 408 ") or not found
            return
        pytest.fail("30 s, and still open")
