"""Big models are exported without a second copy of their parameters, and never into the graph."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import needs

needs.package("jax", "exporter")
needs.package("tensorflow", "exporter")

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_an_export_holds_its_parameters_once(tmp_path):
    """TensorFlow's variables are JAX's own memory, which NumPy's are copied to for its answers."""
    needs.linux("to count memory")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench.big_export", "--json"),
            *("--gigabytes", "0.5", "--directory", str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    assert figures["bytes"] > 4e8
    assert figures["peak_bytes"] < 2.6 * figures["bytes"]
    assert figures["saved_model_bytes"] < 1e6
    assert list(tmp_path.iterdir()) == []
