"""TensorFlow Lite models with --prefer_tflite_model."""

import json

import numpy as np
import pytest

from server.engines.tflite import TfliteEngine
from server.errors import ServingError
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


def metadata(server):
    found = json.loads(server.rest("/v1/models/lite/metadata")[2])
    return found["metadata"]["signature_def"]["signature_def"]


def test_a_model_without_signatures_is_served_by_its_tensors_names(tmp_path):
    saved_models.older_tflite(tmp_path / "lite")
    flags = ["--model_name=lite", f"--model_base_path={tmp_path / 'lite'}", "--prefer_tflite_model"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        ((name, signature),) = metadata(server).items()
        assert name == "serving_default"
        ((key, tensor),) = signature["inputs"].items()
        assert key == tensor["name"]
        assert tensor["dtype"] == "DT_FLOAT"
        for batch_size in (1, 3, 2):
            x = np.random.default_rng(batch_size).normal(size=(batch_size, 2)).astype(np.float32)
            _, _, body = server.rest("/v1/models/lite:predict", {"inputs": {key: x.tolist()}})
            expected = x @ saved_models.TFLITE_WEIGHTS
            np.testing.assert_allclose(json.loads(body)["outputs"], expected, rtol=1e-5, atol=1e-5)
            for _ in range(4):  # more than there are interpreters
                status = server.rest("/v1/models/lite:predict", {"instances": [[1.0, 2.0, 3.0]]})[0]
                assert status == 400


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_signatures_in_the_metadata_are_served(tmp_path, suffix):
    engine = TfliteEngine(saved_models.older_tflite(tmp_path / "lite"))
    default = engine.signatures().by_name["serving_default"]
    (x,), (y,) = default.inputs.values(), default.outputs.values()
    stored = pb.SignatureDef(method_name="tensorflow/serving/predict")
    stored.inputs["a"].name = x.tensor + suffix
    stored.inputs["a"].dtype = stored.outputs["b"].dtype = 1
    stored.outputs["b"].name = y.tensor
    folder = saved_models.older_tflite(tmp_path / "stored", stored={"old": stored})
    engine = TfliteEngine(folder)
    assert list(engine.signatures().by_name) == ["old"]
    found = engine.run("old", {"a": np.float32([[1, 2]])}, ["b"])
    expected = np.float32([[1, 2]]) @ saved_models.TFLITE_WEIGHTS
    np.testing.assert_allclose(found["b"], expected, rtol=1e-5)


def test_signatures_of_tensors_that_arent_there_are_refused(tmp_path):
    stored = pb.SignatureDef()
    stored.inputs["a"].name = "nowhere"
    engine = TfliteEngine(saved_models.older_tflite(tmp_path / "lite", stored={"old": stored}))
    with pytest.raises(ServingError, match="input a references an unknown tensor"):
        engine.signatures()
