"""scripts/cluster: what it needs, and that it says so."""

import os
import subprocess
import sys

import pytest

from scripts.cluster import checks
from scripts.cluster.control_plane import NoCluster, find
from tests.support.manifests import FOLDERS, ROOT


def programs(folder, *names):
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return {"KUBEBUILDER_ASSETS": str(folder), "PATH": ""}


def run(*args, **environment):
    command = [sys.executable, "-m", "scripts.cluster", *args]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


def test_programs_are_found_where_envtest_has_them(tmp_path):
    environment = programs(tmp_path, "kube-apiserver", "etcd")
    found = find(environment)
    assert found == {name: tmp_path / name for name in ("kube-apiserver", "etcd")}


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(NoCluster, match=r"^no kube-apiserver in KUBEBUILDER_ASSETS"):
        find(programs(tmp_path, "etcd"))
    with pytest.raises(NoCluster, match="no kube-apiserver and no etcd on the path"):
        find({"PATH": str(tmp_path / "empty")})


def test_without_an_api_server_it_says_so_and_does_not_pass(tmp_path):
    done = run(KUBEBUILDER_ASSETS=str(tmp_path))
    assert done.returncode == 3
    assert "was not applied to a cluster: no kube-apiserver and no etcd in" in done.stderr
    assert run("--if-there", KUBEBUILDER_ASSETS=str(tmp_path)).returncode == 0


def test_a_server_that_ends_is_reported_with_its_log(tmp_path):
    programs(tmp_path, "etcd", "kube-apiserver")
    (tmp_path / "etcd").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "kube-apiserver").write_text("#!/bin/sh\necho no such flag >&2\nexit 1\n")
    done = run("--if-there", KUBEBUILDER_ASSETS=str(tmp_path))
    assert done.returncode == 1
    assert "doesn't get ready" in done.stderr
    assert "no such flag" in done.stderr


def test_all_folders_are_applied_and_kserves_come_last():
    found = checks.folders(ROOT / "deploy")
    assert sorted(found) == sorted(FOLDERS)
    assert [folder.startswith("kserve/") for folder in found] == [False] * 8 + [True] * 3
