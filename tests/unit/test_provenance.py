"""The commit that a manifest names is the exporter's, or none."""

import subprocess

import pytest

from exporter.publish import provenance
from tests.support import needs


@pytest.fixture
def repository(tmp_path):
    """Somebody's, with one commit."""
    needs.program("git", debian="git")
    git = ("git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.com")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "1"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return tmp_path, head.stdout.strip()


def test_a_checkout_has_its_commit(repository, monkeypatch):
    root, head = repository
    monkeypatch.setattr(provenance, "_CHECKOUT", root)
    assert provenance.git_commit() == head


def test_an_installed_package_has_not_that_of_the_repository_around(repository, monkeypatch):
    root, _ = repository
    packages = root / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(provenance, "_CHECKOUT", packages)
    assert provenance.git_commit() is None
