"""What a test needs beside this project: packages, programs, npm packages, a Docker engine.

Where something is missing, the test is skipped and says what to install. In CI, which must have
everything, it fails: a skip that nobody reads hides a test that nobody runs.
"""

import importlib
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PAGE_PACKAGES = ROOT / "web" / "node_modules"


def missing(what):
    """Skips the test, or the file, for want of something; fails in CI."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what, allow_module_level=True)


def package(name, extra="dev"):
    """Returns a Python module, which an extra of this project brings."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing(f"needs {error.name}: pip install -e '.[{extra}]'")


def jax_since(*version, what):
    """A JAX of that version or a later one; `make test-versions` has older ones, which lack it."""
    jax = package("jax", "exporter")
    if jax.__version_info__ < version:
        pytest.skip(f"JAX {what} since {'.'.join(map(str, version))}")


def program(*names, debian):
    """Returns the path of a program, the first that is there of some names."""
    for path in filter(None, map(shutil.which, names)):
        return path
    missing(f"needs {names[0]} (Debian: apt install {debian})")


def file(path, debian):
    """Returns a file or directory that a Debian package brings."""
    if not Path(path).exists():
        missing(f"needs {path} (Debian: apt install {debian})")
    return Path(path)


def linux(why):
    """Linux, for something that other systems don't have."""
    if not sys.platform.startswith("linux"):
        missing(f"needs Linux {why}")


def chromium():
    """Returns the path of Chromium."""
    return program("chromium", "chromium-browser", "google-chrome", debian="chromium")


def page():
    """Node, npm and the page's npm packages."""
    program("node", debian="nodejs npm")
    program("npm", debian="nodejs npm")
    if not _PAGE_PACKAGES.is_dir():
        missing("needs the page's npm packages: npm ci --prefix web")


def tensorflow_js():
    """TensorFlow.js in Node, as the exporter installs it."""
    package("tensorflow", "exporter")
    from exporter.errors import UserError
    from exporter.formats.tfjs import node

    try:
        node.install()
    except UserError as error:
        missing(str(error))
