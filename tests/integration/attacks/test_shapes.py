"""Shapes and documents that say much more, or something else, than they hold."""

import json

import numpy as np
import pytest

from tests.support import attacks
from tests.support.attacks import PREDICT
from wire import services, tensors
from wire import serving_pb2 as pb

PREDICT_METHOD = services.PREDICTION_METHODS["Predict"]
MANY = 100_000_000
MEGABYTE = 10**6
ONE = [np.ones(1, np.float32).tobytes()]  # the field as it is on the wire, packed


def tensor(shape, dtype=1, **content):
    found = pb.TensorProto(dtype=dtype, **content)
    for size in shape:
        found.tensor_shape.dim.add(size=size)
    return found


SHAPES = {
    "no columns": tensor([MANY, 0]),
    "no columns, more": tensor([2**62, 0]),
    "no columns, by content": tensor([MANY, 0], tensor_content=b""),
    "no rows": tensor([0, 2**40]),
    "one value for all": tensor([MANY, 4], float_val=ONE),
    "no value at all": tensor([MANY, 4]),
    "over int64": tensor([2**40, 2**40], float_val=ONE),
    "below zero": tensor([-1, 4], float_val=ONE),
    "below zero, twice": tensor([-5, -4], float_val=ONE),
    "many dimensions": tensor([1] * 100_000, float_val=ONE),
    "strings": tensor([MANY, 4], dtype=7, string_val=[b""]),
    "little content": tensor([MANY, 4], tensor_content=b"\0" * 16),
}


@pytest.mark.parametrize("name", SHAPES)
def test_wrong_shapes_by_grpc(server, name):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
    request.inputs["inputs"].CopyFrom(SHAPES[name])
    with attacks.attack(server), server.channel() as channel:
        stub = PREDICT_METHOD.stub(channel)
        for _ in range(3):
            code = attacks.code(lambda: stub(request, timeout=30, metadata=attacks.metadata()))
            assert code in ("INVALID_ARGUMENT", "OK", "INTERNAL"), code
            assert code != "OK" or name == "no rows"


def entry(content):
    return b"\x12" + sized(b"\x0a\x06inputs\x12" + sized(content))


def sized(content):
    size, prefix = len(content), bytearray()
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(prefix) + bytes([size]) + content


# Messages of PredictRequest without its ModelSpec, made of ever so many fields.
MESSAGES = {
    "numbers one by one": lambda size: entry(b"\x38\x01" * (size // 2)),
    "floats one by one": lambda size: entry(b"\x2d\0\0\x80\x3f" * (size // 5)),
    "strings": lambda size: entry(b"\x42\0" * (size // 2)),
    "dimensions": lambda size: entry(b"\x12" + sized(b"\x12\x00" * (size // 2))),
    "filters": lambda size: b"\x1a\0" * (size // 2),
    "inputs": lambda size: b"\x12\x03\x0a\x01a" * (size // 5),
    "unknown": lambda size: b"\x78\x00" * (size // 2),
    "groups": lambda size: b"\x7b\x7c" * (size // 2),
    "a group": lambda size: b"\x7b" + b"\x78\x00" * (size // 2) + b"\x7c",
    "cut off": lambda size: entry(b"\x38\x01" * (size // 2))[:-1],
}


@pytest.mark.slow
def test_messages_of_many_fields(server):
    spec = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled")).SerializeToString()
    with attacks.attack(server) as watch, server.channel() as channel:
        call = channel.unary_unary(PREDICT_METHOD.path)

        def send(data):
            return attacks.code(lambda: call(data, timeout=60, metadata=attacks.metadata()))

        for name, message in MESSAGES.items():
            watch.worst_s, before = 0.0, watch.worst_s
            code = send(spec + message(MEGABYTE))
            print(f"{name}: {code}, /healthz {watch.worst_s * 1e3:.0f} ms")
            watch.worst_s = max(watch.worst_s, before)
            assert code in ("INVALID_ARGUMENT", "INTERNAL"), (name, code)


DOCUMENTS = {
    "empty rows": lambda size: b'{"inputs": [' + b"[]," * (size // 3) + b"[]]}",
    "numbers without rows": lambda size: b'{"inputs": [' + b"1," * (size // 2) + b"1]}",
    "one long row": lambda size: b'{"instances": [[' + b"1," * (size // 2) + b"1]]}",
    "ragged rows": lambda size: b'{"instances": [' + b"[1,2],[1]," * (size // 10) + b"[1]]}",
    "deep": lambda size: b'{"inputs": ' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
    "objects": lambda size: b'{"instances": [' + b"{}," * (size // 3) + b"{}]}",
    "strings": lambda size: b'{"inputs": [' + b'"a",' * (size // 4) + b'"a"]}',
    "one string": lambda size: b'{"inputs": "' + b"a" * size + b'"}',
    "one number": lambda size: b'{"inputs": [[' + b"1" * size + b"]]}",
    "nulls": lambda size: b'{"inputs": [' + b"null," * (size // 5) + b"null]}",
    "keys": lambda size: b"{" + b",".join(b'"%d": 1' % n for n in range(size // 12)) + b"}",
    "the same key": lambda size: b"{" + b'"inputs": 1,' * (size // 12) + b'"inputs": 1}',
    "not JSON": lambda size: b"\xff" * size,
    "cut off": lambda size: b'{"inputs": [' + b"[1,1,1,1]," * (size // 10),
    "spaces": lambda size: b" " * size,
    "no floats": lambda size: b'{"inputs": [' + b"[1e999,1,1,1]," * (size // 14) + b"1]}",
    "NaN": lambda size: b'{"inputs": [' + b"[NaN,NaN,1,Inf]," * (size // 16) + b"[1]]}",
}
MEGABYTE = 10**6
LONGEST = pytest.param(100 * MEGABYTE, marks=pytest.mark.long)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", [MEGABYTE, LONGEST])
def test_documents_of_wrong_shapes(server, size):
    with attacks.attack(server) as watch:
        for name, document in DOCUMENTS.items():
            body = document(size)
            before = watch.mark()
            status, _, answer = server.rest(PREDICT, body, headers=attacks.bearer())
            took = attacks.status(server, "VmHWM") - before
            print(
                f"{name}: {status} {answer[:60]!r}, /healthz {watch.worst_s * 1e3:.0f} ms, "
                f"{took >> 20} MiB"
            )
            assert status == 400, (name, answer[:200])
            assert len(answer) < 100_000


@pytest.mark.slow
def test_a_right_document_of_many_rows_is_an_answer(server):
    """What is large but right goes on working, by both faces."""
    values = np.ones((50_000, 4), np.float32)
    body = json.dumps({"inputs": values.tolist()}).encode()
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
    request.inputs["inputs"].CopyFrom(tensors.from_array(values))
    with attacks.attack(server), server.channel() as channel:
        assert server.rest(PREDICT, body, headers=attacks.bearer())[0] == 200
        stub = PREDICT_METHOD.stub(channel)
        answer = stub(request, timeout=60, metadata=attacks.metadata())
        assert len(answer.outputs) == 1
