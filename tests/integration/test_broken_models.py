"""Functions that aren't what an export takes them for: nothing of them is published."""

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
needs.package("tensorflow", "exporter")

from exporter import ExportOptions, Model, TensorSpec
from exporter.errors import CheckFailed, UserError
from tests.support.exports import publish


def broken(func):
    return Model("broken", func, np.float32(2), TensorSpec(("b", 3)))


def test_a_function_with_a_side_effect_is_refused(tmp_path):
    calls = []

    def counting(params, x):
        calls.append(x.shape)
        return params * x + len(calls)

    with pytest.raises(UserError, match=r"output_0 is another one .* the second time; .* side eff"):
        publish(broken(counting), tmp_path, ExportOptions(verify=False))
    assert list((tmp_path / "broken").iterdir()) == []


def test_a_function_that_differs_under_jit_is_refused(tmp_path):
    def branching(params, x):
        return x * (params if isinstance(x, jax.core.Tracer) else 3)

    with pytest.raises(CheckFailed, match=r"broken/1: output_0 differs .* under jax\.jit .*noth"):
        publish(broken(branching), tmp_path)
    assert list((tmp_path / "broken").iterdir()) == []


def test_a_callback_into_python_is_refused(tmp_path):
    def calling(params, x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x) * params

    with pytest.raises(UserError, match=r"broken can't be traced .*callback"):
        publish(broken(calling), tmp_path, ExportOptions(verify=False))
    assert list((tmp_path / "broken").iterdir()) == []


def test_an_unknown_target_is_refused_before_anything_is_written(tmp_path):
    options = ExportOptions(target="serving-1.15")
    with pytest.raises(UserError, match=r"'serving-1\.15' is none of serving-2\.19, "):
        publish(broken(lambda params, x: params * x), tmp_path, options)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_nan_everywhere_is_refused_unless_it_is_meant(tmp_path):
    """A NaN equals a NaN: nothing would have been compared."""
    model = broken(lambda params, x: jax.numpy.log(-1 - abs(x)) * params)
    with pytest.raises(UserError, match=r"^broken: output_0 is NaN or infinite at all inputs"):
        publish(model, tmp_path, ExportOptions(verify=False))
    assert list((tmp_path / "broken").iterdir()) == []
    publish(model, tmp_path, ExportOptions(verify=False, allow_non_finite=True))
