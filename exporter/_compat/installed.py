"""What code is a user's own: neither this package's nor an installed one's."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

_HERE = str(Path(__file__).parents[1])


def is_installed(filename: str) -> bool:
    """Whether a file is this package's, another installed one's, or none at all."""
    return filename.startswith((_HERE, *sysconfig.get_paths().values(), sys.base_prefix, "<"))
