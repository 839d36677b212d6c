"""An environment of its own for each peer, made when it is first needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

PINS = Path(__file__).parent.parent / "constraints-peers.txt"
_NEEDED = ("flatbuffers", "jax", "numpy")  # for `bundle`


def python(name: str, folder: Path) -> Path:
    """Returns the interpreter of a peer's environment, which is made if it isn't there.

    Args:
        name: The peer's package.
        folder: Where environments are.

    Raises:
        subprocess.CalledProcessError: the package can't be installed.
    """
    return with_packages(folder / name, (name, *_NEEDED), PINS)


def with_packages(home: Path, packages: Sequence[str], pins: Path) -> Path:
    """Returns the interpreter of an environment, which is made if it isn't there.

    Args:
        home: Its directory.
        packages: What is in it.
        pins: A constraints file with the versions of all.

    Raises:
        subprocess.CalledProcessError: a package can't be installed.
    """
    interpreter = home / "bin" / "python"
    stamp = home / ".pins"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        print(f"installing {', '.join(packages)} into {home}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        command = [str(interpreter), "-m", "pip", "install", "--quiet", "-c", str(pins)]
        subprocess.run([*command, *packages], check=True)
        stamp.write_text(digest)
    return interpreter
