"""The tutorial's lines, run as they stand in it."""

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.support import needs

needs.package("flax", "exporter")
needs.package("tensorflow", "exporter")

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```", (ROOT / "docs" / "tutorial.md").read_text(), re.MULTILINE | re.DOTALL
)


def test_it_takes_fifteen_lines():
    assert [language for language, _ in BLOCKS] == ["sh", "python", "sh"]
    assert sum(bool(line.strip()) for _, text in BLOCKS for line in text.splitlines()) <= 15


def test_what_is_installed_is_what_there_is():
    extras = re.fullmatch(r"pip install -e '\.\[([a-z,]+)\]'\n", BLOCKS[0][1])[1].split(",")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= known["optional-dependencies"].keys()


@pytest.mark.slow
def test_it_ends_with_the_answer_of_jax(tmp_path):
    (_, module), (_, commands) = BLOCKS[1:]
    (tmp_path / "my_model.py").write_text(module)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        ["bash", "-c", commands.replace("8501", str(port))],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout[done.stdout.index('{\n    "predictions"') :])

    namespace = {}
    exec(compile(module, "my_model.py", "exec"), namespace)
    func, params, _ = namespace["build"]()
    expected = func(params, np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32))
    np.testing.assert_allclose(answer["predictions"], expected, rtol=1e-5, atol=1e-5)
