"""Where a version comes from: package versions and the commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from exporter.convert.xla.target import Target

_CHECKOUT = Path(__file__).parents[2]
_PACKAGES = ("jax", "jaxlib", "flax", "tensorflow", "numpy")


def package_versions(target: Target | None) -> dict[str, str]:
    """Returns the versions that an export depends on, by name.

    Args:
        target: What its XLA modules are written for; None where it has none.
    """
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    if target is None:
        return found
    return found | {
        "stablehlo": target.stablehlo,
        "calling_convention": str(target.calling_convention),
    }


def git_commit() -> str | None:
    """Returns the commit of the code that exports, `-dirty` behind it after a change.

    None where it was installed: a repository around site-packages is somebody else's.
    """
    if not (_CHECKOUT / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            cwd=_CHECKOUT,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None
