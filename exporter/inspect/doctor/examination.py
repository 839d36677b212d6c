"""All that a doctor looks at, in the order in which one thing rests on another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exporter.inspect.doctor import files, runtime, serving
from exporter.inspect.doctor.finding import Finding


def examine(
    version_dir: Path, *, address: str | None = None, model: str | None = None
) -> Iterator[Finding]:
    """Examines a version, and a server that should serve it.

    Args:
        version_dir: `<base>/<model>/<version>`.
        address: The server's `HOST:PORT`; None where none is asked.
        model: The model's name in the server; the directory's where None.
    """
    whole = True
    for finding in files.examine(version_dir):
        whole = whole and (finding.ok or finding.check == "comparison")
        yield finding
    if whole:
        yield runtime.examine(version_dir)
    if address is not None:
        yield from serving.examine(version_dir, model or version_dir.parent.name, address)
