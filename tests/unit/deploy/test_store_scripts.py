"""The scripts of the object-storage overlay, by rclone itself, with a directory for a bucket."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import time

import pytest

from tests.support import needs
from tests.support.manifests import ROOT

SCRIPTS = ROOT / "deploy" / "overlays" / "object-storage"
MANIFEST = "assets.extra/manifest.json"


@pytest.fixture
def store(tmp_path):
    """A bucket, and the variables that lead the scripts to it."""
    needs.program("rclone", debian="rclone")
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    return bucket, {
        "PATH": os.environ["PATH"],
        "BUCKET": str(bucket),
        "RCLONE_CONFIG": str(tmp_path / "none.conf"),
        "RCLONE_CONFIG_STORE_TYPE": "local",
        "MODELS": str(tmp_path / "models"),
        "FETCH_SECONDS": "0.2",
    }


def version(base, number, name="m"):
    """Writes a small version as the exporter does: its manifest has the digests of the others."""
    directory = base / name / str(number)
    (directory / "assets.extra").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"model %d" % number)
    (directory / "variables").mkdir()
    (directory / "variables" / "variables.index").write_bytes(b"weights %d" % number)
    digests = {
        str(path.relative_to(directory)): f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    (directory / MANIFEST).write_text(json.dumps({"model": name, "digests": digests}, indent=2))
    return directory


def run(script, *args, env):
    command = ["sh", SCRIPTS / script, *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def beside(env):
    """fetch.sh as it runs beside a server."""
    process = subprocess.Popen(
        ["sh", SCRIPTS / "fetch.sh", "forever"], env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_version_comes_to_the_bucket_and_to_the_server(store, tmp_path):
    bucket, env = store
    version(tmp_path / "models", 1)
    done = run("upload.sh", env=env)
    assert done.returncode == 0, done.stderr
    assert (bucket / "m/1" / MANIFEST).is_file()
    there = env | {"MODELS": str(tmp_path / "served")}
    (tmp_path / "served").mkdir()
    done = run("fetch.sh", "once", env=there)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "served/m/1/variables/variables.index").read_bytes() == b"weights 1"


def test_the_next_number_is_after_all_of_the_bucket(store, tmp_path):
    bucket, env = store
    version(bucket, 1)
    (version(bucket, 7) / MANIFEST).unlink()  # an upload that was broken off
    (tmp_path / "models").mkdir()
    done = run("names.sh", env=env)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "models/m").iterdir()) == ["1", "7"]
    version(tmp_path / "models", 8)
    done = run("upload.sh", env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("uploaded") == 1
    assert (bucket / "m/8" / MANIFEST).is_file()


def test_without_a_new_version_the_upload_fails(store, tmp_path):
    _, env = store
    (tmp_path / "models/m/1").mkdir(parents=True)
    done = run("upload.sh", env=env)
    assert done.returncode == 1
    assert "no new version" in done.stderr


def test_an_upload_never_changes_what_is_published(store, tmp_path):
    bucket, env = store
    version(bucket, 1)
    (version(tmp_path / "models", 1) / "saved_model.pb").write_bytes(b"others!")
    assert run("upload.sh", env=env).returncode != 0
    assert (bucket / "m/1/saved_model.pb").read_bytes() == b"model 1"


def test_a_deleted_version_goes_and_the_one_before_stays(store, tmp_path):
    bucket, env = store
    models = tmp_path / "models"
    models.mkdir()
    version(bucket, 1)
    version(bucket, 2)
    with beside(env):
        wait_for(lambda: (models / "m/1").is_dir() and (models / "m/2").is_dir())
        (bucket / "m/2" / MANIFEST).unlink()
        wait_for(lambda: not (models / "m/2").exists())
        # An empty bucket is more likely a wrong name than the wish to serve nothing.
        shutil.rmtree(bucket / "m")
        time.sleep(1)
        assert (models / "m/1/saved_model.pb").is_file()
        shutil.rmtree(bucket)
        time.sleep(1)
        assert (models / "m/1/saved_model.pb").is_file()
    assert [path.name for path in models.iterdir()] == ["m"]


@pytest.mark.parametrize("damage", ["cut", "missing", "no digests"])
def test_half_a_version_is_never_seen(store, tmp_path, damage):
    bucket, env = store
    models = tmp_path / "models"
    models.mkdir()
    half = version(bucket, 2)
    whole = version(tmp_path / "aside", 2)
    if damage == "cut":
        (half / "variables/variables.index").write_bytes(b"weig")
    elif damage == "missing":
        (half / "saved_model.pb").unlink()
    else:
        (half / MANIFEST).write_text("{}")
    version(bucket, 1)
    with beside(env):
        wait_for(lambda: (models / "m/1").is_dir())
        time.sleep(1)
        assert not (models / "m/2").exists()
        shutil.copytree(whole, half, dirs_exist_ok=True)
        wait_for(lambda: (models / "m/2/variables/variables.index").is_file())
    assert (models / "m/2/variables/variables.index").read_bytes() == b"weights 2"
