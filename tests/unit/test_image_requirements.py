"""What an image installs: an extra with its bounds, without what an image has no use for."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def requirements(extra):
    command = [sys.executable, "docker/requirements.py", extra]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {each.name: each for each in map(Requirement, done.stdout.splitlines())}


@pytest.mark.parametrize("extra", ["exporter", "server", "client"])
def test_bounds_are_kept(extra):
    found = requirements(extra)
    assert "7.36.2" in found["protobuf"].specifier
    assert "6.30.2" not in found["protobuf"].specifier
    assert "8.0.0" not in found["protobuf"].specifier


def test_tensorflow_comes_without_cuda_and_in_bounds():
    found = requirements("exporter")
    amd64, other = {"platform_machine": "x86_64"}, {"platform_machine": "aarch64"}
    for name, wanted in (("tensorflow-cpu", amd64), ("tensorflow", other)):
        assert [found[name].marker.evaluate(machine) for machine in (amd64, other)] == [
            wanted is amd64,
            wanted is other,
        ]
        assert "2.21.0" in found[name].specifier
        assert "2.22.0" not in found[name].specifier


def test_what_an_image_has_no_use_for_is_left_out():
    assert {"docker", "tensorflow-datasets", "PyYAML"}.isdisjoint(requirements("exporter"))
