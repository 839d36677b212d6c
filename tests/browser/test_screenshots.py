"""How the page looks: beside pictures that a person has approved."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

APPROVED = Path(__file__).with_name("screenshots")
README_IMAGE = Path(__file__).parents[2] / "docs" / "images" / "web.png"
BLOCK = 4  # pixels that are averaged, so that a glyph's edge doesn't count
LEVELS = 24  # of 255: a smaller difference isn't one
SHARE = 0.01  # of the blocks that may differ
VIEWS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


def blocks(content):
    image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float32)
    height, width = (side // BLOCK * BLOCK for side in image.shape[:2])
    cut = image[:height, :width]
    return cut.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).mean((1, 3))


def difference(one, other):
    one, other = blocks(one), blocks(other)
    assert one.shape == other.shape
    return (np.abs(one - other).max(-1) > LEVELS).mean()


@pytest.mark.parametrize("view", VIEWS)
def test_looks_as_approved(open_page, view):
    """UPDATE_SCREENSHOTS=1 approves the page as it is; look at the pictures before committing."""
    page = open_page(reduced_motion="reduce", **VIEWS[view])
    page.draw("house")
    # What differs from one training to the next is drawn the same.
    page.page.evaluate(
        """() => {
            document.querySelectorAll("#browser-bars li").forEach((row, index) => {
                row.querySelector(".name").textContent = "house tree car sun cat".split(" ")[index];
                row.querySelector(".figure").textContent = index ? "< 1 %" : "99 %";
                row.querySelector(".track span").style.transform = `scaleX(${index ? 0 : 0.99})`;
            });
            document.getElementById("guess").innerHTML = "That is a <em>house</em>";
            document.getElementById("browser-latency").textContent = "0.7 ms";
        }"""
    )
    shot = page.page.screenshot()
    path = APPROVED / f"{view}.png"
    if os.environ.get("UPDATE_SCREENSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(shot)
    assert difference(shot, path.read_bytes()) <= SHARE


def test_a_change_is_seen(open_page):
    page = open_page(reduced_motion="reduce")
    before = page.page.screenshot()
    assert difference(before, page.page.screenshot()) == 0
    page.draw("house")
    assert difference(before, page.page.screenshot()) > SHARE


def test_picture_for_the_readme(open_page):
    """Writes docs/images/web.png anew where UPDATE_SCREENSHOTS=1 asks for it."""
    page = open_page(reduced_motion="reduce", device_scale_factor=2)
    page.draw("cat")
    shot = page.page.screenshot()
    if os.environ.get("UPDATE_SCREENSHOTS"):
        Image.open(io.BytesIO(shot)).quantize(128).save(README_IMAGE, optimize=True)
    with Image.open(README_IMAGE) as image:
        assert image.size == (2400, 1800)
    assert page.best == "cat"
