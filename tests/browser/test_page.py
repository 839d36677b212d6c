"""What a person can do on the page."""

import re

import numpy as np
import pytest

from tests.support.page import STROKES


def test_answers_while_drawing(open_page):
    page = open_page()
    box = page.page.locator("#pad").bounding_box()
    page.page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 300, box["y"] + 250, steps=10)
    page.settle()
    before = page.scores
    page.page.mouse.move(box["x"] + 100, box["y"] + 400, steps=10)
    page.settle()
    assert before is not None
    assert not np.array_equal(before, page.scores)  # the button is still down
    page.page.mouse.up()


def test_undo_and_clear(open_page):
    page = open_page()
    undo, clear = (page.page.get_by_role("button", name=name) for name in ("Undo", "Clear"))
    assert undo.is_disabled()
    assert clear.is_disabled()
    page.draw("house")
    whole = page.pixels
    undo.click()
    page.settle()
    assert not np.array_equal(page.pixels, whole)
    clear.click()
    page.settle()
    assert page.scores is None
    assert page.guess == "Draw something"
    page.page.keyboard.press("Control+z")  # what Clear took away comes back
    page.settle()
    assert page.scores is not None


def test_draws_with_the_keyboard(open_page):
    page = open_page(model="mnist_flax")
    page.page.locator("#pad").focus()
    press = page.page.keyboard.press
    for _ in range(15):
        press("ArrowUp")
    press("Space")
    for _ in range(30):
        press("ArrowDown")
    press("Space")
    page.settle()
    assert page.best == "1"
    status = page.page.locator("#status")
    assert status.inner_text() == "Pen up"
    page.page.wait_for_function(
        "() => document.getElementById('status').textContent.startsWith('1,')"
    )
    press("Escape")
    page.settle()
    assert page.scores is None


def test_draws_with_a_finger(open_page):
    page = open_page(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    session = page.page.context.new_cdp_session(page.page)
    box = page.page.locator("#pad").bounding_box()
    scale = box["width"] / 1000

    def touch(kind, *points):
        at = [{"x": box["x"] + x * scale, "y": box["y"] + y * scale} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    for stroke in STROKES["house"]:
        touch("touchStart", stroke[0])
        for point in stroke[1:]:
            touch("touchMove", point)
        touch("touchEnd")
    page.settle()
    assert page.best == "house"
    assert page.page.evaluate("scrollY") == 0  # a finger on the paper draws and doesn't scroll


def test_the_other_model(open_page):
    page = open_page()
    page.draw("cat")
    page.choose("Digits", "mnist_flax")
    assert page.scores is None
    page.draw("4")
    assert page.best == "4"
    page.page.reload()
    page.wait_for("mnist_flax")  # the choice is remembered


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_theme_of_the_system_and_of_choice(open_page, theme):
    page = open_page(color_scheme=theme)
    shown = page.page.locator("html")
    other = {"light": "dark", "dark": "light"}[theme]
    assert shown.get_attribute("data-theme") == theme
    page.page.get_by_role("button", name="Dark mode").click()
    assert shown.get_attribute("data-theme") == other
    page.page.reload()
    page.wait_for("quickdraw")
    assert shown.get_attribute("data-theme") == other


def test_a_file_that_is_no_image(open_page):
    page = open_page()
    page.page.locator("#file").set_input_files(
        {"name": "notes.txt", "mimeType": "image/png", "buffer": b"no image"}
    )
    page.page.wait_for_function(
        "() => document.getElementById('status').textContent.includes('notes')"
    )
    assert page.scores is None


def test_names_for_screen_readers(open_page):
    tree = open_page().page.locator("body").aria_snapshot()
    for role in (
        'heading "Draw"',
        'radio "Drawings" [checked]',
        'radio "Digits"',
        'application "Drawing area"',
        'button "Undo" [disabled]',
        'button "Open image"',
        'switch "Compare with the server"',
        'button "Example: cat"',
    ):
        assert role in tree, tree
    assert not re.search(r"- (button|img|link|textbox)( \[.*\])?:?$", tree, re.MULTILINE), tree


def test_no_violation_of_accessibility_rules(open_page, axe):
    """Deque's axe rules, WCAG 2.2 AA, in both themes, with an answer on the page."""
    for theme in ("light", "dark"):
        page = open_page(color_scheme=theme, bypass_csp=True, reduced_motion="reduce")
        page.draw("cat")
        page.page.evaluate(axe)
        found = page.page.evaluate("axe.run().then(({violations}) => violations)")
        shown = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
        assert not shown, shown
