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

h11 = needs.package("h11", "test")

SEED = int(os.environ.get("FUZZ_SEED", "1"))

# Why we refuse what h11 takes: our words, and whose rule it is.
STRICTER = (
    ("Invalid method encountered", "llhttp has a list of methods; RFC 9110, 9.1 lets it"),
    ("CONNECT: this is no proxy", "RFC 9110, 9.3.6"),
    ("its target isn't a path", "RFC 9112, 3.2: four forms"),
    ("a fragment in its target", "RFC 9112, 3.2: no form has one"),
    ("Invalid characters in url", "RFC 3986, 2: h11 takes any printable byte"),
    ("Unexpected (space|start|char)", "llhttp's parser of targets"),
    ("Host isn't one", "RFC 9112, 3.2: an invalid Host is 400"),
    ("is not spoken here", "RFC 9110, 15.6.6; h11 leaves versions to its user"),
    ("Invalid HTTP version", "the same"),
    ("Expect: only 100-continue", "RFC 9110, 10.1.1"),
    ("more than one authorization", "RFC 9110, 5.3: it isn't a list"),
    ("Content-Length can't be present", "RFC 9112, 6.3: both may be a smuggler's"),
    ("Transfer-Encoding can't be present", "the same"),
    ("Content-Length", "RFC 9112, 6.3: repeated values may be refused"),
    ("Invalid character in Content-Length", "the same, as a list"),
    ("HTTP/1.0 has no Transfer-Encoding", "RFC 9112, 6.1: faulty framing"),
    ("Transfer-Encoding", "RFC 9112, 6.1: what isn't chunked at the end, or in doubt"),
    ("Missing expected (CR|LF)", "RFC 9112, 2.2: a bare LF may be taken, and needn't"),
    ("Invalid header (value|token|field)", "RFC 9112, 5.2 and 9110, 5.5: folding and controls"),
    ("Unexpected whitespace after header value", "RFC 9112, 5.2: folding"),
    ("Invalid (line|header) folding", "the same"),
    ("Expected (LF|CR|CRLF|HTTP)", "RFC 9112, 2.2"),
    ("Invalid character in chunk", "RFC 9112, 7.1.1: whitespace and what extensions may hold"),
    ("chunk", "the same"),
    ("Data after `Connection: close`", "RFC 9112, 9.6: nothing is read after it"),
    ("Pause on CONNECT/Upgrade|HTTP/2 Connection Preface", "RFC 9113, 3.4"),
)
# Why we take what h11 refuses: h11's words, and whose rule it is.
LAXER: tuple[tuple[str, str], ...] = ()


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
                    answer = h11.Response(status_code=200, headers=[("Content-Length", "0")])
                    connection.send(answer)
                    connection.send(h11.EndOfMessage())
                    if connection.our_state is not h11.DONE:
                        return requests, ""
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


def without_upgrade(found):
    """The header that we leave out as if it hadn't been sent; h11 only tells of it."""
    requests, reason = found
    return [
        (method, target, {k: v for k, v in headers.items() if k != "upgrade"}, body)
        for method, target, headers, body in requests
    ], reason


def difference(pieces):
    """Returns what isn't explained; None where all is."""
    mine, why = without_upgrade(ours(pieces))
    other, other_why = without_upgrade(theirs(pieces))
    same = min(len(mine), len(other))
    if mine[:same] != other[:same]:
        return f"different requests: {mine[:same]} {other[:same]}"
    if len(mine) < len(other):
        if not why:
            return f"we wait, h11 has {other[same:]}"
        if not any(re.search(pattern, why) for pattern, _ in STRICTER):
            return f"we refuse what h11 takes: {why}"
    if len(mine) > len(other) and not any(re.search(p, other_why) for p, _ in LAXER):
        return f"h11 refuses what we take: {other_why or 'it waits'}: {mine[same:]}"
    return None


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(2_000_000, marks=[pytest.mark.long, pytest.mark.timeout(14400)])]
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
        assert (requests, bool(why)) == (lambda a: (a[0], bool(a[1])))(ours(pieces))
        accepted += len(requests)
        refused += bool(why)
    print(f"{count} connections: {accepted} requests accepted, {refused} connections refused")
    assert accepted > count / 10 < refused


CASES = (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",)


@pytest.mark.parametrize("data", CASES)
def test_what_differed_once(data):
    for size in (1, 2, 3, len(data)):
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert difference(pieces) is None
