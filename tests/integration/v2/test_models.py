"""Small models of other dtypes and shapes: random inputs in each form, answered as by JAX."""

import numpy as np
import pytest

from artifact.comparison import difference
from artifact.manifest import Tolerance
from exporter.model.entry import default_entry
from exporter.verify import answers, inputs
from tests import models
from tests.integration.v2.conftest import FORMS, make_form
from tests.support import exports
from tests.support.servers import ServerProcess

NAMES = ("bfloat16", "scalars", "sequences", "mnist_mlp")
TOLERANCE = Tolerance()
HALF = Tolerance(rtol=1e-2, atol=1e-2)  # what a network of 8 bits of mantissa is good for


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    base = tmp_path_factory.mktemp("kinds")
    for name in NAMES:
        exports.kind(base, name)
    config = base / "models.config"
    entries = "".join(f'config {{ name: "{n}" base_path: "{base / n}" }}' for n in NAMES)
    config.write_text(f"model_config_list {{ {entries} }}")
    with ServerProcess(base / "log", f"--model_config_file={config}") as server:
        with server.channel() as channel:
            yield {form: make_form(form, server, channel) for form in FORMS}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_jax(kinds, name):
    entry = default_entry(models.build(name))
    for batch_size in (1, 2, 5):
        for seed in range(2):
            drawn = {key: np.asarray(v) for key, v in inputs.draw(entry, batch_size, seed).items()}
            expected = answers.answer(entry, drawn)
            found = {form: kinds[form].infer(name, drawn).outputs for form in FORMS}
            for form, outputs in found.items():
                assert outputs.keys() == expected.keys()
                for key, value in expected.items():
                    tolerance = HALF if value.dtype.name == "bfloat16" else TOLERANCE
                    assert difference(outputs[key], value, tolerance).agrees, (form, key)
