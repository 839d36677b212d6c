"""`python -m client.predict` against the official stubs, with a version's golden examples."""

import json

import pytest

from tests.support import needs

needs.package("tensorflow_serving", "exporter")

from client.predict import main
from tests.support import peer as official
from tests.support.versions import publish_half_plus_two


@pytest.fixture(scope="module")
def server():
    with official.serve() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.faults.clear()
    return server


def publish(base, version=official.VERSION, error=0.0):
    return publish_half_plus_two(base, version, error)


@pytest.fixture(params=["rest", "grpc"])
def flags(request, peer):
    chosen = ["--grpc"] if request.param == "grpc" else []
    return [*chosen, "--port", str(peer.port(request.param)), "--model", "half_plus_two"]


def test_agreement_is_zero_and_json_says_so(flags, tmp_path, capsys):
    base = publish(tmp_path)
    command = [*flags, "--model_dir", str(base), "--count_images", "48", "--batch_size", "8"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("p50_ms") <= found.pop("p99_ms")
    assert found.pop("max_abs_err") <= 1e-6
    assert found == {
        "model": "half_plus_two",
        "version": official.VERSION,
        "api": "grpc" if "--grpc" in flags else "rest",
        "count": 48,
        "accuracy": None,
        "ok": True,
    }
    assert main(command) == 0
    assert "agrees" in capsys.readouterr().out


def test_a_difference_is_one(flags, tmp_path, capsys):
    base = publish(tmp_path, error=3e-4)
    assert main([*flags, "--model_dir", str(base), "--batch_size", "8"]) == 1
    out = capsys.readouterr().out
    assert "half_plus_two/7, samples 0 to 8: y differs from JAX by 3.0e-04" in out
    assert main([*flags, "--model_dir", str(base), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--count_images", "10", "--batch_size", "4"], "no multiple"),
        (["--batch_size", "0"], "less than 1"),
        (["--version", "1", "--label", "stable"], "not allowed with"),
        (["--cert_file", "x"], "belong together"),
        (["--ca_file", "/nowhere.pem"], "nowhere.pem"),
        (["--model_dir", "/nowhere"], "no such directory"),
        (["--against", "jax"], "needs --model_dir"),
        (["--model", "nobody"], "Could not find any versions of model nobody"),
        (["--token_file", "/nowhere"], "/nowhere"),
        (["--header", "none"], "'none' is no NAME:VALUE"),
        (["--header", "a b: c"], "'a b' is no name of"),
        (["--timeout", "0"], "not above 0"),
    ],
)
def test_wrong_use_is_two_and_one_line(flags, extra, message, capsys):
    try:
        code = main([*flags, *extra])
    except SystemExit as left:  # argparse's own refusals
        code = left.code
    captured = capsys.readouterr()
    assert code == 2
    assert message in captured.err.splitlines()[-1]
    assert "Traceback" not in captured.err


def test_a_url_a_target_and_headers(peer, tmp_path, capsys):
    common = ["--model", "half_plus_two", "--model_dir", str(publish(tmp_path)), "--json"]
    url = f"http://localhost:{peer.rest_port}{official.PREFIX}"
    header = ["--header", "X-Tenant: blue", "--header", "x-more:1"]
    for server in (["--host", url], ["--grpc", "--host", f"dns:///localhost:{peer.grpc_port}"]):
        peer.seen.clear()
        assert main([*server, *header, *common]) == 0
        assert json.loads(capsys.readouterr().out)["ok"]
        assert (peer.seen[-1]["x-tenant"], peer.seen[-1]["x-more"]) == ("blue", "1")


def test_a_model_dir_without_the_served_version_is_two(flags, tmp_path, capsys):
    base = publish(tmp_path, version=3)
    assert main([*flags, "--model_dir", str(base)]) == 2
    assert "half_plus_two/7" in capsys.readouterr().err


def test_a_model_that_fails_is_one(flags, peer, tmp_path, capsys):
    peer.faults[:] = ["broken"]
    assert main([*flags, "--model_dir", str(publish(tmp_path))]) == 1
    assert "INTERNAL: it broke" in capsys.readouterr().err


@pytest.mark.parametrize("api", [[], ["--grpc"]])
def test_nobody_there_is_three(api, capsys):
    import socket

    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
        assert main([*api, "--port", str(port), "--timeout", "1"]) == 3
    assert "UNAVAILABLE" in capsys.readouterr().err


def test_a_server_that_hangs_is_three(flags, peer, tmp_path, capsys):
    base = publish(tmp_path)
    peer.faults[:] = ["slow"]
    assert main([*flags, "--model_dir", str(base), "--timeout", "0.2"]) == 3
    assert "DEADLINE_EXCEEDED" in capsys.readouterr().err
