"""HTTP/1 as clients send it, as nobody should, and cut anywhere."""

METHODS = (b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE")
TARGETS = (
    b"/",
    b"/x?y=z",
    b"/v1/models/m:predict",
    b"*",
    b"http://a/b",
    b"/%2e%2e/",
    b"/a#b",
    b"a",
)
HEADERS = (
    b"Host: a", b"Host: a", b"Host: a", b"Host: a:80", b"Host:", b"host:\ta ", b"Host: [::1]:8501",
    b"A: b", b"A:b", b"A:  b\t", b"A:", b"Accept: x, y", b"Accept: z", b"Connection: close",
    b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: h2c", b"TE: trailers",
    b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: 5", b"Content-Length: 05",
    b"Content-Length: +3", b"Content-Length: 3, 3", b"Content-Length: 0x3", b"Content-Length:",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding:\x0bchunked", b"Authorization: Bearer t", b"Expect: 100-continue",
    b"Expect: x", b"X\xe9: y", b"X: \xe9\xff", b"X: a\tb", b"X: \x01", b"X: \x7f", b"X y: z",
    b"X : y", b" folded", b"\tfolded", b": none", b"X", b'Cookie: a="b"; c',
    b"Transfer-Encoding : chunked",
)  # fmt: skip
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\r\n\r\n", b"0\r\n\r\n", b";", b",", b"\x80",
    b"HTTP/1.1", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"GET / HTTP/1.1\r\n",
    b"ffffffffffffffff", b"-1", b"\x0b", b"\x0c", b"\xa0", b"Host: b\r\n", b"3\r\nabc\r\n", b"#",
)  # fmt: skip


def stream(choice):
    """Returns what one connection sends: some requests, mostly right."""
    return b"".join(request(choice) for _ in range(choice.choice((1, 1, 2, 3))))


def request(choice):
    method, version = choice.choice(METHODS), b"1.1"
    if choice.random() < 0.1:
        method = choice.choice((b"get", b"FOO", b"CONNECT", b"TRACE", b"P\xd6ST", b"PRI"))
    if choice.random() < 0.1:
        version = choice.choice((b"1.0", b"1.0", b"0.9", b"1.2", b"2.0", b"1.10", b"1", b"x"))
    target = choice.choice(TARGETS) if choice.random() < 0.3 else b"/x"
    headers = [b"Host: a"]
    if choice.random() < 0.5:
        headers = [choice.choice(HEADERS) for _ in range(choice.randrange(4))]
        if choice.random() < 0.7:
            headers.insert(choice.randrange(len(headers) + 1), b"Host: a")
    body = b""
    if method in (b"POST", b"PUT") or choice.random() < 0.3:
        content = bytes(choice.choice(b"ab\r\n0 :") for _ in range(choice.choice((0, 1, 3, 40))))
        if choice.random() < 0.5:
            headers.append(b"Content-Length: %d" % len(content))
            body = content
        else:
            headers.append(b"Transfer-Encoding: chunked")
            body = chunked(choice, content)
    lines = [b"%s %s HTTP/%s" % (method, target, version), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(choice, content):
    pieces = []
    while content:
        size = choice.randint(1, len(content))
        extension = choice.choice(
            (b"", b"", b"", b";a", b";a=b", b';a="b"', b" ;a", b"; a = b", b" ")
        )
        digits = choice.choice((b"%x", b"%X", b"0%x")) % size
        pieces.append(digits + extension + b"\r\n" + content[:size] + b"\r\n")
        content = content[size:]
    end = choice.choice((b"", b"", b"A: b\r\n", b"Authorization: Bearer t\r\nHost: b\r\n", b";e"))
    if end == b";e":
        return b"".join(pieces) + b"0;e\r\n\r\n"
    return b"".join(pieces) + b"0\r\n" + end + b"\r\n"


def mutated(choice, data):
    """Returns data with a few changes."""
    found = bytearray(data)
    for _ in range(choice.randint(1, 3)):
        at, kind = choice.randrange(len(found) + 1), choice.randrange(5)
        if kind == 0:
            found[at:at] = choice.choice(TOKENS)
        elif kind == 1:
            del found[at : at + choice.choice((1, 1, 2, 8))]
        elif kind == 2 and at < len(found):
            found[at] = choice.randrange(256)
        elif kind == 3:
            end = choice.randrange(len(found) + 1)
            found[at:at] = found[min(at, end) : max(at, end)][:50]
        elif at < len(found):
            found[at : at + 1] = choice.choice(TOKENS)
    return bytes(found)


def cut(choice, data):
    """Returns data in pieces."""
    count = choice.choice((0, 0, 1, 2, 5, len(data)))
    places = sorted(choice.randrange(len(data) + 1) for _ in range(count)) if data else []
    pieces = (data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True))
    return [piece for piece in pieces if piece]
