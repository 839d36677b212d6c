"""Who may ask, what is counted, and what is logged."""

import json
import time

import grpc
import numpy as np
import pytest

from server.models import records
from tests.support import exports
from tests.support.open_inference import Grpc, Refused, Rest
from tests.support.servers import ServerProcess
from wire import services, serving_pb2, tensors

X = np.float32([[1, 2, 3, 4]])
OPEN = ("ServerLive", "ServerReady")
ADMIN = ("RepositoryModelLoad", "RepositoryModelUnload")


def code(channel, method, token=None, /, **fields):
    method = services.INFERENCE_METHODS[method]
    metadata = [("authorization", f"Bearer {token}")] if token else None
    try:
        method.stub(channel)(method.request(**fields), timeout=30, metadata=metadata)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def test_tokens(tmp_path):
    exports.scaled(tmp_path, 1)
    for name in ("user", "admin"):
        (tmp_path / name).write_text(name)
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'scaled'}",
             f"--auth_token_file={tmp_path / 'user'}",
             f"--admin_token_file={tmp_path / 'admin'}"]  # fmt: skip
    with ServerProcess(tmp_path / "log", *flags) as server, server.channel() as channel:

        def status(path, token=None, method="GET"):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            found, _, body = server.rest(path, headers=headers, method=method)
            if found in (401, 403):
                assert "scaled" not in json.loads(body)["error"].replace(path, "")
            return found

        for path in ("/v2/health/live", "/v2/health/ready"):
            assert status(path) == 200
            assert "scaled" not in server.rest(path)[2].decode()
        for path in ("/v2", "/v2/models/scaled", "/v2/models/scaled/ready"):
            assert [status(path), status(path, "no"), status(path, "user")] == [401, 401, 200]
        index = "/v2/repository/index"
        assert [status(index, t, "POST") for t in (None, "user")] == [401, 200]
        for verb in ("unload", "load"):
            path = f"/v2/repository/models/scaled/{verb}"
            found = [status(path, token, "POST") for token in (None, "user", "admin")]
            assert found == [401, 403, 200]
        assert status("/v2/repository/x/models/scaled/load", "user", "POST") == 403

        for name in services.INFERENCE_METHODS:
            fields = {"name": "scaled"} if name in ("ModelReady", "ModelMetadata") else {}
            if name in ADMIN:
                fields = {"model_name": "scaled"}
            user = {True: "PERMISSION_DENIED"}.get(name in ADMIN, "OK")
            user = "INVALID_ARGUMENT" if name == "ModelInfer" else user
            none = "OK" if name in OPEN else "UNAUTHENTICATED"
            assert code(channel, name, **fields) == none, name
            assert code(channel, name, "user", **fields) == user, name
            if name in ADMIN:
                assert code(channel, name, "admin", **fields) == "OK", name


def test_requests_are_counted_by_face(server, channel):
    for infer in (Rest(server, binary=True).infer, Grpc(channel, is_raw=True).infer):
        infer("scaled", {"inputs": X}, version="1")
        with pytest.raises(Refused):
            infer("scaled", {"inputs": X[:, :3]}, version="1")
    page = server.rest("/metrics")[2].decode()
    for face in ("V2_REST", "V2_GRPC"):
        for status in ("OK", "INVALID_ARGUMENT"):
            labels = (
                'model_requests_total{model="scaled",version="1",signature="serving_default",'
                f'face="{face}",method="ModelInfer",status="{status}"}}'
            )
            assert labels in page
        assert f'{{model_name="scaled",API="ModelInfer",entrypoint="{face}",le="+Inf"}}' in page


def test_requests_are_logged_as_records_that_warm_up(server, channel):
    rows = {"rest": X * 2, "grpc": X * 3}
    Rest(server, binary=True).infer("scaled", {"inputs": rows["rest"]})
    Grpc(channel, is_raw=False).infer("scaled", {"inputs": rows["grpc"]})
    for _ in range(600):
        logs = [
            serving_pb2.PredictionLog.FromString(record)
            for file in server.folder.glob("requests-*.tfrecord")
            for record in records.read(file)
        ]
        found = [
            tensors.to_array(log.predict_log.request.inputs["inputs"]).tolist() for log in logs
        ]
        if all(x.tolist() in found for x in rows.values()):
            break
        time.sleep(0.05)
    log = logs[found.index(rows["grpc"].tolist())]
    assert log.log_metadata.model_spec.name == "scaled"
    answer = tensors.to_array(log.predict_log.response.outputs["output_0"])
    expected = exports.scaled_answer(rows["grpc"], 3)
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5)


def test_grpc_tells_the_version_in_its_trailers(channel):
    from wire import open_inference_pb2 as pb

    request = pb.ModelInferRequest(model_name="scaled", raw_input_contents=[X.tobytes()])
    request.inputs.add(name="inputs", datatype="FP32", shape=[1, 4])
    stub = services.INFERENCE_METHODS["ModelInfer"].stub(channel)
    _, call = stub.with_call(request, timeout=30)
    trailers = dict(call.trailing_metadata())
    assert trailers["x-model-version"] == "3"
    assert trailers["server-timing"].startswith("total;dur=")


def test_a_deadline_that_passes_is_that(server, channel):
    from wire import open_inference_pb2 as pb

    request = pb.ModelInferRequest(model_name="scaled", raw_input_contents=[X.tobytes()])
    request.inputs.add(name="inputs", datatype="FP32", shape=[1, 4])
    stub = services.INFERENCE_METHODS["ModelInfer"].stub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub(request, timeout=1e-6)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
