import io

import numpy as np
import pytest

from exporter.training.datasets import DataError, DataOptions, download, load, quickdraw
from tests.support.ranges import RangeServer

NAMES = quickdraw.class_names()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def drawings(rows, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, 784), dtype=np.uint8)


@pytest.fixture
def storage(monkeypatch, tmp_path):
    """A local stand-in of the public storage, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with RangeServer() as server:
        for number, name in enumerate(NAMES[:3]):
            server.files[f"/bitmaps/{name}.npy"] = npy(drawings(500, number))
        yield server


def options(server, **changes):
    return DataOptions(
        "quickdraw",
        **{"num_classes": 3, "num_drawings": 20, "data_url": f"{server.url}/bitmaps"} | changes,
    )


def test_the_sample_has_eighty_and_twenty_of_ten_classes():
    dataset = load(DataOptions("quickdraw_sample"))
    assert dataset.classes == NAMES[:10]
    for split, count in ((dataset.train, 80), (dataset.test, 20)):
        assert split.images.shape == (10 * count, 28, 28, 1)
        assert split.images.dtype == np.uint8
        np.testing.assert_array_equal(np.bincount(split.labels), [count] * 10)
        assert (split.images.reshape(len(split), -1).max(axis=1) == 255).all()
    trained = {image.tobytes() for image in dataset.train.images}
    assert not trained & {image.tobytes() for image in dataset.test.images}


def test_the_sample_with_fewer_classes():
    assert load(DataOptions("quickdraw_sample", num_classes=4)).classes == NAMES[:4]


def test_there_are_345_classes():
    assert len(NAMES) == len(set(NAMES)) == 345
    assert list(NAMES[10:]) == sorted(NAMES[10:])


@pytest.mark.parametrize("count", [0, 1, 346])
def test_impossible_numbers_of_classes(count):
    with pytest.raises(DataError, match=f"num_classes is {count}; Quick, Draw! has 2 to 345"):
        load(DataOptions("quickdraw_sample", num_classes=count))


def test_more_classes_than_the_sample_has():
    with pytest.raises(DataError, match=r"the bundled sample has 10: .*--data_source quickdraw"):
        load(DataOptions("quickdraw_sample", num_classes=11))


def test_fetches_only_the_rows_needed(storage):
    dataset = load(options(storage))
    expected = np.stack([drawings(500, number)[:20] for number in range(3)])
    kept = np.concatenate([dataset.train.images, dataset.test.images]).reshape(-1, 784)
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    for label in range(3):
        found = {row.tobytes() for row in kept[labels == label]}
        assert found == {row.tobytes() for row in expected[label]}
    assert len(dataset.train) == 48
    assert len(dataset.test) == 12
    assert storage.sent <= 3 * (20 * 784 + 1024)


def test_what_was_fetched_is_kept(storage):
    first = load(options(storage))
    asked, storage.requests = len(storage.requests), []
    again = load(options(storage))
    assert asked == 3
    assert storage.requests == []
    np.testing.assert_array_equal(first.train.images, again.train.images)


def test_more_rows_need_only_the_rest(storage):
    load(options(storage))
    before = storage.sent
    dataset = load(options(storage, num_drawings=100))
    assert storage.sent - before <= 3 * 80 * 784
    assert len(dataset.train) + len(dataset.test) == 300


def test_goes_on_where_the_connection_broke(storage, tmp_path):
    storage.break_after = [5000, 3000]
    download.fetch(NAMES[:1], tmp_path, 20, base_url=f"{storage.url}/bitmaps")
    assert [ranged.split("-")[0] for _, ranged, _ in storage.requests] == [
        *("bytes=0", "bytes=5000", "bytes=8000")
    ]
    whole = storage.files[f"/bitmaps/{NAMES[0]}.npy"]
    kept = (tmp_path / f"{NAMES[0]}.npy").read_bytes()
    assert whole.startswith(kept)
    assert len(kept) >= 128 + 20 * 784


def test_starts_over_when_the_file_has_changed(storage, tmp_path):
    url, path = f"{storage.url}/bitmaps", f"/bitmaps/{NAMES[0]}.npy"
    download.fetch(NAMES[:1], tmp_path, 20, base_url=url)
    storage.files[path] = npy(drawings(500, 9))
    download.fetch(NAMES[:1], tmp_path, 40, base_url=url)
    kept = (tmp_path / f"{NAMES[0]}.npy").read_bytes()
    assert storage.files[path].startswith(kept)
    assert len(kept) >= 128 + 40 * 784


def test_a_server_without_ranges(storage):
    storage.supports_ranges = False
    dataset = load(options(storage))
    row = dataset.train.images[dataset.train.labels == 0][0]
    np.testing.assert_array_equal(row.ravel(), drawings(500, 0)[0])


def test_tries_again_after_a_failure_of_the_server(storage, tmp_path):
    storage.failures = [503, 500]
    download.fetch(NAMES[:1], tmp_path, 20, base_url=f"{storage.url}/bitmaps")
    assert len(storage.requests) == 3


def test_names_with_spaces_are_fetched(storage, tmp_path):
    storage.files["/bitmaps/The Eiffel Tower.npy"] = npy(drawings(30))
    download.fetch(["The Eiffel Tower"], tmp_path, 5, base_url=f"{storage.url}/bitmaps")
    assert (tmp_path / "The Eiffel Tower.npy").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "HTTP 404"),
        (b"<html>a portal</html>" * 100, "no .npy file"),
        (npy(drawings(30).astype(np.float32)), r"float32 \[30, 784\]"),
        (npy(drawings(30)[:, :28]), r"uint8 \[30, 28\]"),
        (npy(drawings(10)), "has 10 drawings; 20 are needed"),
        (npy(drawings(30))[:-5], "bytes on the server where its header means"),
    ],
)
def test_files_that_are_not_what_they_should_be(storage, content, message):
    if content is None:
        del storage.files[f"/bitmaps/{NAMES[0]}.npy"]
    else:
        storage.files[f"/bitmaps/{NAMES[0]}.npy"] = content
    with pytest.raises(DataError, match=message):
        load(options(storage))


def test_a_directory_of_files(tmp_path):
    for number, name in enumerate(NAMES[:2]):
        (tmp_path / f"{name}.npy").write_bytes(npy(drawings(30, number)))
    dataset = load(DataOptions("quickdraw", tmp_path, num_classes=2, num_drawings=30))
    assert len(dataset.train) == 48
    assert len(dataset.test) == 12
    np.testing.assert_array_equal(dataset.test.images[1].ravel(), drawings(30, 1)[4])


def test_a_directory_without_a_class(tmp_path):
    (tmp_path / f"{NAMES[0]}.npy").write_bytes(npy(drawings(30)))
    with pytest.raises(DataError, match=f"{NAMES[1]}.npy: No such file"):
        load(DataOptions("quickdraw", tmp_path, num_classes=2, num_drawings=30))


def test_a_directory_with_too_few_drawings(tmp_path):
    (tmp_path / f"{NAMES[0]}.npy").write_bytes(npy(drawings(30)))
    with pytest.raises(DataError, match="holds 30 drawings; 31 are needed"):
        load(DataOptions("quickdraw", tmp_path, num_classes=2, num_drawings=31))
