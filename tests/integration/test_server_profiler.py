"""TensorFlow's profiler client traces the server, and reads what it gets."""

import concurrent.futures
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest

from tests.support import exports, needs
from tests.support.servers import ROOT, ServerProcess
from wire import profiler_pb2 as profiler
from wire import services


def call(server, method, request, timeout=120):
    with server.channel() as channel:
        return services.PROFILER_METHODS[method].stub(channel)(request, timeout=timeout)


def refusal(server, method, request):
    with pytest.raises(grpc.RpcError) as caught:
        call(server, method, request)
    return caught.value.code().name, caught.value.details()


@pytest.fixture
def busy(scaled_server):
    """The server while it answers requests."""
    stop = threading.Event()

    def ask():
        body = {"inputs": np.ones((3, 4)).tolist()}
        while not stop.is_set():
            assert scaled_server.rest("/v1/models/scaled:predict", body)[0] == 200

    thread = threading.Thread(target=ask)
    thread.start()
    yield scaled_server
    stop.set()
    thread.join()


def test_a_trace_comes_with_the_answer(busy):
    request = profiler.ProfileRequest(session_id="a", duration_ms=500)
    (data,) = call(busy, "Profile", request).tool_data
    assert data.name == "xplane.pb"
    import jax

    planes = [
        plane.name for plane in jax.profiler.ProfileData.from_serialized_xspace(data.data).planes
    ]
    assert "/host:CPU" in planes


def test_one_session_at_a_time_which_may_be_ended_or_left(busy):
    long = profiler.ProfileRequest(session_id="long", duration_ms=60_000)
    other = profiler.ProfileRequest(session_id="other", duration_ms=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, busy, "Profile", long)
        while (found := _ask(busy, other)) is None:
            if first.done():  # the other one was there before it
                assert first.exception().code() is grpc.StatusCode.ALREADY_EXISTS
                first = pool.submit(call, busy, "Profile", long)
        assert found == ("ALREADY_EXISTS", "Another profiling session active.")
        call(busy, "Terminate", profiler.TerminateRequest(session_id="another"))
        assert not first.done()
        call(busy, "Terminate", profiler.TerminateRequest(session_id="long"))
        assert first.result(60).tool_data
    with pytest.raises(grpc.RpcError):
        call(busy, "Profile", long, timeout=2)  # and nobody waits for it
    while _ask(busy, other) is not None:
        pass


def _ask(server, request):
    try:
        call(server, "Profile", request)
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return None


@pytest.mark.parametrize("milliseconds", [0, 60_001, 2**63])
def test_a_trace_has_a_length(scaled_server, milliseconds):
    request = profiler.ProfileRequest(duration_ms=milliseconds)
    code, message = refusal(scaled_server, "Profile", request)
    assert code == "INVALID_ARGUMENT"
    assert f"duration_ms is {milliseconds}" in message


def test_it_takes_an_admin(tmp_path):
    exports.scaled(tmp_path, 1)
    for name in ("user", "admin"):
        (tmp_path / name).write_text(name)
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'scaled'}"]
    flags += [f"--{kind}_token_file={tmp_path / name}" for kind, name in
              (("auth", "user"), ("admin", "admin"))]  # fmt: skip
    with ServerProcess(tmp_path / "log", *flags) as server, server.channel() as channel:
        for method in services.PROFILER_METHODS.values():
            ask = channel.unary_unary(method.path)
            for token, code in (("", "UNAUTHENTICATED"), ("user", "PERMISSION_DENIED")):
                metadata = [("authorization", f"Bearer {token}")] if token else []
                with pytest.raises(grpc.RpcError) as caught:
                    ask(b"", metadata=metadata, timeout=60)
                assert caught.value.code().name == code
        ask = channel.unary_unary(services.PROFILER_METHODS["Terminate"].path)
        assert ask(b"", metadata=[("authorization", "Bearer admin")], timeout=60) == b""


@pytest.mark.slow
def test_tensorflows_client_writes_the_trace(busy, tmp_path):
    needs.package("tensorflow", "exporter")
    script = f"""
import tensorflow as tf
tf.profiler.experimental.client.trace(
    'grpc://127.0.0.1:{busy.grpc_port}', {str(tmp_path)!r}, 500)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=300)
    (file,) = tmp_path.glob("plugins/profile/*/*.xplane.pb")
    assert file.stat().st_size > 1000
