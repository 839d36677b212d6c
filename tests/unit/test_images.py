import numpy as np
import pytest
from matplotlib.image import imread

from exporter.training.history import Epoch
from exporter.training.pictures import draw_grid, draw_history

GREEN, RED = (0.17, 0.63, 0.17), (0.84, 0.15, 0.16)


def has_colour(picture: np.ndarray, colour: tuple[float, float, float]) -> bool:
    return bool((np.abs(picture[..., :3] - colour) < 0.01).all(axis=-1).any())


@pytest.mark.parametrize("scores", [False, True])
def test_wrong_inferences_are_red(tmp_path, scores):
    images = np.random.default_rng(0).integers(0, 256, (10, 28, 28, 1), np.uint8)
    labels = np.arange(10)
    wrong = labels.copy()
    wrong[4] = 5
    pictures = []
    for name, inferences in (("right", labels), ("wrong", wrong)):
        path = tmp_path / f"{name}.png"
        draw_grid(path, images, labels, np.eye(10)[inferences] if scores else inferences)
        pictures.append(imread(path))
    assert all(has_colour(picture, GREEN) for picture in pictures)
    assert [has_colour(picture, RED) for picture in pictures] == [False, True]
    assert {path.name for path in tmp_path.iterdir()} == {"right.png", "wrong.png"}


def test_every_image_is_drawn(tmp_path):
    """A bright image is dark ink: more of them, more ink."""
    ink = []
    for bright in range(0, 11, 5):
        images = np.zeros((10, 28, 28, 1), np.uint8)
        images[:bright, 4:24, 4:24] = 255
        draw_grid(tmp_path / "grid.png", images, np.zeros(10, int), np.zeros(10, int))
        ink.append((imread(tmp_path / "grid.png")[..., :3].max(axis=-1) < 0.1).sum())
    assert ink[1] - ink[0] > 1000
    assert ink[2] - ink[1] == pytest.approx(ink[1] - ink[0], rel=0.1)


def test_a_failed_picture_leaves_the_old_one(tmp_path):
    path = tmp_path / "grid.png"
    path.write_bytes(b"old")
    with pytest.raises(IndexError):
        draw_grid(path, np.zeros((1, 2, 2, 1)), np.array([3]), np.array([0]), classes=["zero"])
    assert path.read_bytes() == b"old"


def test_history_is_drawn(tmp_path):
    history = [Epoch(n, 0.9, 1 / n, 0.8, 1.0, 100.0) for n in (1, 2, 3)]
    draw_history(tmp_path / "history.png", history)
    assert imread(tmp_path / "history.png").shape == (360, 960, 4)
