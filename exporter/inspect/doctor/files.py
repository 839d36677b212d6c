"""What can be seen wrong with a version's directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from artifact import golden, versions
from artifact.manifest import Manifest, ManifestError, damaged_files
from artifact.variables import Bundle, BundleError
from exporter.inspect.doctor.finding import Finding, fine, wrong

_COPY = "copy the whole directory again, under a name that is no number, and rename it at the end"


def examine(version_dir: Path) -> Iterator[Finding]:
    """Looks at files and digests; ends with the first that is wrong."""
    label = f"{version_dir.parent.name}/{version_dir.name}"
    if not (version_dir / versions.SAVED_MODEL).is_file():
        yield wrong("files", f"{label} has no {versions.SAVED_MODEL}: half copied", _COPY)
        return
    try:
        manifest = Manifest.read(version_dir)
    except FileNotFoundError:
        yield wrong(
            "files",
            f"{label} has no {versions.MANIFEST}: half copied, or not of this exporter",
            f"{_COPY}; or publish it with `python -m exporter`",
        )
        return
    except ManifestError as error:
        yield wrong("files", str(error), _COPY)
        return
    missing = [name for name in manifest.digests if not (version_dir / name).is_file()]
    if missing:
        yield wrong("files", f"{label} is half copied, there is no {', '.join(missing)}", _COPY)
        return
    yield fine("files", f"{label} has all {len(manifest.digests)} files of its manifest")
    damaged = damaged_files(version_dir, manifest)
    if damaged:
        yield wrong(
            "digests",
            f"{label}: not as published: {', '.join(damaged)}",
            f"{_COPY}; or publish the version again",
        )
        return
    yield fine("digests", "each file has the digest that it was published with")
    try:
        bundle = Bundle(version_dir / versions.VARIABLES)
        for parameter in manifest.parameters:
            bundle.read(parameter.key)
        golden.read(version_dir)
    except (BundleError, KeyError, OSError, ValueError) as error:
        yield wrong("variables", f"{label}: {error}", "publish the version again")
        return
    yield fine("variables", f"{len(manifest.parameters)} parameters can be read")
    if not manifest.parity:
        yield wrong(
            "comparison",
            f"{label} was never compared with JAX (--notest_savedmodel)",
            f"compare it now: python -m exporter verify {version_dir}",
        )
