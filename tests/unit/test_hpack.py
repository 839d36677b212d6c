"""Our HPACK decoder against the hpack package's, block by block, and what heads are remembered."""

import random

import hpack
import pytest
from hpack.hpack import encode_integer

from server.protocol.http2.frames import ErrorCode, Http2Error, StreamError
from server.protocol.http2.head import HeadReader
from server.protocol.http2.hpack import Decoder, encode

MAX_BYTES = 2**16
NAMES = (b":path", b":method", b"te", b"grpc-timeout", b"x", b"y" * 40, b"cookie", b"")
VALUES = (b"", b"/", b"POST", b"trailers", b"1S", b"v" * 100, b"w" * 2000, b"z" * 4090)
# Where the two differ, and why ours is right.
DIFFERENCES = {
    "an integer of too many bytes": "RFC 7541, 5.1: such encodings MUST be treated as errors; the "
    "package reads integers of any length",
}


HUFFMAN = hpack.hpack.Encoder().huffman_coder


def text(choice, content, huffman):
    if len(content) < 200 and choice.random() < huffman:
        content = HUFFMAN.encode(content)
        size = encode_integer(len(content), 7)
        size[0] |= 0x80
    else:
        size = encode_integer(len(content), 7)
    return bytes(size) + content


def field(choice):
    """Bytes of one field, in any of HPACK's forms, right most of the time."""
    kind = choice.random()
    if kind < 0.4:
        index = choice.choice(
            (choice.randint(1, 61), choice.randint(62, 70), choice.randint(0, 200))
        )
        found = encode_integer(index, 7)
        found[0] |= 0x80
        return bytes(found)
    mask, bits = choice.choice(((0x40, 6), (0x00, 4), (0x10, 4)))
    index = choice.choice((0, 0, choice.randint(1, 61), choice.randint(62, 66)))
    found = encode_integer(index, bits)
    found[0] |= mask
    name = b"" if index else text(choice, choice.choice(NAMES), 0.3)
    value = choice.choices(VALUES, (9, 9, 9, 9, 9, 9, 2, 1))[0]
    return bytes(found) + name + text(choice, value, 0.3)


def block(choice):
    found = bytearray()
    if choice.random() < 0.1:
        for _ in range(choice.randint(1, 2)):
            size = encode_integer(choice.choice((0, 50, 100, 1000, 4096, 4097)), 5)
            size[0] |= 0x20
            found += size
    for _ in range(choice.randint(0, 6)):
        found += field(choice)
    if choice.random() < 0.2:
        for _ in range(choice.randint(1, 3)):
            at = choice.randrange(len(found) + 1)
            if choice.random() < 0.5:
                del found[at:]
            else:
                found[at : at + 1] = bytes([choice.randrange(256)])
    return bytes(found)


def both(ours, theirs, data):
    """Returns what the two make of a block: fields, or None for an error."""
    try:
        expected = [tuple(pair) for pair in theirs.decode(data, raw=True)]
    except hpack.OversizedHeaderListError:
        expected = "large"
    except hpack.HPACKError:
        expected = None
    try:
        found = ours.decode(data)
    except Http2Error as error:
        if str(error) in DIFFERENCES:
            return None, None
        found = "large" if error.code is ErrorCode.ENHANCE_YOUR_CALM else None
    return found, expected


def compare(seed, blocks):
    choice = random.Random(seed)
    ours = theirs = None
    errors = 0
    for number in range(blocks):
        if ours is None:
            ours, theirs = Decoder(MAX_BYTES), hpack.Decoder(MAX_BYTES)
        data = block(choice)
        found, expected = both(ours, theirs, data)
        assert found == expected, f"seed {seed}, block {number}: {data.hex()}"
        if not isinstance(found, list):
            ours, errors = None, errors + 1  # the table is of no more use
    return errors


def test_random_blocks_mean_the_same():
    errors = compare(1, 8_000)
    assert 500 < errors < 6_000  # both kinds were there


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_million_random_blocks_mean_the_same():
    for seed in range(2, 22):
        compare(seed, 50_000)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",  # index 0
        b"\xff\x80\x80\x80\x80\x80\x01",  # an integer without end
        b"\xff",  # cut off
        b"\x40\x01a",  # without a value
        b"\x40\x05a\x01b",  # a name longer than the block
        b"\x00\x81\xff\x01b",  # Huffman's end of string
        b"\x00\x81\x18\x01b",  # padding that isn't all ones
        b"\x82\x20",  # a size after a field
        b"\x3f\xe2\x1f",  # a size over 4096
        b"\xbe",  # beyond the table
    ],
)
def test_damaged_blocks_are_told_from_others(data):
    with pytest.raises(Http2Error) as error:
        Decoder(MAX_BYTES).decode(data)
    assert error.value.code is ErrorCode.COMPRESSION_ERROR


def test_many_short_literals_take_no_time_to_speak_of():
    data = b"\x00\x01a\x01b" * 30_000  # the hpack package: ten seconds
    assert len(Decoder(2**20).decode(data)) == 30_000


def test_a_large_list_is_refused_before_it_is_made():
    data = b"\x40\x01a\x7f\xb9\x16" + b"v" * 3000 + b"\xbe" * 1000
    with pytest.raises(Http2Error, match="too large"):
        Decoder(MAX_BYTES).decode(data)


def heads(seed, requests):
    """Compares what a memory says with what a fresh decoder makes of the same blocks in order."""
    choice = random.Random(seed)
    encoder, reader, theirs = hpack.Encoder(), HeadReader(MAX_BYTES), hpack.Decoder(MAX_BYTES)
    fixed = [(":method", "POST"), (":scheme", "http"), (":path", "/x")]
    seen, again = set(), 0
    for _ in range(requests):
        if choice.random() < 0.05:
            encoder.header_table_size = choice.choice((0, 64, 200, 4096))
        values = [f"token-{choice.randrange(4)}" * choice.choice((1, 9)) for _ in range(2)]
        more = [("authorization", values[0]), ("x", values[1])][: choice.randrange(3)]
        data = encoder.encode(fixed + more, huffman=choice.random() < 0.5)
        if choice.random() < 0.3:  # as clients whose table is full at each insertion
            long = "y" * choice.choice((10, 4000))
            data += b"\x40" + encode([("x", long)])[1:]
            encoder.header_table.add(b"x", long.encode())
        expected = [tuple(pair) for pair in theirs.decode(data, raw=True)]
        head = reader.head(data)
        assert head.fields == expected[3:], f"seed {seed}"
        again += data in seen
        seen.add(data)
        if choice.random() < 0.1:  # trailers change the table, too
            trailer = encoder.encode([("trailer", str(choice.randrange(50)))])
            theirs.decode(trailer, raw=True)
            reader.fields(trailer)
    return again


def test_a_remembered_head_is_what_its_block_means_now():
    assert sum(heads(seed, 300) for seed in range(30)) > 100


@pytest.mark.long
def test_a_remembered_head_is_what_its_block_means_now_at_length():
    for seed in range(30, 1030):
        heads(seed, 300)


def test_an_entry_that_takes_the_place_of_another_is_seen():
    # Each insertion evicts the one before: the table always has one entry, and the same block
    # means another token each time.
    reader, block = HeadReader(MAX_BYTES), b"\x83\x86\x84\xbe"
    for number in range(100):
        token = b"%04d" % number * 1000
        size = encode_integer(len(token), 7)
        reader.fields(b"\x40\x0dauthorization" + bytes(size) + token)
        for _ in range(2):
            assert reader.head(block).get(b"authorization") == token


def test_memory_of_heads_is_bounded():
    reader = HeadReader(2**20)
    for number in range(1000):
        reader.head(encode([(":method", "POST"), (":scheme", "http"), (":path", f"/{number}")]))
    assert reader._known_bytes <= 16 * 1024
    reader.head(b"\x83\x86\x84" + encode([("x", "y" * 60_000)]))
    assert reader._known_bytes <= 16 * 1024


def test_a_malformed_head_is_malformed_each_time():
    reader = HeadReader(MAX_BYTES)
    for _ in range(3):
        with pytest.raises(StreamError):
            reader.head(b"\x83\x86")
