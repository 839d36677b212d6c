"""Exporting from Python: one line in a script, which changes nothing else in the process."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifact import program
from artifact.manifest import Manifest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
(SCRIPT,) = (block for block in BLOCKS if block.startswith("# train.py"))

# TensorFlow is in use already: its devices can't be changed any more.
PROBE = """
import os, sys
import jax, tensorflow as tf
tf.constant(1) + 1

def state():
    status = open("/proc/self/status").read()
    return {
        "environment": dict(os.environ),
        "umask": status.split("Umask:")[1].split()[0],
        "standard error": os.readlink("/proc/self/fd/2"),
        "JAX's devices": jax.devices(),
        "TensorFlow's devices": [tf.config.get_visible_devices(), tf.config.list_logical_devices()],
        "path": list(sys.path),
        "directory": os.getcwd(),
    }

before = state()
exec(compile(open("train.py").read(), "train.py", "exec"))
after = state()
changed = [key for key in before if before[key] != after[key]]
assert not changed, [(key, before[key], after[key]) for key in changed]
"""


def test_the_script_has_ten_lines_at_most():
    lines = [line for line in SCRIPT.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 10


@pytest.mark.slow
def test_one_line_exports_and_leaves_the_process_as_it_was(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{PROBE}"]
    for version in (1, 2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        version_dir = tmp_path / "models" / "my_model" / str(version)
        manifest = Manifest.read(version_dir)
        assert (manifest.model, manifest.version) == ("my_model", version)
        assert manifest.parity
        images = np.random.default_rng(0).random((5, 28, 28, 1), np.float32)
        answers = program.load(version_dir).run({"inputs": images})
        np.testing.assert_allclose(answers["output_0"], np.full((5, 10), 0.1), rtol=1e-6)


@pytest.mark.slow
def test_an_export_in_a_fresh_process_leaves_its_environment(tmp_path):
    """TensorFlow notes settings of its own in it when it is imported."""
    code = (
        "import os, sys, jax, numpy as np, exporter\n"
        "jax.devices(); before = dict(os.environ)\n"
        "x = np.ones((2, 2), 'float32')\n"
        "options = exporter.ExportOptions(verify=False)\n"
        "exporter.export(lambda p, x: x @ p, x, x, 'models/m', options)\n"
        "assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
