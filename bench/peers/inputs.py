"""What a version's signature calls its input."""

from __future__ import annotations

from pathlib import Path

from artifact.manifest import Manifest


def only(version_dir: Path) -> str:
    """Returns the name of the default signature's only input."""
    (name,) = Manifest.read(version_dir).signatures["serving_default"].inputs
    return name
