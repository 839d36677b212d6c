import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from exporter.convert import plain_ops
from exporter.convert.plain_ops import UnsupportedPrimitive, conversion
from exporter.errors import UserError
from exporter.model import Model, TensorSpec
from scripts import lowering_coverage
from tests.support.lowering import lower

ROW = TensorSpec(("b", 4))


def ops(module):
    graph_def = module.signature.graph.as_graph_def()
    functions = [node.op for f in graph_def.library.function for node in f.node_def]
    return [node.op for node in graph_def.node] + functions


def test_unsupported_primitive_is_named_with_the_users_line_and_what_to_do():
    def func(params, x):
        return jax.scipy.linalg.schur(x @ x.T)  # the line

    with pytest.raises(
        UnsupportedPrimitive,
        match=r"^schur \(at [^ ]*test_lower\.py:\d+.*\): .*compute it before the export$",
    ):
        lower(Model("m", func, {}, TensorSpec((4, 4))))


def test_the_line_is_the_users_own_not_that_of_an_installed_package(monkeypatch):
    dense = flax.linen.Dense(3)
    params = dense.init(jax.random.key(0), jnp.ones((1, 4)))
    known = {name: rule for name, rule in plain_ops.rules().items() if name != "dot_general"}
    monkeypatch.setattr(conversion, "rules", lambda: known)

    with pytest.raises(
        UnsupportedPrimitive, match=r"^dot_general \(at [^ ]*test_lower\.py"
    ) as error:
        lower(Model("m", lambda p, x: dense.apply(p, x), params, ROW))
    assert "other JAX functions" in str(error.value)
    assert len(str(error.value)) < 400


def test_unsupported_form_is_named():
    def func(params, x):
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, (2, 1), (1, 1), "VALID")

    with pytest.raises(UnsupportedPrimitive, match=r"reduce_window_sum.*symbolic size b"):
        lower(Model("m", func, {}, ROW))


def test_untraceable_model_is_a_user_error():
    with pytest.raises(UserError, match="m can't be traced"):
        lower(Model("m", lambda params, x: x if x.sum() > 0 else -x, {}, ROW))


def test_parameters_are_variables_named_by_their_paths():
    params = {"dense": {"kernel": jnp.ones((4, 2)), "bias": jnp.zeros(2)}}
    module = lower(
        Model("m", lambda p, x: x @ p["dense"]["kernel"] + p["dense"]["bias"], params, ROW)
    )
    assert sorted(v.name for v in module.module.variables) == ["dense/bias:0", "dense/kernel:0"]
    module.module.params["dense"]["bias"].assign([1.0, 2.0])
    np.testing.assert_array_equal(module(np.zeros((3, 4), "float32")), [[1.0, 2.0]] * 3)


def test_what_depends_on_no_input_is_folded():
    def func(params, x):
        noise = jax.random.normal(jax.random.key(0), (4,))
        return x * jnp.sort(noise)

    module = lower(Model("m", func, {}, ROW))
    plain = {"Placeholder", "Const", "Mul", "Identity", "Shape", "StridedSlice"}
    assert set(ops(module)) <= plain | {"PartitionedCall"}


def test_bias_is_added_without_a_broadcast():
    module = lower(Model("m", lambda p, x: jax.nn.relu(x + p), jnp.ones(4), ROW))
    assert {"BiasAdd", "Relu"} <= set(ops(module))
    assert "BroadcastTo" not in ops(module)


EDGES = np.array(
    [np.nan, np.inf, -np.inf, -0.0, 0.5, -0.5, 2.9, -2.9, 127.5, 128, 254.9, 256, 300, -1, -129]
    + [32768, 65536, 2**31 - 200, 2**31, -(2**31), -(2**31) - 300, 2**32, 2**63, -(2**63), 1e30]
)


@pytest.mark.parametrize("source", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("target", ["uint8", "int8", "uint16", "int16", "int32", "uint32"])
def test_floats_become_integers_as_in_jax_at_the_ends_of_the_range(source, target):
    with np.errstate(over="ignore"):
        x = EDGES.astype(jnp.dtype(source))

    def func(params, x):
        return x.astype(target)

    module = lower(Model("m", func, {}, TensorSpec(("b",), source)))
    np.testing.assert_array_equal(module(x), func({}, jnp.asarray(x)))


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
)
def test_integers_are_divided_as_in_jax_by_zero_and_at_the_ends(dtype, portable):
    with jax.enable_x64(dtype.endswith("64")):
        info = np.iinfo(dtype)
        ends = [info.min, info.min + 1, 0, 1, 2, 3, 7, 100, info.max - 1, info.max]
        if info.min:
            ends += [-1, -2, -3, -100]
        a, b = (x.ravel() for x in np.meshgrid(*[np.array(ends, dtype)] * 2))

        def func(params, inputs):
            a, b = inputs
            return (
                a // b,
                a % b,
                jax.lax.div(a, b),
                jax.lax.rem(a, b),
                jax.lax.rem(a, a.dtype.type(7)),
            )

        spec = TensorSpec(("b",), dtype)
        found = lower(Model("m", func, {}, (spec, spec)), portable=portable)((a, b))
        for got, wanted in zip(found, func({}, (jnp.asarray(a), jnp.asarray(b))), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_unrolled_scan_has_no_loop():
    def func(params, x, unroll):
        return jax.lax.scan(lambda c, row: (c + row, c), x[:, 0], x.T, unroll=unroll)

    for unroll, loops in ((1, True), (True, False)):
        module = lower(Model("m", lambda p, x, u=unroll: func(p, x, u), {}, ROW))
        assert any("While" in op for op in ops(module)) == loops


def test_names_and_structures_are_kept():
    def func(params, inputs):
        return {"sum": inputs["a"] + inputs["c"], "pair": (inputs["a"], inputs["c"])}

    module = lower(Model("m", func, {}, {"c": ROW, "a": ROW}))
    ones = np.ones((2, 4), "float32")
    assert set(module({"a": ones, "c": ones})) == {"sum", "pair"}
    answer = module.signature(a=tf.constant(ones), c=tf.constant(ones))
    assert set(answer) == {"sum", "pair_0", "pair_1"}


def test_two_open_dimensions_and_arithmetic_on_them():
    def func(params, x):
        b, s, width = x.shape
        halves = x.reshape(b * s, 2, width // 2)
        padded = jnp.concatenate([x, jnp.zeros((b, s // 2 + 1, width))], axis=1)
        return halves.sum(0), padded, x / (b * s + 1)

    model = Model("m", func, {}, TensorSpec(("b", "s", 4)))
    module = lower(model)
    for shape in ((1, 3, 4), (5, 8, 4)):
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        for wanted, got in zip(func({}, jnp.asarray(x)), module(x), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_coverage_table_is_current():
    text = lowering_coverage.DOCUMENT.read_text()
    assert lowering_coverage.updated(text) == text, "run python -m scripts.lowering_coverage"
