"""Names that would be paths, and requests that would change the server."""

import grpc
import pytest

from tests.support import attacks
from wire import services
from wire import serving_pb2 as pb

RELOAD = services.MODEL_METHODS["HandleReloadConfigRequest"]
NAMES = (
    "..%2f..%2fetc%2fpasswd", "../scaled", "%00", "scaled%2f1", "\\..\\x", "." * 300, "%2e%2e",
    "..;/..",
    "/etc/passwd", "scaled/../../etc/passwd", "%252e%252e%252f", "..%c0%af..", "scaled%0d",
    "file:///etc/passwd", "scaled%20", "%u002e",
)  # fmt: skip


@pytest.mark.parametrize("token", [None, attacks.TOKEN])
def test_names_never_become_paths(server, token):
    credentials = "".join(f"{k}: {v}\r\n" for k, v in attacks.bearer(token).items())
    with attacks.attack(server):
        for name in NAMES:
            for form in ("/v1/models/{}", "/v1/models/{}/metadata", "/{}", "/v2/models/{}",
                         "/v1/models/{}/versions/1/metadata"):  # fmt: skip
                path = form.format(name)
                with attacks.connect(server) as peer:
                    peer.sendall(
                        f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{credentials}\r\n"
                        .encode()
                    )  # fmt: skip
                    found = attacks.answer(peer)
                status = int(found.split()[1])
                assert status == 401 if token is None else status in (400, 404), path
                assert b"root:" not in found


def test_names_never_become_paths_by_grpc(server):
    with attacks.attack(server), server.channel() as channel:
        for name in ("../../etc/passwd", "/etc/passwd", "scaled/1", "\0", "scaled\n"):
            code, details = predict_by(channel, name)
            assert code in ("NOT_FOUND", "INVALID_ARGUMENT")
            assert "root:" not in details


def test_a_long_name_fits_into_the_error_about_it(server):
    with attacks.attack(server), server.channel() as channel:
        code, _ = predict_by(channel, "é" * 5000)
        assert code in ("NOT_FOUND", "INVALID_ARGUMENT")


def predict_by(channel, name):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name=name))
    stub = services.PREDICTION_METHODS["Predict"].stub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub(request, timeout=30, metadata=attacks.metadata())
    return caught.value.code().name, caught.value.details()


def reload(path, *, name="scaled", log=None):
    request = pb.ReloadConfigRequest()
    config = request.config.model_config_list.config.add(
        name=name, base_path=str(path), model_platform="tensorflow"
    )
    if log is not None:
        config.logging_config.log_collector_config.CopyFrom(
            pb.LogCollectorConfig(type="file", filename_prefix=str(log))
        )
        config.logging_config.sampling_config.sampling_rate = 1.0
    return request


def test_reloading_takes_the_admin_token(server, tmp_path):
    with attacks.attack(server), server.channel() as channel:
        stub = RELOAD.stub(channel)
        for token, code in ((None, "UNAUTHENTICATED"), ("wrong", "UNAUTHENTICATED"),
                            (attacks.TOKEN, "PERMISSION_DENIED")):  # fmt: skip
            request = reload(tmp_path)
            found = attacks.code(
                lambda request=request, token=token: stub(
                    request, timeout=30, metadata=attacks.metadata(token)
                )
            )
            assert found == code


def is_refused(channel, request):
    """Whether the server takes a new configuration neither by its status nor by its answer."""
    stub = RELOAD.stub(channel)
    try:
        answer = stub(request, timeout=60, metadata=attacks.metadata(attacks.ADMIN))
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.INVALID_ARGUMENT
    return answer.status.error_code == 3


def test_request_logs_are_written_nowhere_without_a_directory_for_them(server, models, tmp_path):
    """Even with the admin token: whoever has it may choose models, not files to write."""
    target = tmp_path / "outside" / "log"
    with attacks.attack(server), server.channel() as channel:
        assert is_refused(channel, reload(models / "scaled", log=target))
        attacks.predict(server)
        assert not target.parent.exists()


@pytest.mark.parametrize("escape", ["../escape", "a/../../escape", "/tmp/escape-of-a-log"])
def test_request_logs_stay_below_their_directory(start, models, tmp_path, escape):
    allowed = tmp_path / "logs"
    allowed.mkdir()
    server = start(f"--request_log_dir={allowed}")
    with attacks.attack(server), server.channel() as channel:
        target = escape if escape[0] == "/" else allowed / escape
        assert is_refused(channel, reload(models / "scaled", log=target))
        attacks.predict(server)
        assert not list(tmp_path.glob("escape*"))
