"""TensorFlow.js for Node: pinned as the page's, installed once, refused in words."""

import json
import os
from pathlib import Path

import pytest

from tests.support import needs

needs.package("tensorflow", "exporter")

from exporter.errors import UserError
from exporter.formats.tfjs.node import check_available, install, packages

PAGE = Path(__file__).parents[2] / "web"
NPM = """\
#!/bin/sh
echo "$PWD $@" >>"$CALLS"
mkdir "$3/node_modules" && touch "$3/node_modules/.package-lock.json"
"""
FAILING_NPM = """\
#!/bin/sh
echo 'npm error code ENOTFOUND' >&2
echo 'npm error network request to https://registry.example failed' >&2
echo 'npm error A complete log of this run can be found in: /root/.npm/_logs/1.log' >&2
exit 1
"""


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A function that makes a program; no others are found, and the user's cache is empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))

    def make(name, text="#!/bin/sh\n"):
        # By its whole path: the shell looks along PATH, too.
        text = text.replace("mkdir", "/bin/mkdir").replace("touch", "/usr/bin/touch")
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    return make


def lock(folder):
    return json.loads((folder / "package-lock.json").read_text())["packages"]


def test_the_pins_are_those_of_the_page():
    ours, page = lock(packages.PINS.parent), lock(PAGE)
    assert ours.pop("")["dependencies"].items() <= page[""]["dependencies"].items()
    assert {name: entry["version"] for name, entry in ours.items()} == {
        name: page[name]["version"] for name in ours
    }
    assert {name: entry["integrity"] for name, entry in ours.items()} == {
        name: page[name]["integrity"] for name in ours
    }


def test_the_manifest_is_the_locked_one():
    manifest = json.loads(packages.PINS.with_name("package.json").read_text())
    assert manifest["dependencies"] == lock(packages.PINS.parent)[""]["dependencies"]


@pytest.mark.parametrize("folder", [packages.PINS.parent, PAGE])
def test_no_lock_file_names_where_packages_are_downloaded(folder):
    assert not [name for name, entry in lock(folder).items() if "resolved" in entry]


def test_packages_are_installed_once(programs, tmp_path):
    programs("node")
    programs("npm", NPM)
    target = install()
    assert target == install() == packages.directory()
    assert target.parent == tmp_path / "cache" / "jax-serving-stack"
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    assert sorted(os.listdir(target)) == ["node_modules", "package-lock.json", "package.json"]
    assert os.listdir(target.parent) == [target.name]


def test_what_is_there_needs_no_npm(programs):
    programs("node")
    programs("npm", NPM)
    install()
    Path(os.environ["PATH"], "npm").unlink()
    assert check_available().endswith("/node")
    install()


def test_half_an_installation_is_replaced(programs):
    programs("node")
    programs("npm", NPM)
    packages.directory().mkdir(parents=True)
    (packages.directory() / "junk").touch()
    assert "junk" not in os.listdir(install())


def test_missing_programs_are_named(programs):
    with pytest.raises(UserError, match=r"Node.* isn't installed.*apt.*--noverify_in_node"):
        install()
    programs("node")
    with pytest.raises(UserError, match=r"npm.* isn't installed.*apt.*--noverify_in_node"):
        check_available()


def test_a_failing_npm_is_quoted_in_one_line(programs):
    programs("node")
    programs("npm", FAILING_NPM)
    with pytest.raises(UserError) as raised:
        install()
    assert str(raised.value) == (
        "npm can't install TensorFlow.js for Node: code ENOTFOUND network request to "
        "https://registry.example failed; or skip the check with --noverify_in_node"
    )
    assert os.listdir(packages.directory().parent) == []


def test_a_cache_that_cannot_be_written_is_named(programs, monkeypatch, tmp_path):
    programs("node")
    programs("npm", NPM)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"file/jax-serving-stack/.*XDG_CACHE_HOME"):
        install()
