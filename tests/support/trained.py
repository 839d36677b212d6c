"""The bundled models, trained by the command as much as the tests need."""

import subprocess
import sys

from tests.support.needs import ROOT
from tests.support.published import publish_once

# Digits and drawings that the page's tests draw must be recognised.
EPOCHS = {"mnist_flax": 4, "mnist_pure_jax": 1, "quickdraw": 40}


def trained(base, *names):
    """Publishes bundled models for any batch size, each as its version 1."""
    for name in names:
        publish_once(base, train, name=name, num_epochs=EPOCHS[name])


def train(base, name, num_epochs):
    """Trains and publishes one by a command of its own."""
    flags = [f"--model={name}", f"--model_path={base}", f"--num_epochs={num_epochs}"]
    done = subprocess.run(
        [sys.executable, "-m", "exporter", *flags, "--serving_batch_size=-1", "--noshow_model"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
