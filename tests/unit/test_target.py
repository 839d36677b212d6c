"""Programs rewritten for older runtimes."""

import re

import pytest

jax = pytest.importorskip("jax", reason="needs jax: pip install -e '.[exporter]'")

from exporter import target  # noqa: E402
from exporter.errors import UserError  # noqa: E402
from exporter.model import Model, TensorSpec  # noqa: E402
from exporter.program import trace  # noqa: E402
from exporter.target import Target, retarget  # noqa: E402


def program(func):
    return trace(Model("m", func, 0.0, TensorSpec(("b", 4))), -1, ("cpu",)).serving.exported


@pytest.mark.parametrize("name", target.TARGETS)
def test_every_target_gets_its_versions(name):
    wanted = target.get(name)
    written = retarget(program(lambda params, x: jax.lax.top_k(x, 2)), wanted)
    assert written.calling_convention_version == wanted.calling_convention
    header = re.match(rb"ML\xefR\rStableHLO_v([0-9.]+)", written.mlir_module_serialized)
    assert header[1].decode() == wanted.stablehlo


def test_an_operation_that_a_target_lacks_is_named():
    exported = program(lambda params, x: jax.lax.top_k(x, 2))
    with pytest.raises(UserError, match=r"0\.9\.0\): it has no chlo\.top_k; choose a newer"):
        retarget(exported, Target(9, "0.9.0"))


def test_an_unknown_target_is_named():
    with pytest.raises(UserError, match=r"'serving-2\.3' is none of serving-2\.19, "):
        target.get("serving-2.3")
