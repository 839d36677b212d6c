"""Programs rewritten for older runtimes."""

import re

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")

import jax.numpy as jnp

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


def kernel(x):
    return jax.vmap(jnp.outer)(x, x) + 3 * jnp.eye(4)


def linear_algebra(params, x):
    factor = jnp.linalg.cholesky(kernel(x))
    upper = jnp.linalg.cholesky(kernel(x), upper=True)
    solve = jax.scipy.linalg.solve_triangular
    one = solve(factor[0], x.T, lower=True)
    other = solve(factor[0], x.T, lower=True, trans=1, unit_diagonal=True)
    left = jax.lax.linalg.triangular_solve(upper[0], x, left_side=False, lower=False)
    return factor, upper, one, other, left


@pytest.mark.parametrize("batch_size", [-1, 3], ids=["any", "fixed"])
@pytest.mark.parametrize("name", target.TARGETS)
def test_factors_and_triangular_solves_call_nothing_that_tensorflow_lacks(name, batch_size):
    exported = program(linear_algebra, batch_size)
    assert "lapack_" in exported.mlir_module()
    written = retarget(exported, target.get(name))
    module = written.mlir_module()
    assert "lapack_" not in module
    assert "sdy." not in module
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    for ours, theirs in zip(written.call([0.0], [x]), linear_algebra(0.0, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def test_a_factor_that_does_not_exist_is_nan_as_in_jax():
    func = lambda params, x: jnp.linalg.cholesky(kernel(x) - 6 * jnp.eye(4))  # noqa: E731
    written = retarget(program(func), target.get("serving-2.19"))
    x = np.ones((2, 4), np.float32)
    assert np.isnan(func(0.0, x)).any()
    (answer,) = written.call([0.0], [x])
    np.testing.assert_array_equal(np.isnan(answer), np.isnan(func(0.0, x)))


@pytest.mark.parametrize(
    ("func", "primitive", "call"),
    [
        (lambda params, x: jnp.linalg.solve(kernel(x)[0], x.T), "lu", "getrf"),
        (lambda params, x: jnp.linalg.svd(kernel(x))[1], "svd", "gesdd"),
        (lambda params, x: jnp.linalg.eigh(kernel(x))[0], "eigh", "syevd"),
    ],
    ids=["solve", "svd", "eigh"],
)
def test_what_tensorflow_cannot_call_is_named_with_the_users_line(func, primitive, call):
    model = Model("m", func, 0.0, TensorSpec(("b", 4)))
    found = trace(default_entry(model)).serving
    place = rf"\({primitive} at {re.escape(__file__)}:{func.__code__.co_firstlineno}\b"
    with pytest.raises(UserError, match=rf"m calls lapack_s{call}_ffi, .*{place}.*--no_xla"):
        retarget(found.exported, target.get("serving-2.19"), found.jaxpr)


def test_the_line_is_the_users_behind_an_installed_package():
    equinox = needs.package("equinox")
    from exporter._compat.jax import line_of

    layer = equinox.nn.Linear(4, 3, key=jax.random.key(0))

    def func(x):
        return jax.vmap(layer)(x)

    jaxpr = jax.make_jaxpr(func)(np.ones((2, 4), np.float32)).jaxpr
    assert line_of("dot_general", jaxpr).startswith(
        f"{__file__}:{func.__code__.co_firstlineno + 1}"
    )
    assert line_of("svd", jaxpr) is None


@pytest.mark.parametrize("ordered", [False, True])
def test_printing_is_refused_by_its_line(ordered):
    def func(params, x):
        jax.debug.print("{}", x, ordered=ordered)
        return x

    place = f"{re.escape(__file__)}:{func.__code__.co_firstlineno + 1}"
    with pytest.raises(UserError, match=rf"Python \(debug_\w+ at {place}.*leave it out"):
        program(func)
