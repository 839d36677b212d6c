"""Programs rewritten for older runtimes."""

import re

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")

from exporter.convert.xla import target
from exporter.convert.xla.target import Target, retarget
from exporter.errors import UserError
from exporter.model import Model, TensorSpec
from exporter.model.entry import default_entry
from exporter.trace.trace import trace


def program(func, batch_size=-1):
    model = Model("m", func, 0.0, TensorSpec(("b", 4)))
    return trace(default_entry(model), batch_size).serving.exported


@pytest.mark.parametrize("name", target.TARGETS)
def test_every_target_gets_its_versions(name):
    wanted = target.get(name)
    written = retarget(program(lambda params, x: jax.lax.top_k(x, 2)), wanted)
    assert written.calling_convention_version == wanted.calling_convention
    header = re.match(rb"ML\xefR\rStableHLO_v([0-9.]+)", written.mlir_module_serialized)
    assert header[1].decode() == wanted.stablehlo


def test_an_operation_that_a_target_lacks_is_named():
    exported = program(lambda params, x: jax.lax.tan(x))
    with pytest.raises(UserError, match=r"0\.9\.0\): it has no tan of this form; choose a newer"):
        retarget(exported, Target(9, "0.9.0"))


def test_a_composite_that_a_target_lacks_is_named():
    needs.jax_since(0, 9, 2, what="writes lax.top_k as a composite")
    exported = program(lambda params, x: jax.lax.top_k(x, 2), batch_size=3)
    with pytest.raises(UserError, match=r"0\.9\.0\): it has no chlo\.top_k; choose a newer"):
        retarget(exported, Target(9, "0.9.0"))


def test_a_form_of_an_operation_that_only_newer_targets_have_is_named():
    """Since StableHLO 1.10 an operation may say how exact it must be."""
    accuracy = jax.lax.Tolerance(1e-6, 0, 0)
    exported = program(lambda params, x: jax.lax.rsqrt(x, accuracy=accuracy))
    with pytest.raises(UserError, match=r"1\.9\.1\): it has no rsqrt of this form; choose a newer"):
        retarget(exported, target.get("serving-2.19"))
    for newer in ("serving-2.20", "serving-2.21"):
        assert "stablehlo.rsqrt" in retarget(exported, target.get(newer)).mlir_module()


def test_composites_of_open_shapes_become_calls_with_the_same_answers():
    needs.jax_since(0, 9, 2, what="writes lax.top_k as a composite")
    exported = program(lambda params, x: jax.lax.top_k(x, 2))
    assert "stablehlo.composite" in exported.mlir_module()
    written = retarget(exported, target.get("serving-2.19"))
    assert "stablehlo.composite" not in written.mlir_module()
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    for ours, theirs in zip(written.call([0.0], [x]), jax.lax.top_k(x, 2), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_unknown_target_is_named():
    with pytest.raises(UserError, match=r"'serving-2\.3' is none of serving-2\.19, "):
        target.get("serving-2.3")
