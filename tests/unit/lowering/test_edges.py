"""Each rule at the inputs where dtypes end; all dtypes of a case go through one graph."""

import jax
import ml_dtypes
import numpy as np
import pytest

from exporter.convert.plain_ops import rules
from exporter.model import Model, TensorSpec
from tests.support.lowering import lower
from tests.unit.lowering.edges import ALL
from tests.unit.lowering.primitives import known, used

# They compute nothing: they run, hand on or drop what they get, or speak to other devices.
NO_EDGES = frozenset(
    (
        "all_gather",
        "all_to_all",
        "axis_index",
        "composite",
        "custom_jvp_call",
        "custom_partitioning",
    )
    + ("custom_vjp_call", "custom_vmap_call", "device_put", "jit")
    + ("inspect_sharding", "name", "nonbatchable", "nondifferentiable_backward", "nontraceable")
    + ("platform_index", "pmax", "pmin", "ppermute", "psum", "psum_invariant", "pvary")
    + ("reduce_scatter", "remat2", "shard_map", "sharding_constraint", "stop_gradient")
    + (
        "dim_as_value",
        "add_any",
        "select_if_vmap",
        "eig",
        "layout_constraint",
        "reshard",
        "unvmap_all",
        "unvmap_any",
    )
    + ("unvmap_max", "random_unwrap", "random_wrap")
)

RTOL = {"float16": 2e-3, "bfloat16": 1.6e-2, "float64": 1e-9, "complex128": 1e-9}


def test_every_rule_that_computes_has_edge_inputs():
    covered = set(NO_EDGES)
    with jax.enable_x64(True):
        for edge in ALL.values():
            covered |= used(edge.function, edge.arrays[0])
    missing = sorted((set(rules()) & known()) - covered)
    assert not missing, missing


@pytest.mark.parametrize("name", ALL)
def test_rule_gives_jaxs_answer_at_the_edges(name):
    edge = ALL[name]
    with jax.enable_x64(True), np.errstate(all="ignore"):
        inputs = tuple(tuple(map(np.ascontiguousarray, arrays)) for arrays in edge.arrays)

        def func(params, inputs):
            return [jax.tree.leaves(edge.function(*arrays)) for arrays in inputs]

        specs = jax.tree.map(lambda x: TensorSpec(x.shape, x.dtype.name), inputs)
        expected = jax.jit(func)({}, inputs)
        found = lower(Model("edge", func, {}, specs))(inputs)
    for arrays, wanted, got in zip(edge.arrays, expected, found, strict=True):
        for number, (a, b) in enumerate(zip(got, wanted, strict=True)):
            label = f"output {number} of {', '.join(x.dtype.name for x in arrays)}"
            assert_same(a.numpy(), np.asarray(b), arrays, edge, label)


def assert_same(got, wanted, arrays, edge, label):
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), label
    if wanted.dtype.kind in "iub":
        wrong = got != wanted
    else:
        wide = "complex128" if wanted.dtype.kind == "c" else "float64"
        a, b = got.astype(wide), wanted.astype(wide)
        rtol = RTOL.get(wanted.dtype.name, edge.rtol)
        tiny = 2 * float(ml_dtypes.finfo(wanted.dtype).smallest_normal)
        wrong = ~np.isclose(a, b, rtol=rtol, atol=max(edge.atol, tiny), equal_nan=True)
        if edge.zeros and wide == "float64":
            wrong |= (a == 0) & (b == 0) & (np.signbit(a) != np.signbit(b))
    if wrong.any():
        places = [tuple(map(int, place)) for place in np.argwhere(wrong)[:5]]
        same = [x for x in arrays if x.shape == wanted.shape]
        examples = [
            f"at {[str(x[p]) for x in same] or p}: {got[p]}, not {wanted[p]}" for p in places
        ]
        raise AssertionError(f"{label}, {int(wrong.sum())} of {wrong.size}: " + "; ".join(examples))
