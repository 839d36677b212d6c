"""The client's parts that need no server."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from artifact.manifest import Tolerance
from client import digits, json_tensors, latency, samples, signature
from client.deadline import Deadline
from client.endpoint import Endpoint, endpoint
from client.errors import ServingError
from client.model_spec import ModelSpec
from client.retry import Retry
from client.signature import ArraySpec, ServedSignature
from client.verify import Comparison

NUMBERS = ["float16", "float32", "float64", "int8", "int64", "uint64", "uint8", "bool"]


def fresh_modules(code):
    """Returns the top-level modules that a fresh interpreter has after running code."""
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_client_needs_neither_tensorflow_nor_jax():
    loaded = fresh_modules(
        "import asyncio, client, client.check, client.report\n"
        "for api in ('rest', 'grpc'):\n"
        "    client.Client('localhost', 1, api).close()\n"
        "    asyncio.run(client.AsyncClient('localhost', 1, api).close())"
    )
    assert {"numpy", "grpc", "requests"} <= loaded
    assert not loaded & {"tensorflow", "tensorflow_serving", "jax", "jaxlib", "matplotlib"}


@pytest.mark.parametrize("command", ["predict", "load.__main__"])
def test_help_loads_nothing_heavy(command):
    code = f"from client.{command} import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not fresh_modules(code) & {"numpy", "grpc", "requests", "rich", "google"}


def test_public_names_are_found_and_others_are_not():
    import client

    assert all(getattr(client, name).__name__ == name for name in client.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = client.Nothing


@given(
    array=st.sampled_from(NUMBERS).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_side=4))
    )
)
@settings(max_examples=100, deadline=None)
def test_numbers_survive_json(array):
    import json

    spec = ArraySpec((-1,) * array.ndim, array.dtype.name)
    named = json.loads(json_tensors.dumps({"x": array}, signature_name="s"))
    bare = json.loads(json_tensors.dumps(array, signature_name="s"))
    assert named["signature_name"] == bare["signature_name"] == "s"
    for value in (named["inputs"]["x"], bare["inputs"]):
        received = json_tensors.from_json(value, spec)
        assert received.dtype == array.dtype
        np.testing.assert_array_equal(received, array)


@given(values=st.lists(st.binary(max_size=6), min_size=1, max_size=5))
@settings(deadline=None)
def test_bytes_survive_json(values):
    array = np.empty(len(values), object)
    array[:] = values
    for spec in (ArraySpec((-1,), "string"), None):
        received = json_tensors.from_json(json_tensors.to_json(array), spec)
        assert received.tolist() == values


def test_json_without_a_signature_comes_in_its_own_dtypes():
    for value, dtype in (([1, 2], np.int64), ([1.5], np.float64), ([True], bool)):
        assert json_tensors.from_json(value, None).dtype == dtype
    assert json_tensors.from_json([["a"]], None).tolist() == [[b"a"]]


def test_an_empty_answer_keeps_its_axes():
    assert json_tensors.from_json([], ArraySpec((-1, 10), "float32")).shape == (0, 10)


def test_complex_numbers_are_refused_over_rest():
    with pytest.raises(ValueError, match="use gRPC"):
        json_tensors.to_json(np.zeros(1, np.complex64))
    with pytest.raises(ValueError, match="input z: complex64 can't be sent over REST; use gRPC"):
        json_tensors.dumps({"x": np.zeros(1), "z": np.zeros(1, np.complex64)})


def test_only_an_input_that_the_signature_has_alone_goes_without_its_name():
    import json

    from client.rest import predict_body

    known = ServedSignature({"x": ArraySpec((-1,), "float32")}, {}, "")
    for inputs, described, sent in (
        ({"x": [1.5]}, known, [1.5]),
        ({"z": [1.5]}, known, {"z": [1.5]}),
        ({"x": [1.5]}, None, {"x": [1.5]}),
        ({"x": [1.5], "z": [2.5]}, known, {"x": [1.5], "z": [2.5]}),
    ):
        arrays = {name: np.float32(value) for name, value in inputs.items()}
        assert json.loads(predict_body(arrays, "s", described))["inputs"] == sent


def test_inputs_are_named_and_cast_by_the_signature():
    one = ServedSignature({"x": ArraySpec((-1,), "float32")}, {}, "")
    assert one.named_inputs([1, 2])["x"].dtype == np.float32
    assert one.named_inputs(np.array([1.5]))["x"].dtype == np.float32
    assert one.named_inputs({"z": np.array([1.5])})["z"].dtype == np.float64
    assert one.named_inputs(np.array([1j]))["x"].dtype == np.complex128
    two = ServedSignature({n: ArraySpec((-1,), "uint8") for n in "ab"}, {}, "")
    with pytest.raises(ValueError, match=r"2 inputs \(a, b\); give a dictionary"):
        two.named_inputs([1])
    with pytest.raises(ValueError, match="input a: Python integer 256 out of bounds"):
        two.named_inputs({"a": [256]})


def test_bytes_in_lists_keep_their_trailing_nuls():
    text = ServedSignature({"s": ArraySpec((-1,), "string")}, {}, "")
    assert text.named_inputs([b"a\0"])["s"].tolist() == [b"a\0"]


def test_metadata_as_json_and_as_protobuf_agree():
    from wire import serving_pb2 as pb

    info = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "10"}]}}
    unknown = {"dtype": "DT_STRING", "tensor_shape": {"unknown_rank": True}}
    text = {"inputs": {"x": info}, "outputs": {"y": unknown}, "method_name": "m"}
    shape = pb.TensorShapeProto(dim=[{"size": -1}, {"size": 10}])
    proto = pb.SignatureDef(
        inputs={"x": pb.TensorInfo(dtype=1, tensor_shape=shape)},
        outputs={"y": pb.TensorInfo(dtype=7, tensor_shape={"unknown_rank": True})},
        method_name="m",
    )
    found = signature.from_json(text)
    assert found == signature.from_proto(proto)
    assert found.inputs["x"] == ArraySpec((-1, 10), "float32")
    assert found.outputs["y"] == ArraySpec(None, "string")


def test_pauses_grow_and_end():
    pauses = list(Retry(tries=5, first_wait=0.1, longest_wait=0.3).pauses())
    assert len(pauses) == 5
    assert pauses.pop() is None
    for pause, least in zip(pauses, (0.1, 0.2, 0.3, 0.3), strict=True):
        assert least <= pause <= 1.5 * least
    assert list(Retry(tries=1).pauses()) == [None]
    for wrong in ({"tries": 0}, {"first_wait": -1.0}):
        with pytest.raises(ValueError, match="at least"):
            Retry(**wrong)


def test_a_deadline_ends():
    deadline = Deadline(60)
    assert 59 < deadline.left() <= 60
    assert deadline.allows(1)
    assert not deadline.allows(61)
    assert deadline.within(1).left() <= 1
    assert deadline.within(100).left() <= 60
    past = Deadline(1e-9)
    assert past.expired
    with pytest.raises(ServingError, match="DEADLINE_EXCEEDED: no answer from there within 1e-09"):
        past.left("there")
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            Deadline(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"api": "soap"}, "'rest' or 'grpc'"),
        ({"port": 0}, "port is 0"),
        ({"cert_file": "a.pem"}, "belong together"),
    ],
)
def test_an_impossible_endpoint_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Endpoint(**{"host": "localhost", "port": 1, "api": "rest"} | arguments)


def test_addresses():
    assert Endpoint("::1", 8500, "grpc").address == "[::1]:8500"
    assert Endpoint("10.0.0.1", 8501, "rest").address == "10.0.0.1:8501"


@pytest.mark.parametrize(
    ("server", "port", "api", "address", "prefix", "secure"),
    [
        ("h", None, "rest", "h:8501", "", False),
        ("h", None, "grpc", "h:8500", "", False),
        ("http://h", None, "rest", "h:80", "", False),
        ("https://h/eu/models/", None, "rest", "h:443", "/eu/models", True),
        ("https://h:9/eu", None, "rest", "h:9", "/eu", True),
        ("https://[::1]/eu", 7, "rest", "[::1]:7", "/eu", True),
        ("dns:///h", None, "grpc", "dns:///h:8500", "", False),
        ("dns:///h:9", None, "grpc", "dns:///h:9", "", False),
        ("dns://8.8.8.8/h", 9, "grpc", "dns://8.8.8.8/h:9", "", False),
        ("dns:h", None, "grpc", "dns:h:8500", "", False),
        ("dns:///[::1]:9", None, "grpc", "dns:///[::1]:9", "", False),
        ("ipv4:10.0.0.1:8500,10.0.0.2:8500", None, "grpc", None, "", False),
        ("unix:/run/model.sock", None, "grpc", None, "", False),
    ],
)
def test_servers_are_named_in_several_ways(server, port, api, address, prefix, secure):
    found = endpoint(server, port, api)
    assert (found.address, found.prefix, found.secure) == (address or server, prefix, secure)


@pytest.mark.parametrize(
    ("server", "port", "api", "more", "message"),
    [
        ("https://h", None, "grpc", {}, "is a URL; gRPC takes HOST or dns:///HOST:PORT"),
        ("dns:///h", None, "rest", {}, "is a gRPC target; REST takes HOST or a URL"),
        ("ftp://h", None, "rest", {}, "write it as https://HOST"),
        ("https://", None, "rest", {}, "write it as https://HOST"),
        ("https://u:p@h", None, "rest", {}, "has no place"),
        ("https://h/?a=b", None, "rest", {}, "has no place"),
        ("https://h:1", 2, "rest", {}, "one too many"),
        ("dns:///h:1", 2, "grpc", {}, "one too many"),
        ("unix:/a", 2, "grpc", {}, "one too many"),
        ("dns:///", None, "grpc", {}, "names no host"),
        ("http://h", None, "rest", {"tls": True}, "write https://"),
        ("h", None, "rest", {"headers": {"a b": "c"}}, "no name of a header"),
        ("h", None, "grpc", {"headers": {"a!": "c"}}, "no name of metadata"),
        ("h", None, "grpc", {"headers": {"a-bin": "c"}}, "binary metadata"),
        ("h", None, "rest", {"headers": {"a": "b\r\nc: d"}}, "printable ASCII on one line"),
        ("h", None, "rest", {"headers": {"authorization": "b"}, "token": "t"}, "one of them"),
    ],
)
def test_an_impossible_server_is_refused(server, port, api, more, message):
    with pytest.raises(ValueError, match=message):
        endpoint(server, port, api, **more)


def test_a_version_and_a_label_exclude_each_other():
    with pytest.raises(ValueError, match="not both"):
        ModelSpec("m", 1, "stable")


def compare(served, expected, **tolerance):
    comparison = Comparison(Tolerance(**tolerance))
    comparison.add({"y": np.asarray(served)}, {"y": np.asarray(expected)}, "batch 0")
    return comparison


def test_equal_within_tolerance_is_ok():
    found = compare([1.0, 100.0009], [1.0, 100.0])
    assert found.ok
    assert found.max_abs_err == pytest.approx(9e-4)


@pytest.mark.parametrize(
    ("served", "expected", "fault"),
    [
        ([1.0, 2.1], [1.0, 2.0], "y differs from JAX by 1.0e-01"),
        ([np.nan], [1.0], "differs from JAX by inf"),
        ([1.0], [np.nan], "differs from JAX by inf"),
        ([np.inf], [1.0], "differs from JAX by inf"),
        ([1.0], [np.inf], "differs from JAX by inf"),
        ([[1.0]], [1.0], r"has shape \(1, 1\), JAX's has \(1,\)"),
        ([1], [2], "1 of 1 values aren't JAX's"),
        ([b"a", b"b"], [b"a", b"c"], "1 of 2 values aren't JAX's"),
        ([True, False], [True, True], "1 of 2 values aren't JAX's"),
        ([b"a"], [1.0], r"y is \|S1, JAX's is float64"),
    ],
)
def test_a_difference_is_named(served, expected, fault):
    found = compare(served, expected)
    assert not found.ok
    import re

    assert re.search(fault, found.faults[0]), found.faults
    assert found.faults[0].startswith("batch 0")


def test_nan_and_infinity_in_the_same_places_agree():
    values = [np.nan, np.inf, -np.inf, 1.0]
    assert compare(values, values).ok


def test_missing_and_unknown_outputs_are_faults_and_nothing_compared_is_not_ok():
    comparison = Comparison(Tolerance())
    assert not comparison.ok
    comparison.add({"a": np.zeros(1)}, {"b": np.zeros(1)}, "batch 0")
    missing, unknown = comparison.faults
    assert missing == "batch 0: output b is missing"
    assert unknown == "batch 0: output a is unknown to JAX"


def test_the_bundled_images_are_mnist():
    bundled = samples.bundled()
    images = bundled.inputs[""]
    assert (images.shape, images.dtype) == ((128, 28, 28, 1), np.float32)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert bundled.labels[:5].tolist() == [7, 2, 1, 0, 4]  # as MNIST's test set begins
    assert samples.BUNDLED.stat().st_size <= 30_000


def test_percentiles_are_latencies_that_were_measured():
    seconds = np.random.default_rng(0).permutation(np.arange(1, 1001)) / 1000
    assert [latency.milliseconds(seconds, p) for p in (50, 99, 100)] == [500, 990, 1000]
    assert latency.milliseconds([0.25], 99.9) == 250


def test_every_pixel_has_its_dot():
    image = np.zeros((8, 4))
    for row, column, character in ((0, 0, 0x2801), (2, 1, 0x2820), (3, 1, 0x2880), (3, 0, 0x2840)):
        dot = image.copy()
        dot[row, column] = 1
        assert digits.draw(dot)[0][0] == chr(character)
    assert digits.draw(image) == ["\u2800\u2800"] * 2


def test_a_picture_in_ascii():
    lines = digits.draw(np.eye(28), ascii_only=True)
    assert (len(lines), len(lines[0])) == (7, 14)
    assert all(line.isascii() for line in lines)
    assert lines[0].strip()


def test_a_grid_fits_its_columns():
    images = samples.bundled().inputs[""][:6, ..., 0]
    lines = digits.grid(images, [f"{i} = {i}" for i in range(6)], columns=50, ascii_only=True)
    assert max(map(len, lines)) <= 50
    assert "0 = 0" in lines[7]
    assert "5 = 5" in lines[7 + 9]


@pytest.mark.parametrize("shape", [(2, 784), (2, 28, 28, 3), (2, 100, 100, 1), (0, 28, 28, 1)])
def test_what_is_no_small_image_is_not_drawn(shape):
    assert digits.pictures(np.zeros(shape, np.float32)) is None
