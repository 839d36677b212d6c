"""Each data type at the ends of its range, empty and in any rank, in each form."""

import ml_dtypes
import numpy as np
import pytest

from tests.support import saved_models
from tests.support.open_inference import Refused, Rest, strings

DTYPES = [name for name in saved_models.DTYPES if not name.startswith("complex")]


def ends(dtype):
    """Returns the values at which a conversion would go wrong."""
    if dtype == "bool":
        return np.array([True, False])
    if dtype == "string":
        return strings([b"", b"text", "ü\u20ac\U0001f600".encode(), b'"\\\n', b"x" * 70_000])
    if "int" in dtype:
        info = np.iinfo(dtype)
        return np.array([info.min, info.min + 1, 0, 1, info.max - 1, info.max], dtype)
    dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    info = ml_dtypes.finfo(dtype)
    values = [info.max, info.min, info.tiny, info.smallest_subnormal, info.eps, -0.0, 1 / 3]
    return np.array([*values, np.inf, -np.inf, np.nan], dtype)


def same(actual, expected):
    """Whether arrays are the same to the bit, but for which NaN it is."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if expected.dtype == object:
        return actual.tolist() == expected.tolist()
    kept = ~np.isnan(expected.astype(np.float64)) if expected.dtype.kind in "fV" else ...
    return actual[kept].tobytes() == expected[kept].tobytes() and (
        expected.dtype.kind not in "fV" or np.isnan(actual.astype(np.float64)[~kept]).all()
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends_of_the_range(form, dtype):
    x = ends(dtype)
    assert same(form.infer("every_dtype", {"x": x}, signature=dtype)["y"], x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (3, 0, 2), (2, 1, 3)])
def test_any_shape(form, dtype, shape):
    x = saved_models.random(dtype, shape)
    assert same(form.infer("every_dtype", {"x": x}, signature=dtype)["y"], x)


@pytest.mark.parametrize("value", [b"", b"text", b"zeros\0\0"])
def test_a_scalar_string_keeps_all_bytes(form, value):
    x = strings([value]).reshape(())
    assert form.infer("every_dtype", {"x": x}, signature="string")["y"][()] == value


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_value_too_few_or_too_many(form, dtype):
    x = saved_models.random(dtype, (5,))
    for size in (4, 6, 0, 1 << 20):
        with pytest.raises(Refused) as caught:
            form.infer("every_dtype", {"x": x}, signature=dtype, overrides={"shape": [size]})
        assert caught.value.code == "INVALID_ARGUMENT"
        assert "input x: " in caught.value.message


@pytest.mark.parametrize("dtype", [name for name in DTYPES if "int" in name])
def test_integers_beyond_the_range_are_refused_in_json(server, dtype):
    info = np.iinfo(dtype)
    for value in (info.min - 1, info.max + 1, 0.5, True, "1", None, [1]):
        tensor = {"name": "x", "datatype": dtype.upper(), "shape": [1], "data": [value]}
        head = {"parameters": {"signature_name": dtype}, "inputs": [tensor]}
        with pytest.raises(Refused) as caught:
            Rest(server, binary=False).post("/v2/models/every_dtype/infer", head)
        assert caught.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("dtype", "low", "high"), [("int8", -129, 128), ("uint16", None, 65536)])
def test_integers_beyond_the_range_are_refused_in_typed_fields(channel, dtype, low, high):
    from tests.support.open_inference import Grpc
    from wire import open_inference_pb2 as pb

    for value in filter(None, (low, high)):
        request = pb.ModelInferRequest(model_name="every_dtype")
        request.parameters["signature_name"].string_param = dtype
        tensor = request.inputs.add(name="x", datatype=dtype.upper(), shape=[1])
        field = "uint_contents" if dtype[0] == "u" else "int_contents"
        getattr(tensor.contents, field).append(value)
        with pytest.raises(Refused, match=f"beyond the range of {dtype}"):
            Grpc(channel, is_raw=False).send(request)


def test_complex_numbers_have_no_data_type(server):
    tensor = {"name": "x", "datatype": "DT_COMPLEX64", "shape": [1], "data": [1]}
    head = {"parameters": {"signature_name": "complex64"}, "inputs": [tensor]}
    with pytest.raises(Refused, match="input x is DT_COMPLEX64, which this protocol can't carry"):
        Rest(server, binary=False).post("/v2/models/every_dtype/infer", head)
