"""The page's answers are JAX's, and they are right."""

import numpy as np
import pytest

from artifact import versions
from exporter.training.datasets import DataOptions, load
from tests.support.page import STROKES, png

DIGITS = "0123456789"
DRAWINGS = [name for name in STROKES if name not in DIGITS]


@pytest.fixture(scope="module")
def jax_scores(model_path):
    """`(model, images) -> scores` by the function and parameters that were published."""
    from exporter.publish.reading import read_model

    def run(name, images):
        model = models[name]
        return np.asarray(model.func(model.params, images))

    models = {}
    for name in ("quickdraw", "mnist_flax"):
        published = versions.find(model_path / name)
        models[name] = read_model(published[max(published)])
    return run


def test_ten_digits_from_strokes(open_page, jax_scores):
    page = open_page(model="mnist_flax")
    answers = ""
    for digit in DIGITS:
        page.draw(digit)
        np.testing.assert_allclose(page.scores, jax_scores("mnist_flax", page.pixels)[0], atol=1e-4)
        assert page.scores.argmax() == int(page.best)
        answers += page.best
    assert answers == DIGITS


def test_drawings_from_strokes(open_page, jax_scores):
    page = open_page()
    answers = []
    for name in DRAWINGS:
        page.draw(name)
        np.testing.assert_allclose(page.scores, jax_scores("quickdraw", page.pixels)[0], atol=1e-4)
        answers.append(page.best)
    right = sum(answer == name for answer, name in zip(answers, DRAWINGS, strict=True))
    assert right >= len(DRAWINGS) - 1, answers


@pytest.mark.slow
def test_a_hundred_digits_as_images(open_page, jax_scores):
    test = load(DataOptions("bundled")).test.head(100)
    page = open_page(model="mnist_flax")
    right = 0
    for image, label in zip(test.images, test.labels, strict=True):
        page.show(image[..., 0])
        expected = jax_scores("mnist_flax", image[None].astype(np.float32) / np.float32(255))[0]
        np.testing.assert_allclose(page.scores, expected, atol=1e-4)
        right += page.best == str(label)
    assert right >= 97


def test_examples_are_held_out_drawings(open_page, jax_scores):
    test = load(DataOptions("quickdraw_sample")).test
    page = open_page()
    buttons = page.page.get_by_role("button", name="Example: ")
    assert buttons.count() == 20
    for index in (0, 7, 19):
        buttons.nth(index).click()
        page.settle()
        np.testing.assert_array_equal(page.pixels[0], test.images[index] / np.float32(255))
        np.testing.assert_allclose(page.scores, jax_scores("quickdraw", page.pixels)[0], atol=1e-4)


def test_a_photograph_of_a_digit(open_page):
    image = load(DataOptions("bundled")).test.images[0, ..., 0]
    page = open_page(model="mnist_flax")
    page.show(image)
    expected = page.best
    large = np.kron(255 - image, np.ones((10, 10), np.uint8))  # dark on light, 280 × 280
    page.page.locator("#file").set_input_files(
        {"name": "paper.png", "mimeType": "image/png", "buffer": png(large)}
    )
    page.page.wait_for_timeout(300)
    page.settle()
    np.testing.assert_allclose(page.pixels[0, ..., 0], image / 255, atol=0.02)
    assert page.best == expected
