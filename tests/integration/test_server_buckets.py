"""The embedded server and the exporter's command line with models in buckets."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from artifact import versions
from tests.support import buckets, exports, needs
from tests.support.servers import ROOT, ServerProcess

needs.package("obstore")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["s3", "gs", "hf"])
def stand(request):
    with buckets.stand(request.param) as found:
        yield found


@pytest.fixture(scope="module")
def s3():
    with buckets.stand("s3") as found:
        yield found


def _server(tmp_path, address, *flags, **more):
    return ServerProcess(
        tmp_path / "server.log",
        "--model_name=scaled",
        f"--model_base_path={address}",
        "--bucket_poll_wait_seconds=0.2",
        "--file_system_poll_wait_seconds=0.1",
        f"--bucket_cache_dir={tmp_path / 'versions'}",
        f"--compilation_cache_dir={tmp_path / 'xla'}",
        *flags,
        **more,
    )


def _publish(stand, tmp_path, number):
    directory = exports.scaled(tmp_path / "models", number)
    return stand.store().publish(number, directory, lambda version: None)


def _check(server, version):
    x = np.arange(4, dtype=np.float32)
    status, headers, body = server.rest("/v1/models/scaled:predict", {"instances": [x.tolist()]})
    assert (status, headers["X-Model-Version"]) == (200, str(version))
    answer = json.loads(body)["predictions"][0]
    np.testing.assert_allclose(answer, exports.scaled_answer(x, version), rtol=1e-5)


def test_versions_come_and_go_and_a_restart_fetches_nothing(stand, tmp_path):
    _publish(stand, tmp_path, 1)
    with _server(tmp_path, stand.model) as server:
        _check(server, 1)
        _publish(stand, tmp_path, 2)
        server.wait_for("scaled", 2)
        _check(server, 2)
        stand.delete(2)  # a rollback
        server.wait_for("scaled", 1)
        _check(server, 1)
        deadline = time.monotonic() + 30
        while len(list((tmp_path / "versions").glob("*.lock"))) > 1:
            assert time.monotonic() < deadline, "what is gone from the bucket stays in the cache"
            time.sleep(0.1)
    before = len(stand.requests)
    with _server(tmp_path, stand.model) as server:
        _check(server, 1)
        asked = [path for _, path in stand.requests[before:] if "/1/" in path]
    assert asked == []
    assert buckets.SECRET not in server.log


def test_a_damaged_version_is_never_served_until_it_is_mended(s3, tmp_path):
    model = s3.model.parent / "damaged"
    store = s3.store(model)
    first = exports.scaled(tmp_path / "models", 1)
    second = exports.scaled(tmp_path / "models", 2)
    store.publish(1, first, lambda version: None)
    with _server(tmp_path, model) as server:
        whole = (second / versions.SAVED_MODEL).read_bytes()
        (second / versions.SAVED_MODEL).write_bytes(whole[:-1] + b"?")
        store.publish(2, second, lambda version: None)
        deadline = time.monotonic() + 30
        while "not what the manifest says" not in server.log:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        _check(server, 1)
        (second / versions.SAVED_MODEL).write_bytes(whole)
        store.delete(f"2/{versions.SAVED_MODEL}")
        store.write(f"2/{versions.SAVED_MODEL}", second / versions.SAVED_MODEL)
        server.wait_for("scaled", 2)
        _check(server, 2)


def test_a_bucket_that_hangs_or_refuses_holds_up_nobody(s3, tmp_path):
    """What is loaded is served on; models elsewhere get their new versions."""
    bucket_model = s3.model.parent / "hanging"
    s3.store(bucket_model).publish(1, exports.scaled(tmp_path / "other", 1), lambda version: None)
    config = tmp_path / "models.config"
    entry = 'config { name: "%s" base_path: "%s" }'
    exports.scaled(tmp_path / "models", 1)
    places = (("scaled", bucket_model), ("local", tmp_path / "models" / "scaled"))
    listed = " ".join(entry % place for place in places)
    config.write_text(f"model_config_list {{ {listed} }}")
    with ServerProcess(
        tmp_path / "server.log",
        f"--model_config_file={config}",
        "--bucket_poll_wait_seconds=0.2",
        f"--bucket_cache_dir={tmp_path / 'versions'}",
    ) as server:
        _check(server, 1)
        for number, fault in enumerate(("503", lambda: time.sleep(15)), 2):
            s3.proxy.fault = lambda method, path, fault=fault: fault
            exports.scaled(tmp_path / "models", number)
            server.wait_for("local", number, wait_s=60)
            _check(server, 1)
        s3.proxy.fault = lambda method, path: None
        store = s3.store(bucket_model)
        store.publish(2, exports.scaled(tmp_path / "other", 2), lambda version: None)
        server.wait_for("scaled", 2, wait_s=90)


def test_the_exporter_publishes_into_a_bucket_and_checks_what_is_there(s3, tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "exporter", *arguments],
            cwd=ROOT, capture_output=True, text=True,
            env={**buckets.os.environ, "XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip

    base = "s3://models-bucket/exported"
    export = ("export", "tests.models.scalars:model", "--model_path", base, "--name", "scalars")
    done = run(*export, "--model_version=auto", "--json")
    assert done.returncode == 0, done.stderr
    assert f"published {base}/scalars/1" in done.stderr
    assert json.loads(done.stdout)["version"] == 1
    again = run(*export, "--model_version=1")
    assert again.returncode == 2
    assert "scalars/1 exists" in again.stderr
    assert "never replaced" in run(*export, "--overwrite").stderr
    verified = run("verify", f"{base}/scalars")
    assert verified.returncode == 0, verified.stderr
    s3.proxy.fault = lambda method, path: "403"
    refused = run(*export, "--model_version=auto")
    s3.proxy.fault = lambda method, path: None
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert "refused (403 SlowDown)" in refused.stderr
