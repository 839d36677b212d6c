import numpy as np
import pytest

from exporter.training.datasets import DataError, DataOptions, Split, load, scale
from exporter.training.datasets.bundled import SAMPLE


@pytest.fixture(scope="module")
def dataset():
    return load()


def test_shapes_and_dtypes(dataset):
    for split, count in ((dataset.train, 10_000), (dataset.test, 2_000)):
        assert split.images.shape == (count, 28, 28, 1)
        assert split.images.dtype == np.uint8
        assert split.labels.shape == (count,)
        assert split.labels.dtype == np.int64
        assert len(split) == count


def test_every_class_has_its_share_in_both_splits(dataset):
    train = np.bincount(dataset.train.labels) / len(dataset.train)
    test = np.bincount(dataset.test.labels) / len(dataset.test)
    assert len(train) == len(test) == len(dataset.classes) == 10
    # MNIST's own splits differ by up to 0.6 points in a class.
    np.testing.assert_allclose(train, test, atol=0.01)


def test_no_image_is_in_both_splits(dataset):
    train = {image.tobytes() for image in dataset.train.images}
    assert not any(image.tobytes() in train for image in dataset.test.images)


def test_classes_are_not_in_order(dataset):
    """A reader who takes the first hundred images gets all the classes."""
    assert set(dataset.train.labels[:100]) == set(dataset.test.labels[:100]) == set(range(10))


def test_sample_is_small():
    assert SAMPLE.stat().st_size <= 3_000_000


def test_scale():
    scaled = scale(np.array([[0, 51], [204, 255]], np.uint8))
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, np.array([[0, 0.2], [0.8, 1]], np.float32))


def test_examples_are_what_a_model_takes(dataset):
    examples = dataset.test.examples(3)
    assert examples.inputs.shape == (3, 28, 28, 1)
    assert examples.inputs.dtype == np.float32
    assert 0 <= examples.inputs.min() < examples.inputs.max() <= 1
    np.testing.assert_array_equal(examples.labels, dataset.test.labels[:3])


def test_head_of_a_short_split_is_all_of_it():
    split = Split(np.zeros((2, 28, 28, 1), np.uint8), np.arange(2))
    assert len(split.head(5)) == 2


def test_unknown_source_is_named():
    with pytest.raises(DataError, match=r"data source 'mnits' is none of bundled, idx, .*tfds"):
        load(DataOptions("mnits"))


def test_bundled_sample_takes_no_directory(tmp_path):
    with pytest.raises(DataError, match="--data_source"):
        load(DataOptions("bundled", tmp_path))
