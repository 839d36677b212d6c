"""Which lines are a user's own: not the exporter's, Python's or an installed package's.

JAX knows only its own lines from others'.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

_HERE = str(Path(__file__).parents[1])
# Where installers put packages, of this environment or of one that it borrows from.
_PACKAGES = ("site-packages", "dist-packages")


def is_users(filename: str) -> bool:
    """Tells whether a file, as tracebacks name it, is a user's own."""
    installed = (_HERE, *sysconfig.get_paths().values(), sys.base_prefix, "<")
    return not filename.startswith(installed) and set(_PACKAGES).isdisjoint(Path(filename).parts)
