"""Exports for older runtimes, loaded and run by those very TensorFlow releases."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
needs.package("tensorflow", "exporter")

from artifact.manifest import Manifest
from exporter import ExportOptions, Model, TensorSpec
from tests.support.exports import publish

ROOT = Path(__file__).parents[2]


def top(params, x):
    """Operations that JAX writes in forms of newer runtimes: rsqrt's, and a composite."""
    scores = jax.nn.softmax(x @ params * jax.lax.rsqrt(1 + (x * x).sum(axis=1, keepdims=True)))
    return dict(zip(("scores", "classes"), jax.lax.top_k(scores, 2), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("release", ["2.19", "2.20", "2.21"])
def test_a_target_loads_and_answers_in_its_own_release(release, tmp_path):
    python = runtime(release)
    options = ExportOptions(
        target=f"serving-{release}",
        serving_batch_size=-1,
        check_batch_sizes=(1, 3),
        verify=False,
    )
    params = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    version_dir = publish(Model("top", top, params, TensorSpec(("b", 4))), tmp_path, options)
    found = run_in(python, version_dir)
    assert {(d["through"], d["batch_size"]) for d in found} == {
        ("signature", 1), ("signature", 3), ("call", 1), ("call", 3),
    }  # fmt: skip
    assert not [row["problem"] for row in found if row["problem"]]
    assert Manifest.read(version_dir).versions["calling_convention"] == (
        "9" if release == "2.19" else "10"
    )


@pytest.mark.slow
def test_default_exports_load_and_answer_in_the_official_images_release(published):
    python = runtime(pinned_release())
    for model in ("mnist_flax", "mnist_pure_jax"):
        found = run_in(python, published / model / "1")
        assert len({row["batch_size"] for row in found}) > 2
        assert not [row["problem"] for row in found if row["problem"]]


def pinned_release():
    """TensorFlow's release in the official image that compose.yaml starts, such as `2.20`.

    The image itself can't be had everywhere; its runtime can: same StableHLO, same XlaCallModule.
    """
    for line in (ROOT / ".env").read_text().splitlines():
        if line.startswith("TF_SERVING_TAG="):
            return ".".join(line.partition("=")[2].split(".")[:2])
    raise AssertionError(".env pins no TF_SERVING_TAG")


def runtime(release):
    """The Python of an environment with that TensorFlow release; this one, if it has it."""
    if metadata.version("tensorflow").startswith(f"{release}."):
        return sys.executable
    python = ROOT / ".runtimes" / release / "bin" / "python"
    if not python.exists():
        needs.missing(f"needs TensorFlow {release} in .runtimes: scripts/runtime {release}")
    return python


def run_in(python, version_dir):
    """The differences from JAX that another environment's TensorFlow finds."""
    request = {"version_dir": str(version_dir), "cases": [str(version_dir)]}
    done = subprocess.run(
        [str(python), "-m", "exporter.verify.reload"],
        input=json.dumps(request) + "\n",
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
