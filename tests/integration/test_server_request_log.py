"""Request logs: what is written, who reads it, and what it is good for."""

import shutil
import time

import numpy as np
import pytest

from tests.support import exports, needs
from tests.support.servers import ServerProcess
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
        return ServerProcess(tmp_path / "log", f"--model_config_file={file}")

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
    with serve(0.0, tmp_path / "none") as server:
        predict_by_grpc(server, "scaled", np.ones((1, 4), np.float32))
    assert not list(tmp_path.glob("none*"))
    with serve(1.0, "/proc/none/file") as server:
        for _ in range(3):
            predict_by_grpc(server, "scaled", np.ones((1, 4), np.float32))
    assert server.log.count("requests are missing in the request log") == 1
