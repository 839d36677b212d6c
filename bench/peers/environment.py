"""An environment of its own for each peer, made when it is first needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
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
    home = folder / name
    interpreter = home / "bin" / "python"
    stamp = home / ".pins"
    pins = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != pins:
        print(f"installing {name} into {home}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        command = [str(interpreter), "-m", "pip", "install", "--quiet", "-c", str(PINS)]
        subprocess.run([*command, name, *_NEEDED], check=True)
        stamp.write_text(pins)
    return interpreter
