import gzip
import struct

import numpy as np
import pytest

from exporter.training.datasets import DataError, DataOptions, load
from exporter.training.datasets.idx import read

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
LABELS = np.array([3, 1, 4, 1, 9], np.uint8)


def encode(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
    return header + array.tobytes()


def write_mnist(directory, dot="-", compress=False):
    for prefix in ("train", "t10k"):
        for stem, array in ((f"images{dot}idx3", IMAGES), (f"labels{dot}idx1", LABELS)):
            path = directory / f"{prefix}-{stem}-ubyte{'.gz' if compress else ''}"
            path.write_bytes(gzip.compress(encode(array)) if compress else encode(array))


@pytest.fixture
def mnist(tmp_path):
    write_mnist(tmp_path)
    return tmp_path


@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("compress", [False, True])
def test_reads_the_usual_names(tmp_path, dot, compress):
    write_mnist(tmp_path, dot, compress)
    dataset = load(DataOptions("idx", tmp_path))
    for split in (dataset.train, dataset.test):
        np.testing.assert_array_equal(split.images, IMAGES[..., None])
        np.testing.assert_array_equal(split.labels, LABELS)
        assert split.labels.dtype == np.int64


def test_gzip_is_told_from_the_content(mnist):
    path = mnist / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read(path), IMAGES)


# What is done to a file's bytes, and what the error then says beside the file's name.
FAULTS = {
    "empty": (lambda content: b"", "short: 0 bytes"),
    "header only in part": (lambda content: content[:9], "short: 9 bytes"),
    "short": (lambda content: content[:-1], "short: 3935 bytes where shape (5, 28, 28) needs 3936"),
    "long": (lambda content: content + b"x", "too long: 3937 bytes"),
    "another format": (lambda content: b"\x89PNG" + content[4:], "not an IDX file"),
    "another dtype": (lambda content: b"\0\0\x0d\x03" + content[4:], "not an IDX file"),
    "an absurd shape": (
        lambda content: content[:4] + b"\xff" * 12 + content[16:],
        "short: 3936 bytes where shape (4294967295, 4294967295, 4294967295)",
    ),
    "gzip cut off": (lambda content: gzip.compress(content)[:-20], "end-of-stream"),
    "gzip with a wrong checksum": (
        lambda content: gzip.compress(content)[:-8] + b"12345678",
        "CRC check failed",
    ),
    "gzip with a broken body": (lambda content: b"\x1f\x8b\x08\0" + b"\xff" * 40, "invalid"),
    "another image size": (lambda content: encode(IMAGES[:, :14]), "(5, 14, 28) where MNIST has"),
    "labels for images": (lambda content: encode(LABELS), "(5,) where MNIST has"),
    "no images": (lambda content: encode(IMAGES[:0]), ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_named_in_one_line(mnist, fault):
    damage, message = FAULTS[fault]
    path = mnist / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as error:
        load(DataOptions("idx", mnist))
    # A mismatch of images and labels is laid at the labels' door.
    assert "train-" in str(error.value)
    assert str(mnist) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:4], r"t10k-labels-idx1-ubyte: shape \(4,\) where t10k-images.* has 5 images"),
        (np.append(LABELS[:4], np.uint8(10)), "t10k-labels-idx1-ubyte: label 10"),
        (LABELS[:, None], r"t10k-labels-idx1-ubyte: shape \(5, 1\)"),
    ],
)
def test_bad_labels_are_named(mnist, labels, message):
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(encode(labels))
    with pytest.raises(DataError, match=message):
        load(DataOptions("idx", mnist))


def test_a_missing_file_is_named(mnist):
    (mnist / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte: missing"):
        load(DataOptions("idx", mnist))


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such directory"):
        load(DataOptions("idx", tmp_path / "nowhere"))
    with pytest.raises(DataError, match="--data_dir"):
        load(DataOptions("idx"))
