"""The page as a person uses it."""

import json
from pathlib import Path

import numpy as np

STROKES = json.loads((Path(__file__).parents[1] / "browser" / "strokes.json").read_text())
PAD = 1000  # the unit of the strokes: the pad's side


class PageUnderTest:
    def __init__(self, page, expected_errors=()):
        self.page = page
        self.errors, self.requested = [], []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requested.append(request.url))
        self._expected = expected_errors

    def _console(self, message):
        if message.type in ("error", "warning") and not any(
            part in message.text for part in self._expected
        ):
            self.errors.append(message.text)

    def open(self, url, model):
        self.page.goto(url)
        self.wait_for("quickdraw")
        if model != "quickdraw":
            self.choose("Digits", model)

    def wait_for(self, model):
        self.page.wait_for_selector(f"html[data-ready='{model}']")

    def choose(self, title, model):
        self.page.get_by_role("radio", name=title).check(force=True)
        self.wait_for(model)

    def draw(self, name):
        """Draws the recorded strokes with the mouse, on a clear paper."""
        self.page.keyboard.press("Escape")
        box = self.page.locator("#pad").bounding_box()
        scale = box["width"] / PAD
        for stroke in STROKES[name]:
            points = [(box["x"] + x * scale, box["y"] + y * scale) for x, y in stroke]
            self.page.mouse.move(*points[0])
            self.page.mouse.down()
            for point in points[1:]:
                self.page.mouse.move(*point)
            self.page.mouse.up()
        self.settle()

    def show(self, image):
        """Opens uint8 [28, 28] as a PNG file."""
        self.page.locator("#file").set_input_files(
            {"name": "image.png", "mimeType": "image/png", "buffer": png(image)}
        )
        # The answer is about this image once the page shows it.
        self.page.wait_for_function(
            """wanted => {
                const canvas = document.getElementById("seen");
                if (canvas.width !== 28 || document.getElementById("file").value) return false;
                const { data } = canvas.getContext("2d").getImageData(0, 0, 28, 28);
                return wanted.every((level, index) => data[4 * index] === level);
            }""",
            arg=image.ravel().tolist(),
        )
        self.settle()

    def settle(self):
        """Waits for two frames and what they began: the answer to the last change."""
        self.page.evaluate(
            """async () => {
                const frame = () => new Promise(requestAnimationFrame);
                await frame(); await frame();
                await new Promise((done) => setTimeout(done, 50));
            }"""
        )

    @property
    def scores(self):
        """float64 [classes], or None where there is no answer."""
        text = self.page.locator("#browser-bars").get_attribute("data-scores")
        return np.array(json.loads(text)) if text else None

    @property
    def best(self):
        return self.page.locator("#browser-bars .name").first.inner_text()

    @property
    def guess(self):
        return self.page.locator("#guess").inner_text()

    @property
    def pixels(self):
        """float32 [1, 28, 28, 1]: what the model saw."""
        levels = self.page.evaluate(
            """() => {
                const context = document.getElementById("seen").getContext("2d");
                const { data } = context.getImageData(0, 0, 28, 28);
                return Array.from(data).filter((_, index) => index % 4 === 0);
            }"""
        )
        return (np.array(levels, np.float32) / np.float32(255)).reshape(1, 28, 28, 1)


def png(image):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="png")
    return buffer.getvalue()
