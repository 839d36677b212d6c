"""Where in a user's own code an error comes from."""

from __future__ import annotations

import traceback

from exporter._compat.frames import is_users


def describe(error: BaseException) -> str:
    """Returns an error's kind and first line, and the last line of the user's code behind it.

    Frames of this package and of installed ones are left out.
    """
    text = (str(error).strip() or "no message").splitlines()[0]
    described = f"{type(error).__name__}: {text}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_users(frame.filename):
            return f"{described} ({frame.filename}:{frame.lineno})"
    return described
