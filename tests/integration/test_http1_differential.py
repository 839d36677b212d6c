"""HTTP/1 against h11: requests accepted or refused alike, with the same headers and bodies.

Where the two differ, it is by a rule that is named here. `FUZZ_SEED=7 make test-long` sends others.
"""

import os
import random
import re

import pytest

from server.protocol.http1.reading import RequestReader
from server.protocol.http1.refusals import Refusal
from server.protocol.limits import Limits, Share, Usage
from tests.support import http1_inputs, needs

h11 = needs.package("h11", "library")

SEED = int(os.environ.get("FUZZ_SEED", "1"))

# Why we refuse what h11 takes: our words, and whose rule it is.
STRICTER = {
    "Invalid method encountered": "llhttp has a list of methods; RFC 9110, 9.1 lets it",
    "Expected space after method": "the same",
    "Expected HTTP/2 Connection Preface": "the same, for PRI",
    "CONNECT: this is no proxy": "RFC 9110, 9.3.6",
    "its target isn't a path": "RFC 9112, 3.2: it has one of four forms",
    "a fragment in its target": "the same; no form has one",
    "Invalid characters in url": "RFC 3986, 2: h11 takes any printable byte",
    "Unexpected start char in url": "the same",
    "Unexpected char in url": "the same",
    "Host isn't one": "RFC 9112, 3.2: an invalid Host is 400",
    "is not spoken here": "RFC 9110, 15.6.6; h11 leaves versions to its user",
    "Invalid HTTP version": "the same",
    "Expect: only 100-continue": "RFC 9110, 10.1.1",
    "more than one authorization": "RFC 9110, 5.3: it is no list",
    "Content-Length can't be present": "RFC 9112, 6.1: both may be a smuggler's",
    "Transfer-Encoding can't be present": "the same",
    "Duplicate Content-Length": "RFC 9112, 6.3: the same number again may be refused",
    "Invalid character in Content-Length": "the same, as a list",
    "HTTP/1.0 has no Transfer-Encoding": "RFC 9112, 6.1: its framing is faulty",
    "Invalid `Transfer-Encoding` header value": "llhttp looks at trailers, too",
    "Invalid header value char": "RFC 9110, 5.5: control characters, which h11 takes but for NUL",
    "Invalid header field char": "RFC 9112, 2.2: a bare LF may end a line, and needn't",
    "Missing expected CR after header": "the same",
    "Missing expected LF after header": "the same",
    "Expected CRLF after version": "the same",
    "Unexpected whitespace after header": "RFC 9112, 5.2: folding, which may be refused",
    "Invalid character in chunk extension": "RFC 9112, 7.1.1: what an extension may hold",
    "Invalid character in chunk size": "the same: whitespace after the size",
    "Expected LF after chunk size": "RFC 9112, 2.2: no bare CR",
}
# Why we take what h11 refuses: h11's words, and whose rule it is.
LAXER = {
    r"illegal request line: bytearray\(b'(\\r)*[A-Z]+ +\S+ +HTTP/1.[01]'\)": "RFC 9112, 3: "
    "any spaces; llhttp leaves out bare CRs before a request, too",
    r"illegal request line\Z": "the same",
    "closed after HTTP/1.0": "RFC 9112, C.2.2: keep-alive of HTTP/1.0, which h11 doesn't know",
    "no request line received": "RFC 9112, 2.2: empty lines before a request are left out",
}


class Recorder:
    """What a connection is for a reader."""

    def __init__(self):
        self.requests = []
        self.is_over = False

    def admit(self, request):
        return None

    def expects(self):
        pass

    def completes(self, request, refusal, keep_alive, cost):
        target = request.path + ("?" + request.query if request.query else "")
        self.requests.append((request.method, target, dict(request.headers), bytes(request.body)))
        self.is_over |= not keep_alive


def ours(pieces):
    """Returns the requests that are accepted, and why the rest isn't; empty: it may yet be."""
    recorder = Recorder()
    reader = RequestReader(recorder, Limits(), Share(Usage()))
    try:
        for piece in pieces:
            position = 0
            while position < len(piece) and not recorder.is_over:
                end = reader.stride(piece, position)
                reader.feed(piece[position:end])
                position = end
    except Refusal as refusal:
        if not recorder.is_over:  # of what follows the last request, nothing matters
            return recorder.requests, refusal.response.body.decode()
    return recorder.requests, ""


def theirs(pieces):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    requests, body, head = [], b"", None
    for piece in pieces:
        connection.receive_data(piece)
        try:
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Request):
                    head, body = event, b""
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    requests.append(described(head, body))
                    status = 405 if head.method == b"CONNECT" else 200
                    answer = h11.Response(status_code=status, headers=[("Content-Length", "0")])
                    connection.send(answer)
                    connection.send(h11.EndOfMessage())
                    if connection.our_state is not h11.DONE:
                        return requests, f"closed after HTTP/{head.http_version.decode()}"
                    connection.start_next_cycle()
        except h11.RemoteProtocolError as error:
            return requests, str(error)
    return requests, ""


def described(head, body):
    headers = {}
    for name, value in head.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1").strip(" \t")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    target = head.target.decode("latin-1")
    if match := re.match(r"https?://[^/?]*", target, re.IGNORECASE):  # as RFC 9112, 3.2.2 has it
        target = target[match.end() :]
        target = target if target.startswith("/") else "/" + target
    return head.method.decode(), target.removesuffix("?"), headers, body


def comparable(found):
    """Without Upgrade, which we leave out as if it hadn't been sent; h11 writes codings small."""
    requests, reason = found
    for _, _, headers, _ in requests:
        headers.pop("upgrade", None)
        if coding := headers.get("transfer-encoding"):
            headers["transfer-encoding"] = coding.lower()
    return requests, reason


def difference(pieces):
    """Returns what isn't explained; None where all is."""
    mine, why = comparable(ours(pieces))
    other, other_why = comparable(theirs(pieces))
    same = min(len(mine), len(other))
    if mine[:same] != other[:same]:
        return f"different requests: {mine[:same]} {other[:same]}"
    if len(mine) < len(other):
        if not why and other[same][0] != "PRI":  # after which the rest of a preface is waited for
            return f"we wait, h11 has {other[same:]}"
        if why and not any(text in why for text in STRICTER):
            return f"we refuse what h11 takes: {why}"
    if len(mine) > len(other) and not any(re.match(text, other_why) for text in LAXER):
        return f"h11 refuses what we take: {other_why or 'it waits'}: {mine[same:]}"
    return None


@pytest.mark.parametrize(
    "count", [5_000, pytest.param(2_000_000, marks=[pytest.mark.long, pytest.mark.timeout(14400)])]
)
def test_requests_are_read_as_h11_reads_them(count):
    choice = random.Random(SEED)
    accepted = refused = 0
    for n in range(count):
        data = http1_inputs.stream(choice)
        if choice.random() < 0.7:
            data = http1_inputs.mutated(choice, data)
        pieces = http1_inputs.cut(choice, data)
        problem = difference(pieces)
        assert problem is None, f"{problem}\n{n}: {pieces}"
        requests, why = ours([data])
        in_pieces, why_in_pieces = ours(pieces)
        assert (requests, bool(why)) == (in_pieces, bool(why_in_pieces)), pieces
        accepted += len(requests)
        refused += bool(why)
    print(f"{count} connections: {accepted} requests accepted, {refused} connections refused")
    assert accepted > count / 10 < refused


CASES = (
    b"GET / HTTP/1.1\r\nA:b\r\nA:\r\nHost: a\r\n\r\n",  # a list that ends with an empty value
    b"PUT / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nContent-Length: 1\r\n\r\n\nGET /",
)


@pytest.mark.parametrize("data", CASES)
def test_what_differed_once(data):
    for size in (1, 2, 3, len(data)):
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert difference(pieces) is None
