"""The Open Inference Protocol's raw and typed forms of tensors, both ways."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.support import open_inference as oracle
from wire import datatypes, dtypes, raw_tensors, tensor_contents
from wire.open_inference_pb2 import InferTensorContents
from wire.tensors import TensorError

NUMBERS = [name for name in oracle.DATATYPES if name != "object"]
TYPED = [name for name in NUMBERS if name not in ("float16", "bfloat16")]
SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def arrays(names):
    """Arrays of any bits in a dtype, truth values excepted."""

    def of(name):
        dtype = dtypes.numpy_dtype(name)
        if name == "bool":
            return npst.arrays(np.bool_, SHAPES)
        bits = npst.arrays(np.dtype(f"u{dtype.itemsize}"), SHAPES)
        return bits.map(lambda array: array.view(dtype))

    return st.sampled_from(names).flatmap(of)


STRINGS = SHAPES.flatmap(
    lambda shape: npst.arrays(object, shape, elements=st.binary(max_size=20), fill=st.nothing())
)


@given(arrays(NUMBERS) | STRINGS)
def test_the_raw_form_is_the_oracles_both_ways(array):
    name = dtypes.array_name(array.dtype)
    data = raw_tensors.from_array(array)
    assert data == oracle.raw(array)
    for form in (data, memoryview(b"--" + data)[2:]):
        again = raw_tensors.to_array(form, name, array.shape)
        assert (again.dtype, again.shape) == (array.dtype, array.shape)
        assert raw_tensors.from_array(again) == data


def test_numbers_are_viewed_and_not_copied():
    data = np.arange(6, dtype=np.float32).tobytes()
    array = raw_tensors.to_array(data, "float32", (2, 3))
    assert not array.flags.owndata
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))


def test_the_bytes_are_little_endian_whatever_the_arrays_are():
    array = np.array([1, 2], ">i4")
    assert raw_tensors.from_array(array) == b"\1\0\0\0\2\0\0\0"


@given(arrays(NUMBERS) | STRINGS, st.integers(1, 9), st.booleans())
def test_a_byte_too_few_or_too_many_is_refused(array, count, cut):
    data = raw_tensors.from_array(array)
    data = data[:-count] if cut and len(data) >= count else data + b"\0" * count
    name = dtypes.array_name(array.dtype)
    with pytest.raises(TensorError):
        raw_tensors.to_array(data, name, array.shape)


@given(st.binary(max_size=40), st.integers(0, 2**62))
def test_random_bytes_are_strings_or_refused(data, count):
    try:
        array = raw_tensors.to_array(data, "string", (count,))
    except TensorError:
        return
    assert raw_tensors.from_array(array) == data


@given(arrays(TYPED) | STRINGS)
def test_the_typed_form_both_ways_and_on_the_wire(array):
    sent = tensor_contents.from_array(array).SerializeToString()
    contents = InferTensorContents.FromString(sent)
    name = dtypes.array_name(array.dtype)
    again = tensor_contents.to_array(contents, name, array.shape)
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert raw_tensors.from_array(again) == raw_tensors.from_array(array)
    for shape in ((*array.shape, 2), (array.size + 1,)):
        if array.size or shape == (1,):
            with pytest.raises(TensorError, match="values; shape"):
                tensor_contents.to_array(contents, name, shape)


def test_long_contents_are_converted_in_blocks():
    array = np.arange(200_001, dtype=np.int16)
    contents = tensor_contents.from_array(array)
    np.testing.assert_array_equal(tensor_contents.to_array(contents, "int16", (200_001,)), array)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_have_no_typed_form(name):
    assert not tensor_contents.has_form(name)
    with pytest.raises(TensorError, match="has no typed contents; send raw_input_contents"):
        tensor_contents.to_array(InferTensorContents(), name, (1,))


def test_names_of_data_types():
    for name, datatype in oracle.DATATYPES.items():
        ours = "string" if name == "object" else name
        assert datatypes.datatype(ours) == datatype
        assert datatypes.dtype_name(datatype) == ours
    for name in ("complex64", "FP32"):
        with pytest.raises(ValueError, match="no data type"):
            datatypes.datatype(name)
    for datatype in ("float32", "FP8", ""):
        assert not datatypes.is_known(datatype)
        with pytest.raises(ValueError, match="unknown datatype"):
            datatypes.dtype_name(datatype)
