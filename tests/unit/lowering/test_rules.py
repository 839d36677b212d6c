import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exporter.convert.plain_ops import rules
from exporter.model import Model, TensorSpec
from tests.support.lowering import lower
from tests.unit.lowering import edges
from tests.unit.lowering.cases import ALL, draw_inputs
from tests.unit.lowering.primitives import known, used

# Half precision carries about 3 and 2 digits.
RTOL = {"float16": 4e-3, "bfloat16": 3e-2}
# Rules that refuse, by name, to do without ops that TensorFlow.js hasn't.
NOT_PORTABLE = ("clz",)


def _model(case, specs):
    return Model("rule", lambda params, inputs: case.function(*inputs), {}, tuple(specs))


@pytest.mark.parametrize("name", ALL)
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_rule_gives_jaxs_answer(name, data):
    case = ALL[name]
    arrays, shapes = draw_inputs(data.draw, case)
    specs = [TensorSpec(s, a.dtype.name) for s, a in zip(shapes, arrays, strict=True)]
    expected = jax.tree.leaves(jax.jit(case.function)(*arrays))
    portable = data.draw(st.booleans()) and name not in NOT_PORTABLE
    lowered = lower(_model(case, specs), portable=portable)
    actual = jax.tree.leaves(lowered(tuple(arrays)))
    for wanted, got in zip(expected, actual, strict=True):
        assert got.dtype.name == wanted.dtype.name
        rtol = RTOL.get(arrays[0].dtype.name, case.rtol)
        np.testing.assert_allclose(
            np.asarray(got.numpy()).astype("float64"),
            np.asarray(wanted).astype("float64"),
            rtol=rtol,
            atol=rtol / 10,
        )


def test_every_rule_has_a_case():
    # Sizes are values only where they are symbolic.
    covered = {"dim_as_value"}
    for case in ALL.values():
        arrays = [
            jnp.ones([2 if isinstance(axis, str) else axis for axis in shape], dtype)
            for shape, dtype in zip(
                case.shapes, case.each or [case.dtypes[0]] * len(case.shapes), strict=True
            )
        ]
        covered |= used(case.function, arrays)
    for edge in edges.ALL.values():
        covered |= used(edge.function, edge.arrays[0])
    # What an older JAX hasn't, no case can use.
    missing = sorted((set(rules()) & known()) - covered)
    assert not missing, missing
