"""The bounds in pyproject.toml are those of what is tested."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts import versions

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
FAST = {"flax", "grpcio", "jax", "jaxlib", "protobuf", "tensorflow"}


def pins(text, python="3.11"):
    """Versions by name, as a Python reads a constraints file."""
    lines = [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]
    found = {}
    for line in lines:
        if line.marker is None or line.marker.evaluate({"python_version": python}):
            (pin,) = line.specifier
            name = canonicalize_name(line.name)
            assert name not in found, f"{name} is pinned twice"
            found[name] = Version(pin.version)
    return found


def bounded():
    """What pyproject.toml gives a lower and an upper bound, by name and extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"]} | project["optional-dependencies"]
    return {
        (canonicalize_name(line.name), extra): line.specifier
        for extra, lines in groups.items()
        for line in map(Requirement, lines)
        if {">=", "<"} <= {each.operator for each in line.specifier}
    }


def test_what_moves_fast_has_bounds_the_same_in_all_extras():
    by_name = {}
    for (name, _), specifier in bounded().items():
        assert by_name.setdefault(name, specifier) == specifier, name
    assert by_name.keys() >= FAST
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for lines in project["optional-dependencies"].values():
        for line in map(Requirement, lines):
            assert line.name not in FAST or line.specifier == by_name[line.name]


def test_the_oldest_pair_is_that_of_the_lower_bounds():
    oldest = pins(versions.constraints(versions.PAIRS["oldest"].pins))
    for (name, _), specifier in bounded().items():
        (lower,) = [each.version for each in specifier if each.operator == ">="]
        assert oldest[name] == Version(lower), name


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_are_within_the_bounds(python):
    pinned = pins((ROOT / "constraints.txt").read_text(), python)
    for (name, _), specifier in bounded().items():
        assert pinned[name] in specifier, name


def test_the_newest_pair_is_next_to_the_upper_bounds_of_jax():
    newest = pins(versions.constraints(None), versions.PAIRS["newest"].python)
    for name in ("jax", "jaxlib", "flax", "tensorflow"):
        (upper,) = [each.version for each in bounded()[name, "exporter"] if each.operator == "<"]
        major, minor = newest[name].release[:2]
        assert Version(f"{major}.{minor + 1}") == Version(upper), name


def test_a_missing_python_is_named(monkeypatch, capsys):
    monkeypatch.setattr(versions, "find_python", {"3.11": "/usr/bin/python3.11"}.get)
    monkeypatch.setattr("sys.argv", ["versions.py"])
    assert versions.main() == 2
    assert "Python 3.13 is missing" in capsys.readouterr().err
