"""TensorFlow Lite models with --prefer_tflite_model."""

import json

import numpy as np

from tests.support import needs, saved_models
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

needs.package("ai_edge_litert", "reuse")


def test_a_tflite_model_is_served_by_both_faces(tmp_path):
    saved_models.tflite(tmp_path / "lite")
    flags = ["--model_name=lite", f"--model_base_path={tmp_path / 'lite'}", "--prefer_tflite_model"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        assert "loaded by engine tflite" in server.log
        path = "/v1/models/lite:predict"
        for batch_size in (1, 3, 2):
            x = np.random.default_rng(batch_size).normal(size=(batch_size, 2)).astype(np.float32)
            expected = x @ saved_models.TFLITE_WEIGHTS
            _, _, body = server.rest(path, {"instances": x.tolist()})
            found = json.loads(body)["predictions"]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
            request = pb.PredictRequest(model_spec=pb.ModelSpec(name="lite"))
            request.inputs["x"].CopyFrom(tensors.from_array(x))
            with server.channel() as channel:
                response = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
            answer = tensors.to_array(response.outputs["y"])
            np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)
            for _ in range(4):  # more than there are interpreters
                assert server.rest(path, {"instances": [[1.0, 2.0, 3.0]]})[0] == 400
        metadata = json.loads(server.rest("/v1/models/lite/metadata")[2])
        signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"


def test_without_a_tflite_file_the_saved_model_is_served(half_plus_two, tmp_path):
    flags = ["--model_name=m", f"--model_base_path={half_plus_two}", "--prefer_tflite_model"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        assert server.rest("/v1/models/m:predict", {"instances": [1.0]})[0] == 200
