"""An environment of its own for each peer, made when it is first needed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import Peer
from client.errors import Unavailable


def python(peer: Peer, folder: Path) -> Path:
    """Returns the interpreter of a peer's environment, which is made if it isn't there.

    Args:
        peer: What is in it.
        folder: Where environments are.

    Raises:
        Unavailable: its packages can't be installed; what pip said is in it.
    """
    try:
        return with_packages(folder / peer.name, peer.packages, peer.constraints)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()
        raise Unavailable(
            f"{peer.title} can't be installed: {said[-1] if said else error}"
        ) from None


def with_packages(home: Path, packages: Sequence[str], pins: Path) -> Path:
    """Returns the interpreter of an environment, which is made if it isn't there.

    Args:
        home: Its directory.
        packages: What is in it.
        pins: A constraints file with the versions of all.

    Raises:
        subprocess.CalledProcessError: a package can't be installed; pip's errors are its `stderr`.
    """
    interpreter = home / "bin" / "python"
    stamp = home / ".pins"
    digest = hashlib.sha256("\n".join([*packages, pins.read_text()]).encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        print(f"installing {', '.join(packages)} into {home}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        command = [str(interpreter), "-m", "pip", "install", "--quiet", "-c", str(pins)]
        subprocess.run([*command, *packages], check=True, stderr=subprocess.PIPE, text=True)
        stamp.write_text(digest)
    return interpreter
