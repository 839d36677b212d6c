"""What tests need and a machine lacks is said; in CI it is a failure."""

import re
from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from tests.support import needs

TESTS = Path(__file__).parents[1]


@pytest.fixture(params=[Skipped, Failed])
def outcome(request, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    if request.param is Failed:
        monkeypatch.setenv("CI", "true")
    return request.param


def test_a_missing_package_names_its_extra(outcome):
    with pytest.raises(outcome, match=r"needs nonesuch: pip install -e '\.\[reuse\]'"):
        needs.package("nonesuch", "reuse")


def test_a_missing_program_names_its_package(outcome):
    with pytest.raises(outcome, match=r"needs nonesuch \(Debian: apt install none\)"):
        needs.program("nonesuch", "other", debian="none")


def test_missing_packages_of_npm_are_named(outcome, monkeypatch, tmp_path):
    monkeypatch.setattr(needs, "_PAGE_PACKAGES", tmp_path / "none")
    monkeypatch.setattr(needs.shutil, "which", lambda name: name)
    with pytest.raises(outcome, match="npm ci --prefix web"):
        needs.page()


def test_a_machine_without_node_is_told(outcome, monkeypatch):
    monkeypatch.setattr(needs.shutil, "which", lambda name: None)
    with pytest.raises(outcome, match="apt install nodejs"):
        needs.tensorflow_js()


def test_no_test_is_skipped_in_another_way():
    elsewhere = re.compile(r"pytest\.(importorskip|skip|mark\.skip|mark\.xfail)")
    found = {path.name for path in TESTS.rglob("*.py") if elsewhere.search(path.read_text())}
    assert found == {"needs.py"}


def test_what_is_there_is_returned():
    assert needs.package("pytest") is pytest
    assert needs.program("nonesuch", "sh", debian="dash").endswith("/sh")
