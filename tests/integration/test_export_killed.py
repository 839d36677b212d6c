"""Exports that are killed leave nothing that a server could load by mistake."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import needs

needs.package("tensorflow", "exporter")

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.long)])
def test_killed_exports_never_leave_a_loadable_incomplete_version(tmp_path, count):
    done = subprocess.run(
        [sys.executable, "scripts/kill_exports.py", f"--count={count}", f"--model_path={tmp_path}"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("kill ") == count
