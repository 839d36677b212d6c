"""Exports that go wrong in a container: a full disk, a kill in the middle."""

import io
import tarfile
import time
import uuid

import pytest
from docker.types import Mount

from tests.support.compose import MODEL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FLAGS = [f"--model={MODEL}", "--num_epochs=0", "--model_path=/models", "--serving_batch_size=-1"]
HARDENED = {"read_only": True, "tmpfs": {"/tmp": ""}, "init": True, "cap_drop": ["ALL"]}


@pytest.fixture
def volume(engine):
    """Makes a volume, of a limited size in bytes where one is given; returns its name."""
    made = []

    def make(size=None):
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"size={size},uid=10001"}
        name = f"test-{uuid.uuid4().hex[:8]}"
        made.append(engine.volumes.create(name, driver_opts=options if size else None))
        return name

    yield make
    for volume in made:
        volume.remove(force=True)


@pytest.fixture
def export(engine, images, volume):
    """Starts exporters, and removes them at the end, before their volumes."""
    started = []

    def start(name):
        mounts = [Mount("/models", name)]
        started.append(
            engine.containers.run(
                images["exporter"].id, FLAGS, detach=True, mounts=mounts, **HARDENED
            )
        )
        return started[-1]

    yield start
    for container in started:
        container.remove(force=True)


def test_full_volume_publishes_nothing_and_says_so(export, volume):
    exporter = export(volume(size=1_000_000))
    assert exporter.wait()["StatusCode"] not in (0, 137)
    log = exporter.logs().decode()
    assert "No space left on device; nothing was published" in log
    assert "Traceback" not in log


def test_export_killed_while_it_writes_leaves_nothing_to_serve(export, volume):
    shared = volume()
    victim = export(shared)
    _wait_for_staging(victim)
    victim.kill("SIGKILL")
    victim.wait()
    assert _versions(victim) == []
    assert export(shared).wait()["StatusCode"] == 0
    assert _versions(victim) == ["1"]
    assert _names(victim, f"/models/{MODEL}") == [MODEL, "1"]  # the staging is gone


def _wait_for_staging(container):
    """Waits until the exporter has begun to write its version."""
    for _ in range(1200):
        if any(name.endswith("saved_model.pb") for name in _paths(container, "/models")):
            return
        container.reload()
        assert container.status != "exited", container.logs().decode()
        time.sleep(0.05)
    pytest.fail("the exporter never began to write")


def _versions(container):
    """Directories that a server would take for versions."""
    return [
        path.split("/")[-2]
        for path in _paths(container, "/models")
        if path.endswith("/saved_model.pb") and path.split("/")[-2].isdecimal()
    ]


def _names(container, folder):
    """The folder's own name and what lies in it."""
    inside = [path.split("/") for path in _paths(container, folder)]
    return [parts[-1] for parts in inside if len(parts) <= 2]


def _paths(container, folder):
    archive, _ = container.get_archive(folder)
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive))) as tar:
        return sorted(name.rstrip("/") for name in tar.getnames())
