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
options = TrainOptions(num_epochs=1, batch_size=int(sys.argv[1]), progress=False)
result = train(models.get("mnist_flax"), few, options)
leaves = jax.tree.leaves(result.params)
print(json.dumps({
    "devices": jax.device_count(),
    "sums": [float(np.abs(leaf).sum()) for leaf in leaves],
    "loss": result.history[-1].loss,
}))
"""


def trained(devices: int, batch_size: int) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(batch_size)],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["devices"] == devices
    return answer


@pytest.mark.parametrize("batch_size", [64, 63])
def test_as_many_devices_as_divide_the_batch_train_alike(batch_size):
    one, two = trained(1, batch_size), trained(2, batch_size)
    assert one["sums"] == pytest.approx(two["sums"], rel=1e-4)
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
