"""Names of inputs, outputs and parameters from pytrees."""

from typing import NamedTuple

import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")

from exporter.errors import UserError
from exporter.model import (
    TensorSpec,
    naming,
)


class Pair(NamedTuple):
    left: int
    right: int


@pytest.mark.parametrize(
    ("pytree", "inputs", "outputs"),
    [
        (0, ["inputs"], ["output_0"]),
        (TensorSpec(("b",)), ["inputs"], ["output_0"]),
        ((0, 0), ["inputs_0", "inputs_1"], ["output_0", "output_1"]),
        ([0], ["inputs_0"], ["output_0"]),
        ({"b": 0, "a": 0}, ["a", "b"], ["a", "b"]),
        ({"image": {"left": 0, "right": 0}}, ["image_left", "image_right"], None),
        ({"x": (0, 0)}, ["x_0", "x_1"], ["x_0", "x_1"]),
        ([{"a": 0}, 0], ["inputs_0_a", "inputs_1"], ["output_0_a", "output_1"]),
        (Pair(0, 0), ["left", "right"], ["left", "right"]),
    ],
)
def test_names_follow_the_keys(pytree, inputs, outputs):
    assert naming.input_names(pytree) == inputs
    assert naming.output_names(pytree) == (outputs or inputs)


def test_inputs_are_named_as_tensorflow_names_arguments():
    inputs = {"my-input": 0, "a/b": 0, "class": 0, "self": 0, "_x": 0, "9": 0, "é": 0, "x.y": 0}
    assert dict(zip(sorted(inputs), naming.input_names(inputs), strict=True)) == {
        "my-input": "my_input", "a/b": "a_b", "class": "class_", "self": "self_",
        "_x": "arg__x", "9": "arg_9", "é": "arg__", "x.y": "x_y",
    }  # fmt: skip
    assert naming.output_names({"my-output": 0, "class": 0}) == ["class", "my-output"]
    with pytest.raises(UserError, match="'a_b'; rename a key"):
        naming.input_names({"a-b": 0, "a_b": 0})


def test_names_that_collide_are_refused():
    with pytest.raises(UserError, match="'a_b'"):
        naming.input_names({"a": {"b": 0}, "a_b": 0})


def test_parameters_are_named_by_their_path():
    params = {"conv1": {"kernel": 0, "bias": 0}, "stack": [{"scale": 0}], "pair": Pair(0, 0)}
    assert ["/".join(path) for path in naming.parameter_paths(params)] == [
        "conv1/bias", "conv1/kernel", "pair/left", "pair/right", "stack/0/scale",
    ]  # fmt: skip
    assert naming.parameter_paths(0) == [("parameter",)]


def test_variables_have_names_that_tensorflow_takes_and_each_another():
    paths = [("conv1", "kernel"), ("mlp/~/linear_0", "w"), ("a b",), ("a_b",), ("a~b",), ("_x",)]
    assert naming.variable_names(paths) == [
        "conv1/kernel", "mlp/_/linear_0/w", "a_b", "a_b.same1", "a_b.same2", "p_x",
    ]  # fmt: skip


def test_parameters_of_one_path_are_refused():
    with pytest.raises(UserError, match="'a/b'"):
        naming.parameter_paths({"a": {"b": 0}, "a/b": 0})
