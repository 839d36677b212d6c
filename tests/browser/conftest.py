"""The page, built with real models, in a real Chromium."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import needs
from tests.support.needs import ROOT
from tests.support.page import PageUnderTest
from tests.support.trained import trained

# A fresh profile a launch; nothing that would call home.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--font-render-hinting=none", "--force-color-profile=srgb"),
)


def launch(*flags):
    """Yields a browser of its own."""
    sync_api = needs.package("playwright.sync_api")
    path = needs.chromium()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        yield browser
        browser.close()


# Not a session's: while Playwright's loop runs in this thread, no other test may start one.
@pytest.fixture(scope="module")
def chromium():
    yield from launch()


@pytest.fixture(scope="session")
def model_path(tmp_path_factory):
    """Both models, trained and published; WEB_MODELS names a directory that has them already."""
    if os.environ.get("WEB_MODELS"):
        return Path(os.environ["WEB_MODELS"])
    needs.page()
    needs.chromium()
    base = tmp_path_factory.mktemp("models")
    trained(base, "mnist_flax", "quickdraw")
    return base


@pytest.fixture(scope="session")
def built(model_path, tmp_path_factory):
    """The page with exact weights, as `python -m web build --weights float32` makes it."""
    needs.page()
    out = tmp_path_factory.mktemp("web")
    done = subprocess.run(
        [
            # Relative, as the default is.
            *(sys.executable, "-m", "web", "build", "--out", os.path.relpath(out, ROOT)),
            *("--model_path", str(model_path), "--weights", "float32"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out


@contextmanager
def serving(site):
    """The page's server on a free port; gives its address and a function that ends it."""
    from web.serve import make_server

    server = make_server(site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop():
        server.shutdown()
        server.server_close()

    try:
        yield f"http://localhost:{server.server_address[1]}/", stop
    finally:
        stop()


@pytest.fixture(scope="session")
def address(built):
    with serving(built / "site") as (url, _):
        yield url


@pytest.fixture
def own_address(built):
    """A server of the test's own, which it may stop."""
    with serving(built / "site") as served:
        yield served


@pytest.fixture
def open_page(chromium, address):
    """Opens the page; an error in its console or a request beyond this machine fails the test."""
    pages, contexts = [], []

    def open_one(url=address, *, model="quickdraw", errors=(), **options):
        context = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        page = PageUnderTest(context.new_page(), tuple(errors))
        pages.append(page)
        page.open(url, model)
        return page

    yield open_one
    for page in pages:
        assert not page.errors, page.errors
        strange = [url for url in page.requested if not _is_local(url)]
        assert not strange, strange
    for context in contexts:
        context.close()


def _is_local(url):
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "file") or parts.hostname in ("localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def axe(built):
    """Deque's accessibility checker, a script (the build has installed it)."""
    return (ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text()
