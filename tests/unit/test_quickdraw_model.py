import jax
import numpy as np
import pytest

from exporter.training import models
from exporter.training.augmentation import random_affine
from exporter.training.datasets import DataOptions, load
from exporter.training.loop import TrainOptions, train


@pytest.mark.parametrize("num_classes", [2, 10, 345])
def test_any_number_of_classes(num_classes):
    definition = models.get("quickdraw").for_classes(num_classes)
    params = definition.init(jax.random.key(0))
    scores = definition.apply(params, np.zeros((3, 28, 28, 1), np.float32), True)
    features = definition.apply(params, np.zeros((3, 28, 28, 1), np.float32), False)
    assert scores.shape == (3, num_classes)
    assert features.shape == (3, 128)
    np.testing.assert_allclose(np.exp(scores).sum(axis=-1), 1, rtol=1e-5)


def test_a_model_of_digits_stays_one_of_ten():
    definition = models.get("mnist_flax")
    assert definition.for_classes(345) is definition


def test_ten_classes_have_98_442_parameters():
    params = models.get("quickdraw").init(jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 98_442


def test_no_change_is_the_identity():
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    still = random_affine(
        jax.random.key(0), images, degrees=0, scale=0, shear=0, pixels=0, flip=False
    )
    np.testing.assert_allclose(still, images, atol=1e-6)


def test_half_of_the_images_are_mirrored():
    images = np.random.default_rng(0).random((64, 28, 28, 1), np.float32)
    changed = np.asarray(
        random_affine(jax.random.key(0), images, degrees=0, scale=0, shear=0, pixels=0, flip=True)
    )
    mirrored = np.isclose(changed, images[:, :, ::-1], atol=1e-6).all(axis=(1, 2, 3))
    same = np.isclose(changed, images, atol=1e-6).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert 16 < mirrored.sum() < 48


def test_changes_keep_most_of_the_ink():
    dataset = load(DataOptions("quickdraw_sample"))
    definition = models.get("quickdraw")
    images = dataset.train.images[:64].astype(np.float32) / 255
    changed = np.asarray(definition.augment(jax.random.key(1), images))
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert 0.6 < changed.sum() / images.sum() < 1.2
    assert not np.isclose(changed, images, atol=0.05).all(axis=(1, 2, 3)).any()


@pytest.mark.slow
def test_learns_a_little_in_twelve_epochs():
    dataset = load(DataOptions("quickdraw_sample", num_classes=3))
    definition = models.get("quickdraw").for_classes(3)
    result = train(definition, dataset, TrainOptions(num_epochs=12, batch_size=32, progress=False))
    assert result.metrics["test_accuracy"] > 0.6
    assert result.metrics["test_top3_accuracy"] == 1  # of three classes
