"""Configuration at run time: reloads by gRPC and by file, labels, policies, flags."""

import json
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest

from tests.support import exports
from tests.support.servers import ROOT, ServerProcess
from wire import services
from wire import serving_pb2 as pb


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    for version in (1, 2):
        exports.scaled(base, version)
        exports.scaled(base, version, name="other")
    return base


def config(models, *names, policy="", labels=""):
    entries = (
        f'config {{ name: "{name}" base_path: "{models / name}" {policy} {labels} }}'
        for name in names
    )
    return f"model_config_list {{ {' '.join(entries)} }}"


def reload(server, text):
    from google.protobuf import text_format

    request = pb.ReloadConfigRequest(config=text_format.Parse(text, pb.ModelServerConfig()))
    with server.channel() as channel:
        try:
            response = services.MODEL_METHODS["HandleReloadConfigRequest"].stub(channel)(
                request, timeout=60
            )
        except grpc.RpcError as error:
            return error.code().value[0], error.details()
    return response.status.error_code, response.status.error_message


def predict(server, name, where=""):
    status, headers, body = server.rest(
        f"/v1/models/{name}{where}:predict", {"inputs": [[1.0] * 4]}
    )
    return headers.get("X-Model-Version") if status == 200 else json.loads(body)["error"]


def test_a_reload_replaces_the_configuration(models, tmp_path):
    flags = ["--model_name=scaled", f"--model_base_path={models / 'scaled'}"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        assert predict(server, "scaled") == "2"
        assert reload(server, config(models, "scaled", "other")) == (0, "")
        assert predict(server, "other") == "2"
        policy = "model_version_policy { specific { versions: 1 versions: 2 } }"
        labels = 'version_labels { key: "old" value: 1 }'
        assert reload(server, config(models, "other", policy=policy, labels=labels)) == (0, "")
        server.wait_for("other", 1)
        assert predict(server, "other", "/labels/old") == "1"
        assert predict(server, "scaled") == "Servable not found for request: Latest(scaled)"
        server.wait_for("scaled", 2, "END")
        # What is wrong changes nothing.
        bad = 'version_labels { key: "old" value: 7 }'
        assert reload(server, config(models, "other", labels=bad)) == (
            9,
            "Request to assign label to version 7 of model other, "
            "which is not currently available for inference",
        )
        assert predict(server, "other", "/labels/old") == "1"
        code, message = reload(server, config(models, "other", "missing"))
        assert (code, message) == (2, "Some models did not become available: {missing}")
        assert predict(server, "other") == "2"
        # Nor does what is no list of models, or names a path that leads elsewhere each time.
        only_lists = (
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
        for text in ("", "custom_model_config {}"):
            assert reload(server, text) == (3, only_lists)
        for path in ("", "relative", "./m", "file://m"):
            text = config(models, "other").replace(str(models / "other"), path)
            assert reload(server, text) == (
                3,
                f"Expected model other to have an absolute path or URI; got base_path()={path}",
            )
        text = config(models, "other", "other")
        message = "Illegal to list model other multiple times in config list"
        assert reload(server, text) == (3, message)
        assert predict(server, "other") == "2"
        assert server.states("other")[2] == "AVAILABLE"


def test_a_model_that_moves_is_loaded_from_where_it_is_now(models, tmp_path):
    """Even where its version has the same number."""
    exports.scaled(tmp_path / "there", 2, name="scaled")
    x = [[1.0] * 4]
    flags = ["--model_name=scaled", f"--model_base_path={models / 'other'}"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        assert reload(server, config(tmp_path / "there", "scaled")) == (0, "")
        status, headers, _ = server.rest("/v1/models/scaled:predict", {"inputs": x})
        assert (status, headers["X-Model-Version"]) == (200, "2")
        assert server.log.count("scaled version 2: AVAILABLE") == 2
        deadline = time.monotonic() + 30
        while "scaled version 2: END" not in server.log:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert predict(server, "scaled") == "2"


def test_a_config_file_that_is_not_utf8_is_named(models, tmp_path):
    file = tmp_path / "models.config"
    file.write_bytes(b"\xff\xfe" + config(models, "scaled").encode())
    result = run(f"--model_config_file={file}")
    assert result.returncode == 2
    assert f"{file}: not UTF-8" in result.stderr
    assert "Traceback" not in result.stderr
    file.write_text(config(models, "scaled"))
    flags = [f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        file.write_bytes(b"\xff")
        deadline = time.monotonic() + 30
        while f"{file}: not UTF-8" not in server.log:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert predict(server, "scaled") == "2"
        file.write_text(config(models, "other"))  # it goes on looking
        server.wait_for("other", 2)


@pytest.mark.parametrize("flag", ["auth_token_file", "ssl_config_file", "monitoring_config_file"])
def test_any_file_that_is_not_utf8_ends_the_process(models, tmp_path, flag):
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    result = run(f"--model_base_path={models / 'scaled'}", f"--{flag}={tmp_path / 'file'}")
    assert result.returncode == 2
    assert "isn't UTF-8" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_config_file_is_polled(models, tmp_path):
    file = tmp_path / "models.config"
    file.write_text(config(models, "scaled"))
    flags = [f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        file.write_text("model_config_list { nonsense")
        deadline = time.monotonic() + 30
        while "Error parsing text-format tensorflow.serving.ModelServerConfig" not in server.log:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert predict(server, "scaled") == "2"
        file.write_text(config(models, "other"))
        server.wait_for("other", 2)
        server.wait_for("scaled", 2, "END")


def test_an_empty_base_path_waits_and_then_serves(models, tmp_path):
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'scaled'}"]
    with ServerProcess(tmp_path / "log", *flags, wait_s=0) as server:
        deadline = time.monotonic() + 60
        while "no versions of servables found yet" not in server.log:
            assert time.monotonic() < deadline, server.log
            time.sleep(0.1)
        assert "Running gRPC ModelServer" not in server.log
        (tmp_path / "scaled").symlink_to(models / "scaled")
        server.wait_until_open()
        assert predict(server, "scaled") == "2"


def test_polling_may_be_switched_off(models, tmp_path):
    exports.scaled(tmp_path, 1)
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'scaled'}"]
    with ServerProcess(tmp_path / "log", *flags, "--file_system_poll_wait_seconds=0") as server:
        exports.scaled(tmp_path, 2)
        time.sleep(1)
        assert server.states("scaled") == {1: "AVAILABLE"}


def run(*flags):
    return subprocess.run(
        [sys.executable, "-m", "server", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_bad_config_file_ends_the_process(tmp_path):
    file = tmp_path / "models.config"
    file.write_text("model_config_list { config { name: 3 } }")
    result = run(f"--model_config_file={file}")
    assert result.returncode == 2
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "name a model: --model_base_path=DIR, or --model_config_file=FILE"),
        (["--model_config_file=/none"], "No such file or directory: '/none'"),
        (["--model_base_path=/m", "--nonsense=1"], "unrecognized arguments: --nonsense=1"),
        (["--model_base_path=/m", "--enable_batching=maybe"], "neither true nor false"),
        (
            ["--model_base_path=/m", "--batching_parameters_file=/none"],
            "--batching_parameters_file is set without --enable_batching",
        ),
        (["--model_base_path=/m", "--rest_api_port=8500"], "cannot be same as --port"),
        (["--model_base_path=/m", "--grpc_channel_arguments=x"], "'x' isn't key=value"),
    ],
)
def test_wrong_flags_are_named(flags, message):
    result = run(*flags)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_flags_without_effect_are_named(models, tmp_path):
    flags = ["--model_name=scaled", f"--model_base_path={models / 'scaled'}"]
    more = ["--tensorflow_session_parallelism=2", "--flush_filesystem_caches=false"]
    with ServerProcess(tmp_path / "log", *flags, *more, "--rest_api_num_threads=4") as server:
        assert "--flush_filesystem_caches has no effect here" in server.log
        assert "--rest_api_num_threads has no effect here" in server.log
        assert "--tensorflow_session_parallelism has no effect" not in server.log


def test_the_version_is_shown():
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("TensorFlow ModelServer: ")


def test_tensor_content_may_be_asked_for(models, tmp_path):
    flags = ["--model_name=scaled", f"--model_base_path={models / 'scaled'}"]
    with ServerProcess(
        tmp_path / "log", *flags, "--enable_serialization_as_tensor_content"
    ) as server:
        request = pb.PredictRequest(model_spec=pb.ModelSpec(name="scaled"))
        request.inputs["inputs"].dtype = 1
        request.inputs["inputs"].tensor_content = np.ones((1, 4), np.float32).tobytes()
        for size in (1, 4):
            request.inputs["inputs"].tensor_shape.dim.add(size=size)
        with server.channel() as channel:
            response = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
        output = response.outputs["output_0"]
        assert (len(output.tensor_content), list(output.float_val)) == (12, [])
