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
    made = engine.volumes.create(f"test-{uuid.uuid4().hex[:8]}")
    yield made.name
    made.remove(force=True)


@pytest.fixture
def export(engine, images):
    """Starts exporters, and removes them at the end."""
    started = []

    def start(mount, *flags):
        started.append(
            engine.containers.run(
                images["exporter"].id, [*FLAGS, *flags], detach=True, mounts=[mount], **HARDENED
            )
        )
        return started[-1]

    yield start
    for container in started:
        container.remove(force=True)


def test_full_volume_publishes_nothing_and_says_so(engine, export):
    tiny = Mount("/models", None, type="tmpfs", tmpfs_size=1_000_000, tmpfs_mode=0o777)
    exporter = export(tiny, "--model_version=1")
    assert exporter.wait()["StatusCode"] not in (0, 137)
    log = exporter.logs().decode()
    assert "published" not in log.replace("nothing was published", "")
    assert "No space left on device" in log
    assert "Traceback" not in log


def test_export_killed_while_it_writes_leaves_nothing_to_serve(engine, images, export, volume):
    mount = Mount("/models", volume)
    victim = export(mount, "--model_version=1")
    _wait_for_staging(victim)
    victim.kill("SIGKILL")
    victim.wait()
    assert _versions(victim) == []
    assert export(mount, "--model_version=1").wait()["StatusCode"] == 0
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
