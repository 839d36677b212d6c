import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from exporter.training import models
from exporter.training.checkpoints import CheckpointError
from exporter.training.datasets import Dataset, load
from exporter.training.loop import TrainOptions, train

NUM_EPOCHS = 12

PROGRAM = """
import sys
from pathlib import Path
from exporter.training import models
from exporter.training.datasets import Dataset, load
from exporter.training.loop import TrainOptions, train
sample = load()
tiny = Dataset(sample.train.head(512), sample.test.head(64), sample.classes)
options = TrainOptions(num_epochs=%d, batch_size=32, checkpoint_dir=Path(sys.argv[1]))
train(models.get("mnist_pure_jax"), tiny, options)
"""


@pytest.fixture(scope="module")
def tiny():
    sample = load()
    return Dataset(sample.train.head(512), sample.test.head(64), sample.classes)


@pytest.fixture(scope="module")
def definition():
    return models.get("mnist_pure_jax")


def options(directory, **changes) -> TrainOptions:
    settings = {"num_epochs": 2, "batch_size": 32, "progress": False, "checkpoint_dir": directory}
    return TrainOptions(**settings | changes)


@pytest.fixture(scope="module")
def finished(definition, tiny, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    return directory, train(definition, tiny, options(directory))


def assert_same(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.mark.slow
def test_killed_runs_end_like_one_that_was_not(definition, tiny, tmp_path):
    straight = train(definition, tiny, options(None, num_epochs=NUM_EPOCHS))
    directory = tmp_path / "run"
    for checkpoint in (1, 4):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM % NUM_EPOCHS, directory])
        while process.poll() is None and not (directory / str(checkpoint)).exists():
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (directory / str(NUM_EPOCHS)).exists()

    resumed = train(definition, tiny, options(directory, num_epochs=NUM_EPOCHS))
    assert_same(resumed.params, straight.params)
    assert resumed.metrics == straight.metrics
    assert [epoch.loss for epoch in resumed.history] == [epoch.loss for epoch in straight.history]


def test_a_finished_run_is_not_run_again(definition, tiny, finished, capfd):
    directory, result = finished
    again = train(definition, tiny, options(directory, progress=True))
    assert_same(again.params, result.params)
    assert again.history == result.history
    assert capfd.readouterr().err.strip() == "mnist_pure_jax  resumed after epoch 2/2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, "seed 0, not 5"),
        ({"num_epochs": 3}, "num_epochs 2, not 3"),
        ({"batch_size": 64}, "batch_size 32, not 64"),
        ({"learning_rate": 0.25}, r"learning_rate .*, not 0\.25"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(definition, tiny, finished, changes, message):
    directory, _ = finished
    with pytest.raises(
        CheckpointError, match=rf"{directory}/2: a checkpoint of a run with {message}"
    ):
        train(definition, tiny, options(directory, **changes))


def test_a_checkpoint_of_another_model_is_refused(tiny, finished):
    directory, _ = finished
    with pytest.raises(CheckpointError, match="with model mnist_pure_jax, not mnist_flax; "):
        train(models.get("mnist_flax"), tiny, options(directory))


def test_a_checkpoint_of_other_data_is_refused(definition, tiny, finished):
    directory, _ = finished
    fewer = Dataset(tiny.train.head(500), tiny.test, tiny.classes)
    with pytest.raises(CheckpointError, match=r"with training data .*, not "):
        train(definition, fewer, options(directory))


@pytest.mark.parametrize("part", ["run", "state"])
def test_a_damaged_checkpoint_is_named_in_one_line(definition, tiny, tmp_path, part):
    train(definition, tiny, options(tmp_path, num_epochs=1))
    for path in (tmp_path / "1" / part).rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    with pytest.raises(
        CheckpointError, match=rf"{tmp_path}/1: can't be read .*; delete it"
    ) as error:
        train(definition, tiny, options(tmp_path, num_epochs=1))
    assert "\n" not in str(error.value)


def test_a_file_for_a_directory_is_named(definition, tiny, tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(CheckpointError, match=str(path)):
        train(definition, tiny, options(path))
