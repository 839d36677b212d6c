"""Models that are published once and shared by all tests, of this run and of later ones.

What a recipe has published is kept under a hash of all that it depends on: the sources of the
exporter and of the recipe, its parameters, and the versions of JAX and TensorFlow. Tests get
copies, which they may change.
"""

import functools
import hashlib
import inspect
import json
import os
import shutil
import time
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from tests.support import needs

CACHE = needs.ROOT / ".pytest_cache" / "published"
SOURCES = ("exporter", "artifact", "wire", "tests/models")
PACKAGES = ("jax", "jaxlib", "flax", "tensorflow")
KEPT = 24 * 3600  # seconds for which the models of other sources stay


def publish_once(base, recipe, /, **parameters):
    """Publishes in `base` what `recipe(directory, **parameters)` publishes in a directory.

    The recipe is followed once; processes that want the same wait for the one that follows it.
    Versions appear whole, as a server must see them.
    """
    kept = _directory() / f"{recipe.__name__}-{_digest(recipe, parameters)}"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            needs.package("jax", "exporter")
            needs.package("tensorflow", "exporter")
            staging = kept.with_name(f"{kept.name}.staging")
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            recipe(staging, **parameters)
            staging.rename(kept)
    for version in kept.glob("*/[0-9]*"):
        target = Path(base) / version.relative_to(kept)
        staged = target.with_name(f".staging-{target.name}")
        shutil.copytree(version, staged)
        staged.rename(target)


@functools.cache
def _directory():
    """Where models of the sources as they are now are kept; removes old ones of others."""
    found = hashlib.sha256()
    for path in sorted(p for folder in SOURCES for p in (needs.ROOT / folder).rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            found.update(f"{path}\0".encode() + path.read_bytes())
    installed = {d.name: d.version for d in metadata.distributions() if d.name in PACKAGES}
    found.update(json.dumps(installed, sort_keys=True).encode())
    directory = CACHE / found.hexdigest()[:16]
    directory.mkdir(parents=True, exist_ok=True)
    os.utime(directory)
    for other in CACHE.iterdir():
        if other.stat().st_mtime < time.time() - KEPT:
            shutil.rmtree(other, ignore_errors=True)
    return directory


def _digest(recipe, parameters):
    source = Path(inspect.getsourcefile(recipe)).read_bytes()
    return hashlib.sha256(source + json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]
