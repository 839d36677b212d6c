"""Programs that JAX releases of the past wrote, run by the JAX that is here.

They are written by scripts/old_versions.py; docs/server.md says what is promised of which form.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from artifact.errors import ModuleError
from artifact.function import Function
from artifact.manifest import ModuleRecord, Parameter
from tests.support import needs

jax = needs.package("jax", "exporter")

DATA = Path(__file__).parents[1] / "data" / "old_versions"
WRITERS = sorted(
    (path.name.removeprefix("jax-") for path in DATA.iterdir()),
    key=lambda name: tuple(map(int, name.split("."))),
)


def release(name):
    return tuple(map(int, name.split(".")))[:3]


def read(writer, model, form):
    folder = DATA / f"jax-{writer}" / model
    serialized = (folder / f"program.{form}").read_bytes()
    record = None
    if form == "stablehlo":
        data = json.loads((folder / "program.json").read_text())
        record = ModuleRecord(**{k: v if k == "stablehlo" else tuple(v) for k, v in data.items()})
    return Function(serialized, record, [Parameter("w", "w", (4, 3), "float32")])


def differs(writer, model, form):
    """The largest difference from the writer's answers, at its batch size and at another."""
    golden = dict(np.load(DATA / f"jax-{writer}" / model / "golden.npz"))
    weights, x = golden.pop("weights"), golden.pop("x")
    function = read(writer, model, form)
    worst = 0.0
    for count in (len(x), 2):
        answers = function([weights], [x[:count]])
        assert len(answers) == len(golden)
        for name, answer in zip(golden, answers, strict=True):
            wanted = golden[name][:count]
            assert (answer.dtype, answer.shape) == (wanted.dtype, wanted.shape)
            error = np.abs(np.asarray(answer, np.float64) - wanted) / (1 + np.abs(wanted))
            worst = max(worst, float(error.max()))
    return worst


def test_releases_of_two_years_are_here():
    assert len(WRITERS) >= 6
    assert release(WRITERS[0]) == (0, 4, 31)


@pytest.mark.parametrize("model", ["dense", "pictures"])
@pytest.mark.parametrize("writer", WRITERS)
def test_portable_programs_of_all_releases_answer_as_then(writer, model):
    assert differs(writer, model, "stablehlo") < 1e-6


@pytest.mark.parametrize("form", ["stablehlo", "jax_export"])
@pytest.mark.parametrize("writer", [name for name in WRITERS if release(name) < (0, 6)])
def test_calls_of_lapack_that_jax_has_dropped_since_end_with_an_error(writer, form):
    """Before 0.6 they had other names; which calls JAX keeps is for JAX to say."""
    with pytest.raises((ModuleError, jax.errors.JaxRuntimeError)):
        differs(writer, "process", form)


@pytest.mark.parametrize("writer", [name for name in WRITERS if release(name) >= (0, 6)])
def test_linear_algebra_answers_as_then(writer):
    assert differs(writer, "process", "stablehlo") < 1e-6


@pytest.mark.parametrize("model", ["dense", "pictures"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_jax_export_wrote_answers_as_then_or_is_refused(writer, model):
    """JAX promises it for six months; what this project's first versions have must be read."""
    must = (0, 9, 0) <= release(writer) <= jax.__version_info__
    try:
        read(writer, model, "jax_export").read()
    except ModuleError:
        assert not must
    else:
        assert differs(writer, model, "jax_export") < 1e-6
