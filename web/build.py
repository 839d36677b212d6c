"""Builds the page: packages, models, bundle, compressed copies; whole, or the old one stays."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from exporter.storage.staging import place, staged_directory
from web import models
from web.errors import BuildError
from web.models import ModelOptions

HERE = Path(__file__).parent
COMPRESSED = {".css", ".html", ".js", ".json", ".svg", ".wasm", ".webmanifest", ".bin"}
Stage = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True)
class BuildOptions:
    """What to build.

    Attributes:
        out: Gets `site/`, to be served, and `draw.html`, the same in a single file.
        server: Address of the model server that the page proposes.
        models: Which models it offers.
    """

    out: Path = Path("build/web")
    server: str = "http://localhost:8501"
    models: ModelOptions = field(default_factory=ModelOptions)

    @property
    def site(self) -> Path:
        """The directory to serve."""
        return self.out / "site"

    @property
    def single_file(self) -> Path:
        """The page in one file."""
        return self.out / "draw.html"


def build(options: BuildOptions, stage: Stage = nullcontext) -> None:
    """Build the page.

    Raises:
        BuildError: Node is missing, or a step failed.
    """
    npm, node = (_program(name) for name in ("npm", "node"))
    with stage("install the page's packages"):
        _install(npm)
    with staged_directory(options.out) as staged:
        # Whole paths: the bundler takes others as its own folder's.
        whole = staged.resolve()
        site, single_file = whole / "site", whole / "draw.html"
        site.mkdir()
        with stage("write the models"):
            models.write(options.models, site)
        with stage("bundle the page"):
            _run([node, str(HERE / "bundle.mjs"), str(site), str(single_file), options.server])
            compress(site)
        place(site, options.site)
        single_file.replace(options.single_file)


def compress(site: Path) -> None:
    """Write a gzipped copy beside each file that gains by it; the same input, the same bytes."""
    for path in sorted(site.rglob("*")):
        if path.is_file() and path.suffix in COMPRESSED:
            content = path.read_bytes()
            packed = gzip.compress(content, compresslevel=9, mtime=0)
            if len(packed) < len(content):
                path.with_name(path.name + ".gz").write_bytes(packed)


def _install(npm: str) -> None:
    """Installs the pinned packages, unless they are there since the last change of the pins."""
    lock, stamp = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        _run([npm, "ci", "--prefix", str(HERE), "--loglevel=error"])
        os.utime(stamp)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BuildError(
            f"{name} isn't installed; the page is bundled with Node 18 or newer"
            " (Debian: apt install nodejs npm; others: https://nodejs.org)"
        )
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        said = "\n".join(lines[-8:])
        raise BuildError(f"`{' '.join(command[:3])} …` failed ({done.returncode}):\n{said}")
