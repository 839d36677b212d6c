"""A server whose queues are bounded, whose sizes follow, and that tells of both."""

import queue
import time

import grpc
import numpy as np
import pytest

from tests.support import exports
from tests.support.servers import ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

PREDICT = "/v1/models/scaled:predict"


def predict(server, shape, name="scaled", content=b""):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name=name))
    tensor = request.inputs["inputs"]
    tensor.dtype = 1
    tensor.tensor_content = content
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    with server.channel() as channel:
        response = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
    return tensors.to_array(response.outputs["output_0"])


def answers(server, rows):
    x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
    found = predict(server, x.shape, content=x.tobytes())
    np.testing.assert_allclose(found, exports.scaled_answer(x, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("flag", ["", "--enable_batching", "--adaptive_batching=false", "--exact"])
def test_rows_of_nothing_are_refused_in_no_time(tmp_path, flag):
    exports.scaled(tmp_path, 1)
    flags = [
        "--model_name=scaled",
        f"--model_base_path={tmp_path / 'scaled'}",
        *filter(None, [flag]),
    ]
    with ServerProcess(tmp_path / "log", *flags) as server:
        start = time.monotonic()
        for shape in ((100_000_000, 0), (2**40, 0), (2**31, 0, 0)):
            with pytest.raises(grpc.RpcError, match="tensor parsing error: inputs") as caught:
                predict(server, shape)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert time.monotonic() - start < 30
        for shape in ((0, 4), (3, 0), (4,), (1, 2, 4)):  # the engine's to refuse
            with pytest.raises(grpc.RpcError) as caught:
                predict(server, shape, content=bytes(4 * int(np.prod(shape))))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        for rows in (1, 2, 3, 1000, 20_000):
            answers(server, rows)
        page = server.rest("/metrics")[2].decode()
    labels = 'model="scaled",signature="serving_default"'
    for line in (
        f"model_queue_rows{{{labels}}} 0",
        f"model_queue_calls{{{labels}}} 0",
        f'model_queue_refusals_total{{{labels},reason="full"}} 0',
    ):
        assert line in page
    assert f"model_queue_seconds_count{{{labels}}}" in page
    assert f"model_batch_rows_count{{{labels}}}" in page


def test_a_version_serves_while_its_sizes_are_prepared(tmp_path):
    exports.scaled(tmp_path, 1)
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'scaled'}"]
    flags += ["--preparation_seconds=0", "--compilation_cache_dir="]
    with ServerProcess(tmp_path / "log", *flags) as server:
        for rows in (1, 3, 100, 1000):
            answers(server, rows)
        deadline = time.monotonic() + 60
        while "the rest of its batch sizes prepared" not in server.log:
            assert time.monotonic() < deadline, server.log
            answers(server, 17)
        for rows in (1, 3, 100, 1000):
            answers(server, rows)
        assert server.stop() == 0


def test_the_end_does_not_wait_for_what_is_prepared(tmp_path):
    exports.scaled(tmp_path, 1)
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'scaled'}"]
    flags += ["--preparation_seconds=0", "--compilation_cache_dir="]
    with ServerProcess(tmp_path / "log", *flags) as server:
        assert server.stop(30) == 0
        assert "drained" in server.log


def test_the_end_does_not_wait_for_streams(tmp_path):
    """A client that watches, or has a reflection stream open, has no end of its own."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    exports.scaled(tmp_path, 1)
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'scaled'}"]
    flags += ["--enable_grpc_healthcheck_service", "--drain_seconds=300"]
    with ServerProcess(tmp_path / "log", *flags) as server, server.channel() as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        questions = queue.SimpleQueue()
        questions.put(reflection_pb2.ServerReflectionRequest(list_services=""))
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = stub.ServerReflectionInfo(iter(questions.get, None))
        assert next(answers).list_services_response.service
        assert server.stop(60) == 0
        assert "drained" in server.log
        for stream in (watch, answers):
            with pytest.raises(grpc.RpcError) as caught:
                list(stream)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        questions.put(None)
