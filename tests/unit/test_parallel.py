"""Training on several devices, each a core of this machine, in processes that have them."""

import json
import os
import subprocess
import sys

import pytest

TRAIN = """
import json, sys
import jax, numpy as np
from exporter.training import models, parallel
from exporter.training.datasets import Dataset, load
from exporter.training.loop import TrainOptions, train

parallel.use_cpu_cores()
whole = load()
few = Dataset(whole.train.head(384), whole.test.head(100), whole.classes)

def trained(batch_size):
    options = TrainOptions(num_epochs=1, batch_size=batch_size, progress=False)
    result = train(models.get("mnist_flax"), few, options)
    leaves = jax.tree.leaves(result.params)
    sums = [float(np.abs(leaf).sum()) for leaf in leaves]
    return {"sums": sums, "loss": result.history[-1].loss}

print(json.dumps([jax.device_count(), *map(trained, map(int, sys.argv[1:]))]))
"""
BATCH_SIZES = (64, 63)


def trained(devices: int) -> list[dict]:
    """What comes of each batch size."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *map(str, BATCH_SIZES)],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    known, *answers = json.loads(done.stdout)
    assert known == devices
    return answers


@pytest.mark.slow
def test_as_many_devices_as_divide_the_batch_train_alike():
    for one, two in zip(trained(1), trained(2), strict=True):
        assert one["sums"] == pytest.approx(two["sums"], rel=1e-4)
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
