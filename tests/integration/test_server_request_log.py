"""Request logs: what is written, who reads it, and what it is good for."""

import shutil
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest
from google.protobuf import text_format

from tests.support import exports, needs
from tests.support.servers import ROOT, ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

needs.package("tensorflow", "exporter")
needs.package("tensorflow_serving", "exporter")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    exports.scaled(base, 1)
    exports.scaled(base, 1, name="quiet")
    return base


def config(models, rate, prefix):
    return f"""model_config_list {{
        config {{ name: "scaled" base_path: "{models / "scaled"}" logging_config {{
            log_collector_config {{ type: "file" filename_prefix: "{prefix}" }}
            sampling_config {{ sampling_rate: {rate} }} }} }}
        config {{ name: "quiet" base_path: "{models / "quiet"}" }} }}"""


@pytest.fixture
def serve(models, tmp_path):
    def start(rate, prefix):
        file = tmp_path / "models.config"
        file.write_text(config(models, rate, prefix))
        flags = [f"--model_config_file={file}", f"--request_log_dir={tmp_path / 'requests'}"]
        return ServerProcess(tmp_path / "log", *flags)

    return start


def predict_by_grpc(server, name, x):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name=name))
    request.inputs["inputs"].CopyFrom(tensors.from_array(x))
    with server.channel() as channel:
        services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)


def test_tensorflow_reads_the_log_and_it_warms_up_the_next_version(models, serve, tmp_path):
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    rows = [np.full((n, 4), n, np.float32) for n in (1, 2)]
    with serve(1.0, tmp_path / "requests" / "scaled") as server:
        predict_by_grpc(server, "scaled", rows[0])
        assert server.rest("/v1/models/scaled:predict", {"instances": rows[1].tolist()})[0] == 200
        assert server.rest("/v1/models/scaled:predict", {"instances": ["x"]})[0] == 400
        predict_by_grpc(server, "quiet", rows[0])
    (file,) = (tmp_path / "requests").iterdir()
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())  # checks the checksums
    assert len(records) == len(rows)
    for record, x in zip(records, rows, strict=True):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert (log.log_metadata.model_spec.name, log.log_metadata.model_spec.version.value) == (
            "scaled", 1
        )  # fmt: skip
        assert list(log.log_metadata.saved_model_tags) == ["serve"]
        assert abs(log.log_metadata.timestamp_secs - time.time()) < 600
        assert log.log_metadata.sampling_config.sampling_rate == 1.0
        np.testing.assert_array_equal(tf.make_ndarray(log.predict_log.request.inputs["inputs"]), x)
        answer = tf.make_ndarray(log.predict_log.response.outputs["output_0"])
        np.testing.assert_allclose(answer, exports.scaled_answer(x, 1), rtol=1e-5, atol=1e-5)
    version = shutil.copytree(models / "scaled" / "1", tmp_path / "next" / "2")
    shutil.copy(file, version / "assets.extra" / "tf_serving_warmup_requests")
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'next'}"]
    with ServerProcess(tmp_path / "log2", *flags) as server:
        assert "2 warm-up records" in server.log


def test_a_share_is_logged_and_a_disk_that_fails_fails_no_request(serve, tmp_path):
    with serve(0.0, "none") as server:
        predict_by_grpc(server, "scaled", np.ones((1, 4), np.float32))
    assert not (tmp_path / "requests").exists()
    (tmp_path / "requests").mkdir()
    (tmp_path / "requests" / "file").write_text("")
    with serve(1.0, "file/scaled") as server:
        for _ in range(3):
            predict_by_grpc(server, "scaled", np.ones((1, 4), np.float32))
    assert server.log.count("requests are missing in the request log") == 1


def run(file, *flags):
    return subprocess.run(
        [sys.executable, "-m", "server", f"--model_config_file={file}", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_logs_elsewhere_are_refused_at_start_and_by_a_reload(models, serve, tmp_path):
    file = tmp_path / "wrong.config"
    file.write_text(config(models, 1.0, tmp_path / "elsewhere"))
    result = run(file)
    assert (result.returncode, "--request_log_dir=DIR" in result.stderr) == (2, True)
    result = run(file, f"--request_log_dir={tmp_path / 'requests'}")
    assert (result.returncode, "leads out of" in result.stderr) == (2, True)
    assert "Traceback" not in result.stderr
    with serve(1.0, "scaled") as server, server.channel() as channel:
        reload = services.MODEL_METHODS["HandleReloadConfigRequest"].stub(channel)
        for prefix in ("../elsewhere", "/etc/cron.d/x", f"{tmp_path}/requests/../x"):
            text = config(models, 1.0, prefix)
            request = pb.ReloadConfigRequest(config=text_format.Parse(text, pb.ModelServerConfig()))
            with pytest.raises(grpc.RpcError, match="leads out of") as caught:
                reload(request, timeout=60)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        predict_by_grpc(server, "scaled", np.ones((1, 4), np.float32))
    assert len(list((tmp_path / "requests").glob("scaled-*.tfrecord"))) == 1
