"""How fast the drawing page is in a real Chromium.

python -m web build && python -m bench.browser
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import sys
import threading
from pathlib import Path
from typing import Any

_READY = "html[data-ready]"  # the model has answered once
_NAVIGATION = "performance.now()"  # milliseconds since the navigation began
_STROKES, _POINTS = 12, 20


def main() -> int:
    """Prints medians of fresh browser profiles."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.browser",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--site", type=Path, default=Path("build/web/site"))
    parser.add_argument("--rounds", type=int, default=5, help="fresh profiles (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if not (options.site / "index.html").is_file():
        print(f"{options.site} holds no page: run `python -m web build` first", file=sys.stderr)
        return 2
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        print("needs Chromium (Debian: apt install chromium)", file=sys.stderr)
        return 2
    rounds = _measure(options.site, path, options.rounds)
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    if options.json:
        print(json.dumps({"rounds": rounds, "medians": medians}))
        return 0
    print(f"first prediction {medians['first_ms']:.0f} ms after the navigation began")
    print(f"p50 of a prediction, wasm {medians['p50_ms']:.1f} ms, while drawing")
    return 0


def _measure(site: Path, chromium: str, rounds: int) -> list[dict[str, float]]:
    from playwright.sync_api import sync_playwright

    from web.serve import make_server

    server = make_server(site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://localhost:{server.server_address[1]}/"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            found = []
            for _ in range(rounds):
                context = browser.new_context(viewport={"width": 1200, "height": 900})
                found.append(_visit(context.new_page(), address))
                context.close()
            browser.close()
            return found
    finally:
        server.shutdown()
        server.server_close()


def _visit(page: Any, address: str) -> dict[str, float]:
    page.goto(address, wait_until="commit")
    page.wait_for_selector(_READY, state="attached")
    first = page.evaluate(_NAVIGATION)
    box = page.locator("#pad").bounding_box()
    middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for stroke in range(_STROKES):
        radius = box["width"] * (0.1 + 0.025 * stroke)
        for point in range(_POINTS):
            angle = 2 * math.pi * point / _POINTS
            page.mouse.move(
                middle_x + radius * math.cos(angle), middle_y + radius * math.sin(angle)
            )
            if point == 0:
                page.mouse.down()
        page.mouse.up()
    page.wait_for_timeout(200)
    shown = page.locator("#browser-latency").inner_text()  # the median of the last 31
    return {"first_ms": first, "p50_ms": float(shown.removesuffix(" ms"))}


if __name__ == "__main__":
    sys.exit(main())
