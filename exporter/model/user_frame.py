"""Where in a user's own code an error comes from."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from pathlib import Path

_HERE = str(Path(__file__).parents[1])


def describe(error: BaseException) -> str:
    """Returns an error's kind and first line, and the last line of the user's code behind it.

    Frames of this package and of installed ones are left out.
    """
    text = (str(error).strip() or "no message").splitlines()[0]
    described = f"{type(error).__name__}: {text}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not is_installed(frame.filename):
            return f"{described} ({frame.filename}:{frame.lineno})"
    return described


def is_installed(filename: str) -> bool:
    """Tells the files of this package and of installed ones from a user's own."""
    installed = (_HERE, *sysconfig.get_paths().values(), sys.base_prefix, "<")
    return filename.startswith(installed)
