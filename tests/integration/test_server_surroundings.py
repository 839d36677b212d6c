"""What surrounds the API: health, reflection, metrics, pages, headers, logs, a unix socket."""

import gzip
import json
import re
import socket
import time

import grpc
import numpy as np
import pytest

from tests.support import needs
from wire import services, tensors
from wire import serving_pb2 as pb

PREDICT = "/v1/models/half_plus_two:predict"


def test_health_is_answered_by_the_official_names(tensorflow_server):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with tensorflow_server.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "ModelService", "PredictionService"):
            found = stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert found.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="none"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_describes_messages_that_work(tensorflow_server):
    from google.protobuf import descriptor_pool, message_factory
    from grpc_reflection.v1alpha import proto_reflection_descriptor_database as reflected

    with tensorflow_server.channel() as channel:
        database = reflected.ProtoReflectionDescriptorDatabase(channel)
        names = set(database.get_services())
        assert {services.PREDICTION_SERVICE, services.MODEL_SERVICE} <= names
        pool = descriptor_pool.DescriptorPool(database)
        method = pool.FindServiceByName(services.PREDICTION_SERVICE).methods_by_name["Predict"]
        request_type = message_factory.GetMessageClass(method.input_type)
        response_type = message_factory.GetMessageClass(method.output_type)
        request = request_type()
        request.model_spec.name = "half_plus_two"
        tensor = request.inputs["x"]
        tensor.dtype = 1
        tensor.tensor_shape.dim.add(size=2)
        tensor.float_val.extend([1.0, 2.0])
        call = channel.unary_unary(
            f"/{services.PREDICTION_SERVICE}/Predict",
            request_serializer=request_type.SerializeToString,
            response_deserializer=response_type.FromString,
        )
        assert list(call(request).outputs["y"].float_val) == [2.5, 3.0]


def test_the_profiler_service_is_answered(tensorflow_server):
    with tensorflow_server.channel() as channel:
        with pytest.raises(grpc.RpcError, match="unimplemented") as caught:
            channel.unary_unary("/tensorflow.ProfilerService/Monitor")(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert channel.unary_unary("/tensorflow.ProfilerService/Terminate")(b"") == b""


def test_a_unix_socket_serves_grpc(tensorflow_server):
    with grpc.insecure_channel(f"unix:{tensorflow_server.folder / 'grpc.sock'}") as channel:
        request = pb.PredictRequest(model_spec=pb.ModelSpec(name="half_plus_two"))
        request.inputs["x"].CopyFrom(tensors.from_array(np.float32([4])))
        response = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
    assert tensors.to_array(response.outputs["y"]).tolist() == [4.0]


def counter(server, name, **labels):
    page = server.rest("/monitoring/prometheus/metrics")[2].decode()
    total = 0.0
    for line in page.splitlines():
        found = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
        if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
            total += float(found[2])
    return total


def test_metrics_have_the_official_names_and_ours(tensorflow_server):
    ok = {"model_name": "half_plus_two", "status": "OK"}
    invalid = {"model_name": "half_plus_two", "status": "INVALID_ARGUMENT"}
    name = ":tensorflow:serving:request_count"
    latency = {"model_name": "half_plus_two", "API": "Predict", "entrypoint": "REST"}
    ours = {"model": "half_plus_two", "version": "123", "signature": "serving_default"}
    before = (
        counter(tensorflow_server, name, **ok),
        counter(tensorflow_server, name, **invalid),
        counter(tensorflow_server, ":tensorflow:serving:request_latency_count", **latency),
        counter(tensorflow_server, "model_requests_total", **ours),
    )
    assert tensorflow_server.rest(PREDICT, {"instances": [1.0]})[0] == 200
    assert tensorflow_server.rest(PREDICT, {"instances": ["x"]})[0] == 400
    after = (
        counter(tensorflow_server, name, **ok),
        counter(tensorflow_server, name, **invalid),
        counter(tensorflow_server, ":tensorflow:serving:request_latency_count", **latency),
        counter(tensorflow_server, "model_requests_total", **ours),
    )
    assert np.subtract(after, before).tolist() == [1, 1, 2, 2]
    states = {"model": "half_plus_two", "version": "123", "state": "AVAILABLE"}
    assert counter(tensorflow_server, "model_version_state", **states) == 1


def test_metrics_are_what_prometheus_reads(tensorflow_server):
    parser = needs.package("prometheus_client.parser")
    _, headers, page = tensorflow_server.rest("/metrics")
    assert headers["Content-Type"].startswith("text/plain")
    families = {f.name: f for f in parser.text_string_to_metric_families(page.decode())}
    assert families[":tensorflow:serving:request_latency"].type == "histogram"


def test_made_up_model_names_do_not_grow_the_metrics(tensorflow_server):
    for n in range(5):
        tensorflow_server.rest(f"/v1/models/made_up_{n}:predict", {"instances": [1.0]})
    assert b"made_up" not in tensorflow_server.rest("/metrics")[2]


def test_probes_and_lists(tensorflow_server):
    assert tensorflow_server.rest("/healthz")[0] == 200
    status, _, body = tensorflow_server.rest("/readyz")
    assert status == 200
    assert json.loads(body)["models"] == {"every_dtype": 1, "half_plus_two": 123}
    _, _, body = tensorflow_server.rest("/models")
    models = {model["name"]: model for model in json.loads(body)["models"]}
    (version,) = models["half_plus_two"]["versions"]
    assert (version["version"], version["state"], version["engine"]) == (
        123, "AVAILABLE", "tensorflow"
    )  # fmt: skip
    assert models["half_plus_two"]["labels"] == {"stable": 123}
    status, _, body = tensorflow_server.rest("/nothing")
    assert status == 404
    assert "no such page" in json.loads(body)["error"]


def test_the_status_page_shows_models_and_a_form(tensorflow_server):
    status, headers, page = tensorflow_server.rest("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = page.decode()
    assert "<td>half_plus_two</td><td>123 stable</td><td>AVAILABLE</td><td>tensorflow</td>" in text
    assert 'data-path="/v1/models/half_plus_two:predict"' in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_the_openapi_document_is_valid_and_complete(tensorflow_server):
    _, _, body = tensorflow_server.rest("/openapi.json")
    document = json.loads(body)
    assert document["openapi"] == "3.1.0"
    assert {
        "/v1/models/half_plus_two", "/v1/models/half_plus_two/metadata",
        "/v1/models/half_plus_two:predict", "/v1/models/half_plus_two:classify",
        "/v1/models/half_plus_two:regress", "/v1/models/every_dtype:predict",
    } <= set(document["paths"])  # fmt: skip


def test_responses_carry_version_timing_and_cors(tensorflow_server):
    _, headers, _ = tensorflow_server.rest(PREDICT, {"instances": [1.0]})
    assert headers["X-Model-Version"] == "123"
    assert re.fullmatch(r"total;dur=\d+\.\d+", headers["Server-Timing"])
    assert headers["Access-Control-Allow-Origin"] == "*"
    status, headers, body = tensorflow_server.rest(PREDICT, method="OPTIONS")
    assert (status, body) == (200, b"")
    assert headers["Access-Control-Allow-Methods"] == "POST, GET"


def test_grpc_calls_end_with_version_and_timing(tensorflow_server):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name="half_plus_two"))
    request.inputs["x"].CopyFrom(tensors.from_array(np.float32([4])))
    with tensorflow_server.channel() as channel:
        predict = services.PREDICTION_METHODS["Predict"].stub(channel)
        metadata = dict(predict.with_call(request, timeout=60)[1].trailing_metadata())
        request.model_spec.name = "none"
        with pytest.raises(grpc.RpcError) as caught:
            predict(request, timeout=60)
    assert metadata["x-model-version"] == "123"
    assert re.fullmatch(r"total;dur=\d+\.\d+", metadata["server-timing"])
    assert set(dict(caught.value.trailing_metadata())) == {"server-timing"}


def test_the_access_log_has_a_line_of_json_for_each_request(tensorflow_server):
    tensorflow_server.rest(PREDICT + "?mark=me", {"instances": [1.0]})  # malformed, by its query
    with socket.create_connection(("127.0.0.1", tensorflow_server.rest_port), 10) as peer:
        head = b"POST /too-long?x HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n"
        peer.sendall(head)  # the protocol refuses it by itself
        assert peer.recv(100).startswith(b"HTTP/1.1 413 ")
    tensorflow_server.rest(PREDICT, {"instances": [1.0]})
    with tensorflow_server.channel() as channel:
        request = pb.PredictRequest(model_spec=pb.ModelSpec(name="logged"))
        with pytest.raises(grpc.RpcError):
            services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
    deadline = time.monotonic() + 10  # a thread writes them
    entries = []
    while not any(e.get("model") == "logged" for e in entries) and time.monotonic() < deadline:
        lines = (tensorflow_server.folder / "access.log").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
    (rest,) = [e for e in entries[-10:] if e.get("query") == "mark=me"]
    assert (rest["face"], rest["status"], rest["version"]) == ("REST", 400, None)
    (refused,) = [e for e in entries if e.get("path") == "/too-long"]
    assert (refused["method"], refused["query"], refused["status"]) == ("POST", "x", 413)
    rest = [e for e in entries if e["face"] == "REST"][-1]
    assert (rest["status"], rest["version"]) == (200, "123")
    assert rest["bytes_in"] > 0 < rest["bytes_out"]
    (call,) = [e for e in entries if e.get("model") == "logged"]
    assert (call["face"], call["method"], call["status"]) == ("GRPC", "Predict", "NOT_FOUND")


def test_compressed_bodies_are_inflated(tensorflow_server):
    body = gzip.compress(b'{"instances": [1.0]}')
    headers = {"Content-Encoding": "gzip"}
    status, _, answer = tensorflow_server.rest(PREDICT, body, headers=headers)
    assert (status, json.loads(answer)) == (200, {"predictions": [2.5]})
    for broken in (b"nonsense", body[:-4]):
        status, _, answer = tensorflow_server.rest(PREDICT, broken, headers=headers)
        assert status == 400
        assert "gzip" in json.loads(answer)["error"]
    bomb = gzip.compress(bytes(200 * 2**20))
    status, _, answer = tensorflow_server.rest(PREDICT, bomb, headers=headers)
    assert status == 429
    assert "inflates to over" in json.loads(answer)["error"]
