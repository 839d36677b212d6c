"""What several test files share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

MODELS = ("mnist_flax", "mnist_pure_jax")


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A models directory with both MNIST models, trained briefly, version 1, any batch size."""
    pytest.importorskip("tensorflow", reason="needs tensorflow: pip install -e '.[exporter]'")
    base = tmp_path_factory.mktemp("published")
    for model in MODELS:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "exporter", "--model", model, "--model_path", str(base)),
                *("--serving_batch_size=-1", "--num_epochs=1", "--show_images", "--noshow_model"),
            ],
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return base
