import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from exporter.inspect import pictures

GREEN, RED = (0.17, 0.63, 0.17), (0.84, 0.15, 0.16)


def drawn(figure: Figure, path) -> np.ndarray:
    pictures.save_png(figure, path)
    return imread(path)


def has_colour(picture: np.ndarray, colour: tuple[float, float, float]) -> bool:
    return bool((np.abs(picture[..., :3] - colour) < 0.01).all(axis=-1).any())


@pytest.mark.parametrize("scores", [False, True])
def test_wrong_inferences_are_red(tmp_path, scores):
    images = np.random.default_rng(0).integers(0, 256, (10, 28, 28, 1), np.uint8)
    labels = np.arange(10)
    wrong = labels.copy()
    wrong[4] = 5
    found = []
    for name, inferences in (("right", labels), ("wrong", wrong)):
        figure = pictures.grid(images, labels, np.eye(10)[inferences] if scores else inferences)
        found.append(drawn(figure, tmp_path / f"{name}.png"))
    assert all(has_colour(picture, GREEN) for picture in found)
    assert [has_colour(picture, RED) for picture in found] == [False, True]
    assert {path.name for path in tmp_path.iterdir()} == {"right.png", "wrong.png"}


def test_every_image_is_drawn(tmp_path):
    """A bright image is dark ink: more of them, more ink."""
    ink = []
    for bright in range(0, 11, 5):
        images = np.zeros((10, 28, 28, 1), np.uint8)
        images[:bright, 4:24, 4:24] = 255
        figure = pictures.grid(images, np.zeros(10, int), np.zeros(10, int))
        ink.append((drawn(figure, tmp_path / "grid.png")[..., :3].max(axis=-1) < 0.1).sum())
    assert ink[1] - ink[0] > 1000
    assert ink[2] - ink[1] == pytest.approx(ink[1] - ink[0], rel=0.1)


def test_images_in_colour_without_labels(tmp_path):
    images = np.zeros((3, 8, 8, 3), np.float32)
    images[1] = 2 * np.array(GREEN)  # the scale ends at the brightest value
    images[2] = 2.0
    picture = drawn(pictures.grid(images), tmp_path / "grid.png")
    assert has_colour(picture, GREEN)
    assert has_colour(picture, (0, 0, 0))


def test_names_of_classes_are_written():
    figure = pictures.grid(
        np.zeros((2, 4, 4, 1)), np.array([0, 1]), np.array([0, 0]), classes=["cat", "dog"]
    )
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["label cat\ninferred cat", "label dog\ninferred cat"]


def test_a_failed_picture_leaves_the_old_one(tmp_path):
    path = tmp_path / "grid.png"
    path.write_bytes(b"old")
    figure = pictures.grid(np.zeros((1, 2, 2, 1)))
    figure.suptitle(r"$\nothing$")
    with pytest.raises(ValueError, match="nothing"):
        pictures.save_png(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_class_is_no_picture():
    with pytest.raises(IndexError):
        pictures.grid(np.zeros((1, 2, 2, 1)), np.array([3]), np.array([0]), classes=["zero"])


@pytest.mark.parametrize("classes", [["cat", "dog"], None])
def test_confusions_are_counted(tmp_path, classes):
    figure = pictures.confusion(np.array([0, 0, 1, 1]), np.eye(2)[[0, 1, 1, 1]], classes)
    (axis,) = figure.axes
    assert {text.get_position(): text.get_text() for text in axis.texts} == {
        (0, 0): "1",
        (1, 0): "1",
        (1, 1): "2",
    }
    assert [tick.get_text() for tick in axis.get_yticklabels()] == (classes or ["0", "1"])
    assert axis.get_title() == "75.0% of 4 right"
    pictures.save_png(figure, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_many_classes_have_names_or_nothing():
    labels, scores = np.arange(40), np.eye(40)
    (named,) = pictures.confusion(labels, scores, [f"class {n}" for n in labels]).axes
    assert len(named.get_xticklabels()) == 40
    (bare,) = pictures.confusion(labels, scores).axes
    assert len(bare.get_xticklabels()) == 0
    assert not named.texts
