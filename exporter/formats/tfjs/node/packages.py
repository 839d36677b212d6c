"""TensorFlow.js' npm packages for Node, of pinned versions, in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from exporter.errors import UserError
from exporter.publish.export import Stage, no_stage
from exporter.storage.cache import cache_directory

PINS = Path(__file__).with_name("package-lock.json")
_MANIFEST = PINS.with_name("package.json")
_TIMEOUT = 600.0  # seconds
_GET = "(Debian: apt install nodejs npm; others: https://nodejs.org)"
_HINT = "or skip the check with --noverify_in_node"


def directory() -> Path:
    """Returns where the packages belong; other pins, another directory."""
    digest = hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]
    return cache_directory(f"tfjs-{digest}")


def check_available() -> str:
    """Returns the path of Node's program.

    Raises:
        UserError: Node is missing, or the packages and npm, which installs them; says how to get
            them.
    """
    node = shutil.which("node")
    if node is None:
        raise UserError(
            "Node, which verifies TensorFlow.js models, isn't installed:"
            f" get version 18 or newer {_GET}, {_HINT}"
        )
    if not _installed() and shutil.which("npm") is None:
        raise UserError(
            f"npm, which installs TensorFlow.js for Node, isn't installed: get it {_GET}, {_HINT}"
        )
    return node


def install(stage: Stage = no_stage) -> Path:
    """Installs the packages, unless they are there.

    Args:
        stage: Shows progress, where there is something to install.

    Returns:
        The directory that has `node_modules`.

    Raises:
        UserError: Node or npm is missing, or npm fails.
    """
    check_available()
    target = directory()
    if _installed():
        return target
    with stage(f"install TensorFlow.js for Node, once, in {target}"):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".tfjs-", dir=target.parent) as staging:
                whole = Path(staging) / "whole"
                whole.mkdir()
                for file in (PINS, _MANIFEST):
                    shutil.copyfile(file, whole / file.name)
                _npm_ci(whole)
                _put(whole, target)
        except OSError as error:
            raise UserError(
                f"{target}: {error.strerror}; name another cache by XDG_CACHE_HOME, {_HINT}"
            ) from error
    return target


def _installed() -> bool:
    return (directory() / "node_modules" / ".package-lock.json").is_file()


def _npm_ci(folder: Path) -> None:
    # None of these packages has a script to run, and none of a later version shall.
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    try:
        done = subprocess.run(
            ["npm", "ci", "--prefix", str(folder), *flags],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"npm didn't install TensorFlow.js in {_TIMEOUT:.0f} s, {_HINT}") from None
    if done.returncode:
        said = " ".join(done.stderr.replace("npm error", "").replace("npm ERR!", "").split())
        said = (
            said.partition("A complete log")[0].strip()[:400] or f"it ended with {done.returncode}"
        )
        raise UserError(f"npm can't install TensorFlow.js for Node: {said}; {_HINT}")


def _put(whole: Path, target: Path) -> None:
    """Renames; where another process was faster, its packages are the same."""
    if target.exists() and not _installed():
        shutil.rmtree(target)
    try:
        whole.rename(target)
    except OSError:
        if not _installed():
            raise
