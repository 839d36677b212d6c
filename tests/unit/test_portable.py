"""Programs as portable StableHLO artefacts: written, and read by the JAX that is here."""

import dataclasses

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")

import jax.numpy as jnp

from artifact import modules, portable
from artifact.errors import ModuleError
from artifact.function import Function
from artifact.manifest import Parameter
from exporter.model import Model, TensorSpec
from exporter.model.entry import default_entry
from exporter.trace.trace import trace

WEIGHTS = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)


ROWS = TensorSpec(("b", 4))


def exported(func, params=WEIGHTS, inputs=ROWS, **options):
    model = Model("m", func, params, inputs)
    return trace(default_entry(model), **options).serving.exported


def parameters(*arrays):
    return [Parameter("w", "w", np.shape(a), np.asarray(a).dtype.name) for a in arrays]


def run(func, params, inputs):
    written, record = portable.write(exported(func, params), 1)
    return Function(written, record, parameters(params))([params], inputs)


def kernel(x):
    return jax.vmap(jnp.outer)(x, x) + 3 * jnp.eye(4)


@pytest.mark.parametrize(
    "func",
    [
        lambda w, x: jax.nn.softmax(jnp.tanh(x @ w)),
        lambda w, x: jax.lax.top_k(x @ w, 2),
        lambda w, x: (jnp.asinh(x), jax.lax.erfc(x), jax.nn.gelu(x, approximate=False)),
        lambda w, x: jnp.linalg.cholesky(kernel(x)),
        lambda w, x: jnp.linalg.svd(kernel(x), compute_uv=False),
        lambda w, x: jnp.linalg.solve(kernel(x[:1])[0], x.T),
        lambda w, x: jnp.concatenate([x, x])[: 2 * (x.shape[0] // 2)],
    ],
    ids=["softmax", "top_k", "special", "cholesky", "svd", "solve", "sizes"],
)
def test_a_program_of_any_batch_size_answers_as_jax(func):
    for count in (1, 3):
        answers = run(func, WEIGHTS, [X[:count]])
        wanted = jax.tree.leaves(func(WEIGHTS, X[:count]))
        assert len(answers) == len(wanted)
        for ours, theirs in zip(answers, wanted, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


def test_the_record_says_how_the_module_is_called():
    func = lambda w, x: (x["a"] @ w, x["b"][: x["b"].shape[0] // 2])  # noqa: E731
    inputs = {"a": TensorSpec(("b", 4)), "b": TensorSpec(("n",), "int32")}
    written, record = portable.write(exported(func, WEIGHTS, inputs), 1)
    assert record.stablehlo == portable.STABLEHLO == modules.written_for(written)
    assert record.platforms == ("cpu",)
    assert record.inputs == ("float32[b,4]", "int32[n]")
    assert record.outputs == ("float32[b,4]", "int32[floordiv(n, 2)]")
    assert record.kept == (0, 1, 2)


def test_arguments_that_are_not_used_are_not_handed_over():
    func = lambda w, x: x["b"] + 1.0  # noqa: E731
    inputs = {"a": TensorSpec((3, 4)), "b": TensorSpec((2,))}
    written, record = portable.write(exported(func, WEIGHTS, inputs), 1)
    assert record.kept == (2,)
    (answer,) = Function(written, record, parameters(WEIGHTS))([WEIGHTS], [X, X[0, :2]])
    np.testing.assert_allclose(answer, X[0, :2] + 1)


def test_a_program_of_several_platforms_runs_here():
    written, record = portable.write(exported(lambda w, x: x @ w, platforms=("cuda", "cpu")), 1)
    assert record.platforms == ("cuda", "cpu")
    (answer,) = Function(written, record, parameters(WEIGHTS))([WEIGHTS], [X])
    np.testing.assert_allclose(answer, X @ WEIGHTS, rtol=1e-5, atol=1e-5)


def test_it_is_written_for_the_oldest_jax_or_what_it_needs():
    oldest = tuple(map(int, portable.STABLEHLO.split(".")))
    assert oldest <= tuple(map(int, modules.readable_version().split(".")))
    if jax.__version_info__ == (0, 9, 0):
        assert modules.readable_version() == portable.STABLEHLO


def test_a_program_that_the_oldest_cannot_express_is_written_for_this_jax(monkeypatch):
    monkeypatch.setattr(portable, "STABLEHLO", "0.9.0")
    program = exported(lambda w, x: jax.lax.tan(x @ w))
    written, record = portable.write(program, 1)
    own = modules.written_for(program.mlir_module_serialized)
    assert record.stablehlo == own == modules.written_for(written) != "0.9.0"
    (answer,) = Function(written, record, parameters(WEIGHTS))([WEIGHTS], [X])
    np.testing.assert_allclose(answer, np.tan(X @ WEIGHTS), rtol=1e-4)


def test_64_bits_are_kept_where_jax_has_32_and_others_stay_as_they_are():
    weights = WEIGHTS.astype(np.float64)
    with jax.enable_x64(True):
        program = exported(
            lambda w, x: {"y": x["a"] @ w, "n": x["n"] + 2**40},
            weights,
            {"a": TensorSpec(("b", 4), "float64"), "n": TensorSpec(("b",), "int64")},
        )
        written, record = portable.write(program, 1)
    assert record.inputs == ("float64[b,4]", "int64[b]")
    function = Function(written, record, parameters(weights))
    with jax.enable_x64(True):
        held = jax.device_put(weights)
    x = X.astype(np.float64)
    n, y = function([held], [x, np.arange(3)])
    np.testing.assert_array_equal(n, np.arange(3) + 2**40)
    np.testing.assert_allclose(y, x @ weights, rtol=1e-14)
    assert jnp.ones(1).dtype == np.float32


def test_what_jax_export_serialized_is_read_as_before():
    program = exported(lambda w, x: jnp.tanh(x @ w))
    (answer,) = Function(bytes(program.serialize()))([WEIGHTS], [X])
    np.testing.assert_allclose(answer, np.tanh(X @ WEIGHTS), rtol=1e-5, atol=1e-5)


def test_bytes_that_jax_cannot_read_are_refused():
    written, record = portable.write(exported(lambda w, x: x @ w), 1)
    for damaged, how in (
        (b"", record),
        (b"junk", record),
        (written[:100], record),
        (written, dataclasses.replace(record, inputs=("a list",))),
        (b"junk", None),
    ):
        with pytest.raises(ModuleError):
            Function(damaged, how, parameters(WEIGHTS)).read()
