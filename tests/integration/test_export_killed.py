"""Exports that are killed leave nothing that a server could load by mistake."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs tensorflow: pip install -e '.[exporter]'")

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_exports_never_leave_a_loadable_incomplete_version(tmp_path):
    done = subprocess.run(
        [sys.executable, "scripts/kill_exports.py", "--count=8", f"--model_path={tmp_path}"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("kill ") == 8
