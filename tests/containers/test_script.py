"""scripts/stack: which server it chooses, and that it leaves nothing of another one."""

import os
import subprocess
import urllib.request

import pytest

from tests.support.compose import MODEL, ROOT

# Some other tag than the official ones: what has it is this project's server, for the test alone.
TAG = "test-stand-in"
SCRIPT = str(ROOT / "scripts/stack")


@pytest.fixture
def stand_in(engine, images):
    images["server"].tag("tensorflow/serving", TAG)
    yield
    engine.images.remove(f"tensorflow/serving:{TAG}", force=True)


def running(engine, stack):
    services = ("model-server", "model-server-embedded", "model-server-gpu")
    return [name for name in services for c in stack.containers(engine, name)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_up_takes_what_this_engine_can_run_in_place_of_what_ran(engine, stack, stand_in):
    """After the shared stack's embedded server: the official image, and the embedded one again."""
    for tag, server, why in (
        (TAG, "official", f"tensorflow/serving:{TAG} is here"),
        ("none", "embedded", "tensorflow/serving:none can't be pulled"),
    ):
        done = stack.run(SCRIPT, "up", check=False, COMPOSE_PROFILES="", TF_SERVING_TAG=tag)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"the {server} model server: {why}" in done.stderr
        assert "is published already" in done.stderr
        assert f"│ server  {server}: " in done.stdout
        name = "model-server" if server == "official" else f"model-server-{server}"
        assert running(engine, stack) == [name]
        url = f"http://127.0.0.1:{stack.rest_port}/v1/models/{MODEL}"
        with urllib.request.urlopen(url, timeout=30) as response:
            assert b"AVAILABLE" in response.read()
    checked = stack.run(SCRIPT, "check")
    assert checked.stdout.count("agrees") == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_down_leaves_nothing_whatever_the_profile(engine, stack):
    """Plain `docker compose down` would: the embedded server isn't in the default profile."""
    stack.run(SCRIPT, "down")
    label = {"label": f"com.docker.compose.project={stack.project}"}
    assert engine.containers.list(all=True, filters=label) == []
    assert engine.networks.list(filters=label) == []
    assert [volume.name for volume in engine.volumes.list(filters=label)] == [stack.volume]
    # Other tests look at both.
    stack("--profile", "embedded", "up", "--detach", "--no-deps", "exporter")
    stack("--profile", "embedded", "up", "--detach", "--wait", "--no-deps", "model-server-embedded")


# What can't be had here, another architecture and an old Compose, by a docker that says so.
DOCKER = """#!/usr/bin/env bash
case "$*" in
  "compose version --short") echo {version} ;;
  "info --format {{{{.Architecture}}}}") echo {architecture} ;;
  "info") ;;
  *) exit 1 ;;
esac
"""


def up(folder, *, version="v2.26.1-4", architecture="x86_64", **variables):
    docker = folder / "docker"
    docker.write_text(DOCKER.format(version=version, architecture=architecture))
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **variables}
    environment.setdefault("COMPOSE_PROFILES", "")
    return subprocess.run([SCRIPT, "up"], env=environment, capture_output=True, text=True).stderr


def test_arm64_gets_the_embedded_server(tmp_path):
    said = up(tmp_path, architecture="aarch64")
    assert "the embedded model server: this engine is aarch64, tensorflow/serving" in said


def test_what_is_chosen_is_left_so(tmp_path):
    said = up(tmp_path, architecture="aarch64", COMPOSE_PROFILES="monitoring,official")
    assert "the official model server, as COMPOSE_PROFILES says" in said


@pytest.mark.parametrize("version", ["2.24.3", "v2.9.0", "2.20.1-desktop.2"])
def test_an_old_compose_is_named(tmp_path, version):
    plain = version.removeprefix("v")
    assert f"docker compose is {plain}; compose.yaml needs 2.24.4 or later" in up(
        tmp_path, version=version
    )


@pytest.mark.parametrize("version", ["2.24.4", "v2.26.1-4", "2.100.0", "5.0.1"])
def test_a_newer_compose_is_taken(tmp_path, version):
    assert "or later" not in up(tmp_path, version=version)
