import json
import re

import jax
import numpy as np
import pytest

from exporter.errors import UserError
from exporter.training import models
from exporter.training.accuracy import accuracy
from exporter.training.datasets import Dataset, Split, load
from exporter.training.loop import TrainOptions, train

# Drawings are changed at random in each step, which takes long to compile.
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name == "quickdraw" else name
    for name in models.names()
]


@pytest.fixture(scope="module")
def tiny():
    dataset = load()
    return Dataset(dataset.train.head(520), dataset.test.head(200), dataset.classes)


@pytest.fixture(scope="module")
def definition():
    return models.get("mnist_pure_jax")


def same(left, right) -> bool:
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


def options(**changes) -> TrainOptions:
    return TrainOptions(**{"num_epochs": 2, "batch_size": 64, "progress": False} | changes)


@pytest.fixture(scope="module")
def trained(definition, tiny):
    return train(definition, tiny, options())


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_parameters(name, tiny):
    definition = models.get(name)
    short = options(seed=3, num_epochs=1)
    first, second = (train(definition, tiny, short) for _ in range(2))
    assert same(first.params, second.params)
    assert first.metrics == second.metrics


def test_another_seed_gives_other_parameters(definition, tiny, trained):
    assert not same(trained.params, train(definition, tiny, options(seed=1)).params)


@pytest.mark.parametrize("name", NAMES)
def test_training_learns(name, tiny):
    result = train(models.get(name), tiny, options(num_epochs=8, batch_size=32))
    assert result.history[-1].loss < result.history[0].loss
    assert result.metrics["test_accuracy"] > 0.7


def test_metrics_are_those_of_the_parameters(definition, tiny, trained):
    measured = accuracy(lambda x: definition.apply(trained.params, x, True), tiny.test)
    assert trained.metrics["test_accuracy"] == measured == trained.history[-1].test_accuracy
    assert trained.metrics.keys() == {
        *("loss", "train_accuracy", "test_accuracy", "test_top3_accuracy")
    }


def test_no_epochs_leave_the_parameters_untrained_and_tested(definition, tiny, tmp_path):
    result = train(definition, tiny, options(num_epochs=0, checkpoint_dir=tmp_path))
    key, _ = jax.random.split(jax.random.key(0))
    assert same(result.params, definition.init(key))
    assert result.metrics == {
        name: accuracy(lambda x: definition.apply(result.params, x, True), tiny.test, top=top)
        for name, top in (("test_accuracy", 1), ("test_top3_accuracy", 3))
    }
    assert result.history == []
    assert list(tmp_path.iterdir()) == []


def test_parameters_are_numpy(trained):
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(trained.params))


def test_metrics_file_has_a_line_an_epoch(definition, tiny, tmp_path):
    path = tmp_path / "new" / "metrics.jsonl"
    result = train(definition, tiny, options(metrics_file=path))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[-1]["test_accuracy"] == result.metrics["test_accuracy"]
    assert lines[-1].keys() == {
        *("epoch", "loss", "train_accuracy", "test_accuracy", "seconds", "examples_per_second")
    }
    assert list(path.parent.iterdir()) == [path]


def test_bad_options_say_what_to_do(definition, tiny):
    with pytest.raises(UserError, match="batch size 521 is more than the 520 training images"):
        train(definition, tiny, options(batch_size=521))
    with pytest.raises(UserError, match="num_epochs is -1"):
        options(num_epochs=-1)
    with pytest.raises(UserError, match="batch_size is 0"):
        options(batch_size=0)


def test_divergence_is_told(definition, tiny):
    with pytest.raises(
        UserError, match=r"mnist_pure_jax: the loss is .* take a learning rate below"
    ):
        train(definition, tiny, options(learning_rate=1e38))


def test_accuracy_counts_an_incomplete_last_batch():
    labels = np.arange(10)
    split = Split(np.zeros((10, 28, 28, 1), np.uint8), labels)
    batches = []

    def always_three(images: np.ndarray) -> np.ndarray:
        batches.append(images.shape)
        return np.eye(10)[np.full(len(images), 3)]

    assert accuracy(always_three, split, batch_size=4) == 0.1
    assert batches == [(4, 28, 28, 1)] * 3


def test_off_a_terminal_there_is_a_line_an_epoch(definition, tiny, capfd):
    train(definition, tiny, options(progress=True))
    captured = capfd.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, start=1):
        assert re.fullmatch(
            rf"mnist_pure_jax  epoch {number}/2  loss \d+\.\d{{4}}  "
            r"accuracy: train \d+\.\d\d%, test \d+\.\d\d%  \d+\.\d s  [\d,]+ examples/s",
            line,
        )
    assert captured.out == ""
