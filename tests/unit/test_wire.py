"""The wire messages against the official ones, in both directions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.support import needs
from wire import dtypes, services, tensors
from wire import serving_pb2 as wire

tf = needs.package("tensorflow", "exporter")

DTYPES = [
    "float32", "float64", "float16", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128",
]  # fmt: skip


@pytest.fixture(scope="module")
def official():
    """Finds an official message's descriptor by its short name."""
    from google.protobuf import descriptor_pool
    from tensorflow.core.protobuf import saved_model_pb2, tensor_bundle_pb2  # noqa: F401
    from tensorflow_serving.apis import (  # noqa: F401
        model_service_pb2,
        prediction_log_pb2,
        prediction_service_pb2,
    )

    def find(name):
        storage = "tensorflow.serving.FileSystemStoragePathSourceConfig."
        for package in ("tensorflow.serving.", "tensorflow.", "tensorflow.MetaGraphDef.", storage):
            try:
                return descriptor_pool.Default().FindMessageTypeByName(package + name)
            except KeyError:
                continue
        raise AssertionError(f"no official message {name}")

    return find


# The official package leaves out session_bundle_config.proto.
UNPUBLISHED = {"BatchingParameters"}


def messages():
    for name, descriptor in wire.DESCRIPTOR.message_types_by_name.items():
        if name in UNPUBLISHED:
            continue
        yield name, descriptor
        for nested in descriptor.nested_types:
            if not nested.GetOptions().map_entry:
                yield f"{name}.{nested.name}", nested


@pytest.mark.parametrize(("name", "ours"), list(messages()), ids=lambda v: str(v)[:40])
def test_every_field_has_the_official_number_and_type(name, ours, official):
    theirs = official(name)
    for field in ours.fields:
        other = theirs.fields_by_number[field.number]
        assert (other.name, other.is_repeated) == (field.name, field.is_repeated)
        if field.type == other.type:
            continue
        is_enum_as_integer = field.type == field.TYPE_INT32 and other.type == other.TYPE_ENUM
        is_packed_as_bytes = field.type == field.TYPE_BYTES and other.is_packed
        assert is_enum_as_integer or is_packed_as_bytes, field.name


def test_the_services_have_the_official_methods():
    from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

    for module, name, methods in (
        (prediction_service_pb2, "PredictionService", services.PREDICTION_METHODS),
        (model_service_pb2, "ModelService", services.MODEL_METHODS),
    ):
        official_service = module.DESCRIPTOR.services_by_name[name]
        for key, method in methods.items():
            theirs = official_service.methods_by_name[key]
            assert method.path == f"/{official_service.full_name}/{key}"
            assert method.request.DESCRIPTOR.name == theirs.input_type.name
            assert method.response.DESCRIPTOR.name == theirs.output_type.name


@pytest.mark.parametrize("as_content", [False, True])
@given(
    array=st.sampled_from(DTYPES).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0, max_side=4))
    )
)
@settings(max_examples=150, deadline=None)
def test_numbers_survive_both_directions(array, as_content):
    official = tf.make_tensor_proto(array)
    np.testing.assert_array_equal(
        tensors.to_array(wire.TensorProto.FromString(official.SerializeToString())), array
    )
    sent = tensors.from_array(array, as_content=as_content).SerializeToString()
    received = tf.make_ndarray(type(official).FromString(sent))
    assert received.dtype == array.dtype
    np.testing.assert_array_equal(received, array)


def test_bfloat16_survives_both_directions():
    import ml_dtypes

    array = np.arange(6, dtype=np.float32).astype(ml_dtypes.bfloat16).reshape(2, 3)
    official = tf.make_tensor_proto(array)
    received = tensors.to_array(wire.TensorProto.FromString(official.SerializeToString()))
    np.testing.assert_array_equal(received, array)
    sent = tensors.from_array(array).SerializeToString()
    np.testing.assert_array_equal(tf.make_ndarray(type(official).FromString(sent)), array)


@given(values=st.lists(st.binary(max_size=8), max_size=6))
@settings(deadline=None)
def test_strings_survive_both_directions(values):
    array = np.empty(len(values), object)
    array[:] = values
    official = tf.make_tensor_proto(array, dtype=tf.string, shape=array.shape)
    received = tensors.to_array(wire.TensorProto.FromString(official.SerializeToString()))
    assert received.tolist() == values
    sent = tensors.from_array(array).SerializeToString()
    assert tf.make_ndarray(type(official).FromString(sent)).tolist() == values


def test_packed_in_pieces_and_unpacked_floats_are_read():
    shape = wire.TensorShapeProto(dim=[{"size": 3}])
    pieces = wire.TensorProto(dtype=1, tensor_shape=shape)
    pieces.float_val.extend([np.float32([1, 2]).tobytes(), np.float32([3]).tobytes()])
    assert tensors.to_array(pieces).tolist() == [1, 2, 3]
    one_by_one = wire.TensorProto(dtype=1, tensor_shape=shape).SerializeToString()
    for value in (4.0, 5.0, 6.0):
        one_by_one += bytes([5 << 3 | 5]) + np.float32(value).tobytes()
    assert tensors.to_array(wire.TensorProto.FromString(one_by_one)).tolist() == [4, 5, 6]


def test_a_short_value_field_is_filled_with_its_last_value():
    official = tf.make_tensor_proto(7.0, shape=[2, 2])
    received = tensors.to_array(wire.TensorProto.FromString(official.SerializeToString()))
    np.testing.assert_array_equal(received, tf.make_ndarray(official))


def test_a_few_bytes_cannot_ask_for_gigabytes():
    bomb = wire.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 2**30}]}, float_val=[b"1234"])
    with pytest.raises(tensors.TensorError, match="too few"):
        tensors.to_array(bomb)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (wire.TensorProto(dtype=999), "dtype number 999"),
        (wire.TensorProto(dtype=1, tensor_shape={"dim": [{"size": -1}]}), "negative dimension"),
        (wire.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 2**40}]}), "too many"),
        (wire.TensorProto(dtype=1, tensor_content=b"123"), "tensor_content has 3 bytes"),
        (wire.TensorProto(dtype=1, float_val=[b"123"]), "no whole number"),
        (wire.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 2**62}] * 4}), "too many"),
        (
            wire.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 10**8}, {"size": 0}]}),
            "more entries than it has values for",
        ),
        (wire.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 1}] * 65}), "65 dimensions"),
        (
            wire.TensorProto(dtype=3, int_val=[1], tensor_shape={"dim": [{"size": 10**6}]}),
            "1 values are too few",
        ),
        (
            wire.TensorProto(dtype=7, string_val=[b"a"], tensor_shape={"dim": [{"size": 10**8}]}),
            "1 values are too few",
        ),
    ],
)
def test_a_malformed_tensor_is_refused(proto, message):
    with pytest.raises(tensors.TensorError, match=message):
        tensors.to_array(proto)


def test_dtype_numbers_and_names_are_tensorflows():
    for name in DTYPES + ["bfloat16", "string"]:
        dtype = tf.as_dtype(name)
        assert dtypes.number(name) == dtype.as_datatype_enum
        assert dtypes.name(dtype.as_datatype_enum) == name
        from tensorflow.core.framework import types_pb2

        assert dtypes.enum_name(dtypes.number(name)) == types_pb2.DataType.Name(
            dtype.as_datatype_enum
        )


@pytest.mark.parametrize(
    "proto",
    [
        wire.TensorProto(dtype=3, int_val=[5, 6, 7]),
        wire.TensorProto(dtype=3, int_val=[5], tensor_shape={"unknown_rank": True}),
        wire.TensorProto(dtype=1, float_val=[np.float32([5, 6]).tobytes()]),
        wire.TensorProto(dtype=9, int64_val=[5, 6], tensor_shape={}),
    ],
)
def test_values_beyond_the_shape_are_cut_off(proto):
    array = tensors.to_array(proto)
    assert (array.shape, float(array)) == ((), 5.0)


def test_a_tensor_without_values_has_its_shape():
    proto = wire.TensorProto(dtype=7, tensor_shape={"dim": [{"size": 3}, {"size": 0}]})
    assert tensors.to_array(proto).shape == (3, 0)
    proto = wire.TensorProto(dtype=1, tensor_content=b"1", tensor_shape={"dim": [{"size": 0}]})
    assert tensors.to_array(proto).shape == (0,)


def test_a_scalars_shape_is_set():
    assert tensors.from_array(np.float32(2)).HasField("tensor_shape")


@pytest.mark.parametrize("dtype", ["int32", "uint64", "bool", "float16", "string"])
def test_long_tensors_are_converted_in_blocks(dtype):
    values = np.arange(3 * 2**16 + 5) % 2
    array = values.astype(object) if dtype == "string" else values.astype(dtype)
    if dtype == "string":
        array[:] = [b"%d" % value for value in values]
    proto = tensors.from_array(array)
    np.testing.assert_array_equal(tensors.to_array(proto), array)
