import struct

import numpy as np
import pytest

from exporter.training.datasets import DataError, DataOptions, load, tfds
from exporter.training.datasets.dataset import Split

# TFDS's writer and reader are the real ones; only the amount is small.
COUNTS = {"train": 30, "test": 20}


@pytest.fixture(scope="module")
def bundled():
    return load()


@pytest.fixture(scope="module")
def prepared(bundled, tmp_path_factory):
    root = tmp_path_factory.mktemp("tfds")
    source = root / "idx"
    source.mkdir()
    for prefix, split in (("train", bundled.train), ("t10k", bundled.test)):
        head = split.head(COUNTS["train" if prefix == "train" else "test"])
        images = struct.pack(">4B3I", 0, 0, 8, 3, len(head), 28, 28) + head.images.tobytes()
        labels = struct.pack(">4BI", 0, 0, 8, 1, len(head)) + bytes(head.labels.tolist())
        (source / f"{prefix}-images-idx3-ubyte").write_bytes(images)
        (source / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)
    calls = []
    written = tfds.prepare(
        source, root / "data", progress=lambda done, total: calls.append((done, total))
    )
    return source, root / "data", written, calls


def pairs(split: Split) -> set[tuple[bytes, int]]:
    return {
        (image.tobytes(), int(label))
        for image, label in zip(split.images, split.labels, strict=True)
    }


def test_what_was_prepared_is_loaded(bundled, prepared):
    _, data_dir, _, _ = prepared
    dataset = load(DataOptions("tfds", data_dir))
    assert (len(dataset.train), len(dataset.test)) == tuple(COUNTS.values())
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.labels.dtype == np.int64
    # TFDS shuffles what it writes.
    assert pairs(dataset.train) == pairs(bundled.train.head(COUNTS["train"]))
    assert pairs(dataset.test) == pairs(bundled.test.head(COUNTS["test"]))


def test_tensorflow_datasets_reads_it_by_itself(bundled, prepared):
    import tensorflow_datasets

    _, data_dir, _, _ = prepared
    examples = tensorflow_datasets.load(
        "mnist", split="test", data_dir=data_dir, download=False, as_supervised=True
    )
    read = {(image.tobytes(), int(label)) for image, label in examples.as_numpy_iterator()}
    assert read == pairs(bundled.test.head(COUNTS["test"]))


def test_nothing_but_the_dataset_is_left(prepared):
    _, data_dir, written, calls = prepared
    assert [path.relative_to(data_dir).as_posix() for path in data_dir.glob("*/*")] == [
        written.relative_to(data_dir).as_posix()
    ]
    assert calls == [(done, 50) for done in range(1, 51)]


def test_an_existing_dataset_is_not_touched(prepared):
    source, data_dir, written, _ = prepared
    before = {path: path.stat().st_mtime_ns for path in written.iterdir()}
    with pytest.raises(DataError, match="exists already"):
        tfds.prepare(source, data_dir, progress=lambda done, total: None)
    assert {path: path.stat().st_mtime_ns for path in written.iterdir()} == before


def test_a_failed_preparation_leaves_nothing(prepared, tmp_path):
    source, _, _, _ = prepared

    def stop(done: int, total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tfds.prepare(source, tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_without_it_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=rf"{tmp_path}.*no prepared mnist.*data prepare --idx"):
        load(DataOptions("tfds", tmp_path))


def test_a_corrupt_file_is_one_line(prepared, tmp_path):
    _, data_dir, written, _ = prepared
    copy = tmp_path / written.relative_to(data_dir)
    copy.mkdir(parents=True)
    for path in written.iterdir():
        content = bytearray(path.read_bytes())
        if "test.tfrecord" in path.name:
            content[400] ^= 0xFF
        (copy / path.name).write_bytes(content)
    with pytest.raises(DataError, match="mnist can't be read") as error:
        load(DataOptions("tfds", tmp_path))
    assert "\n" not in str(error.value)


def test_command_names_what_is_missing(tmp_path, capsys):
    from exporter.__main__ import main

    flags = ["--idx", str(tmp_path / "nowhere"), "--data_dir", str(tmp_path / "out")]
    assert main(["data", "prepare", *flags]) == 2
    assert "nowhere: no such directory" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_command_prints_the_directory_it_wrote(prepared, tmp_path, capsys):
    from exporter.__main__ import main

    source, _, written, _ = prepared
    assert main(["data", "prepare", "--idx", str(source), "--data_dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "mnist" / written.name)
    assert len(load(DataOptions("tfds", tmp_path)).test) == COUNTS["test"]
