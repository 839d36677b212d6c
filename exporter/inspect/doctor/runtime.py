"""Whether a version loads and answers in this machine's TensorFlow."""

from __future__ import annotations

from pathlib import Path

from artifact.manifest import Manifest
from exporter.errors import CheckFailed, UserError
from exporter.inspect.doctor.finding import Finding, fine, wrong
from exporter.inspect.doctor.symptoms import diagnose, shortened
from exporter.verify.check import check
from exporter.verify.process import check_platforms, reloader


def examine(version_dir: Path) -> Finding:
    """Loads the version in a fresh process and runs its golden examples."""
    manifest = Manifest.read(version_dir)
    label = f"{version_dir.parent.name}/{version_dir.name}"
    try:
        check_platforms(manifest.platforms)
    except UserError:
        platforms = ",".join(manifest.platforms)
        fix = f"export it again with --platforms cpu,{platforms}; or examine it on such a machine"
        return wrong("platform", f"{label} is for {platforms}, which this machine hasn't", fix)
    try:
        with reloader(manifest.platforms) as process:
            parity = check(version_dir, label, process, {})
    except CheckFailed as error:
        text = str(error)
        if "differs from JAX" in text:
            fix = "export the version again; if it stays, the runtime computes otherwise"
            return wrong("answers", text, fix)
        fix = f"export it again, in the TensorFlow of the server ({manifest.versions})"
        return diagnose(text, wrong("TensorFlow", shortened(text), fix))
    largest = max((p.max_abs_err for p in parity), default=0.0)
    return fine("TensorFlow", f"loads here and answers as JAX did (max |difference| {largest:.1e})")
