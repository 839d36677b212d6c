"""An export in pip's TensorFlow of the version that the pinned official image is made of.

The image itself can't be had everywhere; its runtime can: same StableHLO, same XlaCallModule.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Runs in the other environment: numpy, tensorflow and this project's artifact package.
LOAD = """
import json, pathlib, sys
import numpy as np, tensorflow as tf
from artifact import golden, manifest
compared, wrong = [], []
for argument in sys.argv[1:]:
    directory = pathlib.Path(argument)
    loaded = tf.saved_model.load(str(directory))
    allowed = manifest.Manifest.read(directory).tolerance
    for (signature, case_name), case in golden.read(directory).items():
        inputs = {name: tf.constant(array) for name, array in case.inputs.items()}
        outputs = loaded.signatures[signature](**inputs)
        for name, expected in case.outputs.items():
            where = [directory.parent.name, len(expected), name]
            compared.append(where)
            served = outputs[name].numpy()
            if served.shape != expected.shape or not np.allclose(
                served, expected, rtol=allowed.rtol, atol=allowed.atol
            ):
                wrong.append(where)
print(json.dumps({"tensorflow": tf.__version__, "compared": compared, "wrong": wrong}))
"""


def pinned():
    """Minor version of the official image that compose.yaml starts, for example `2.20`."""
    for line in (ROOT / ".env").read_text().splitlines():
        if line.startswith("TF_SERVING_TAG="):
            return ".".join(line.partition("=")[2].split(".")[:2])
    raise AssertionError(".env pins no TF_SERVING_TAG")


@pytest.fixture(scope="module")
def python():
    """An environment of its own with that TensorFlow; kept beside the project's for next time."""
    folder = ROOT / f".venv-tensorflow-{pinned()}"
    stamp = folder / ".complete"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-compile"]
        wanted = f"tensorflow-cpu=={pinned()}.*"
        if os.uname().machine != "x86_64":
            wanted = f"tensorflow=={pinned()}.*"
        subprocess.run([*install, "--disable-pip-version-check", wanted], check=True)
        stamp.touch()
    return folder / "bin/python"


def test_exports_load_in_the_official_images_runtime(python, published):
    versions = sorted(published.glob("*/1"))
    done = subprocess.run(
        [python, "-c", LOAD, *versions],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["tensorflow"].startswith(f"{pinned()}.")
    assert {model for model, _, _ in found["compared"]} == {"mnist_flax", "mnist_pure_jax"}
    assert len({batch for _, batch, _ in found["compared"]}) > 2
    assert found["wrong"] == []
