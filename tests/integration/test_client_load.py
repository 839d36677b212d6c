"""`python -m client.load` against the official stubs of TensorFlow Serving."""

import json

import numpy as np
import pytest

from tests.support import needs

needs.package("tensorflow_serving", "exporter")

from client import Client
from client.load.__main__ import main
from client.load.generator import generate
from client.load.plan import LoadPlan
from client.load.workload import prepare
from client.model_spec import ModelSpec
from tests.support import peer as official
from tests.support.versions import publish_half_plus_two

APIS = ["rest", "grpc"]
BRIEF = ["--duration", "0.5", "--warmup", "0.1", "--json"]


@pytest.fixture(scope="module")
def server():
    with official.serve() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.faults.clear()
    return server


@pytest.fixture(params=APIS)
def flags(request, peer):
    chosen = ["--grpc"] if request.param == "grpc" else []
    return [*chosen, "--port", str(peer.port(request.param)), "--model", "half_plus_two"]


@pytest.fixture(params=APIS)
def client(request, peer):
    with Client("localhost", peer.port(request.param), request.param) as connected:
        yield connected


def load(client, model_dir=None, faults=(), peer=None, **plan):
    brief = {"duration": 0.5, "warmup": 0.0} | plan
    made = LoadPlan(client.endpoint, ModelSpec("half_plus_two"), **brief)
    workload = prepare(client, made, model_dir)
    if faults:
        peer.faults[:] = faults
    return generate(made, workload)


@pytest.mark.parametrize("extra", [[], ["--rate", "100"], ["--rate", "100", "--poisson"]])
def test_every_answer_is_right(flags, extra, capsys):
    assert main([*flags, *BRIEF, *extra, "--verify", "--batch_size", "4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    assert found["version"] == official.VERSION
    assert found["completed"] > 10
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]


def test_what_is_not_jax_is_a_mismatch(flags, tmp_path, capsys):
    base = publish_half_plus_two(tmp_path, official.VERSION, error=1e-3)
    assert main([*flags, *BRIEF, "--verify", "--model_dir", str(base)]) == 1
    assert json.loads(capsys.readouterr().out)["errors"]["MISMATCH"] > 0


def test_a_stall_is_charged_to_every_request_that_it_kept_waiting(client, peer):
    result = load(client, faults=["slow"], peer=peer, rate=100.0, duration=1.5, concurrency=1)
    waited = np.sort(result.latencies)[::-1]
    # One second of stall at 100 requests a second: the first waits for all of it, each next one
    # 10 ms less, where a client that waits for its turn would report a single slow request.
    due = 1.0 - np.arange(50) / 100
    assert (waited[:50] >= due - 0.02).all()
    assert result.ok


def test_what_never_starts_is_said_and_counted(client, peer):
    slow = ["slow"] * 4
    result = load(client, faults=slow, peer=peer, rate=200.0, duration=0.5, concurrency=1)
    assert result.unsent == 99
    assert len(result.latencies) == 100
    assert np.sort(result.latencies)[49] > 0.2


def test_errors_are_counted_by_code(client, peer):
    faults = ["unavailable"] * 3 + ["broken"] * 2
    result = load(client, faults=faults, peer=peer)
    assert result.errors == {"UNAVAILABLE": 3, "INTERNAL": 2}
    assert not result.ok


def test_a_late_answer_is_a_deadline_exceeded(client, peer):
    faults = ["slow"]
    result = load(client, faults=faults, peer=peer, timeout=0.7, duration=1.5, concurrency=2)
    assert result.errors == {"DEADLINE_EXCEEDED": 1}
    assert result.latencies.max() >= 0.7
    assert result.completed > 10


def test_a_broken_connection_is_opened_again(peer):
    with Client("localhost", peer.rest_port) as client:
        result = load(client, faults=["reset"], peer=peer)
    assert result.errors == {"UNAVAILABLE": 1}
    assert result.completed > 10


def test_a_server_that_goes_away_is_an_error_by_code(client):
    made = LoadPlan(client.endpoint, ModelSpec("half_plus_two"), duration=0.5, warmup=0.0)
    workload = prepare(client, made, None)
    with official.serve() as gone:
        port = gone.port(client.endpoint.api)
    nobody = Client("localhost", port, client.endpoint.api).endpoint
    result = generate(LoadPlan(nobody, made.spec, duration=0.5, warmup=0.0), workload)
    assert result.errors.keys() == {"UNAVAILABLE"}
    assert result.completed == 0


def test_large_messages_pass_the_windows(peer):
    with Client("localhost", peer.grpc_port, "grpc") as client:
        result = load(client, batch_size=400_000, concurrency=3, verify=True, duration=1.0)
    assert result.ok, result.errors


def test_many_in_flight_on_one_connection(peer):
    with Client("localhost", peer.grpc_port, "grpc") as client:
        result = load(client, concurrency=64, connections=1, verify=True)
    assert result.ok, result.errors


@pytest.mark.parametrize("api", APIS)
def test_load_over_tls(api, certificate):
    chain, key = map(str, certificate)
    with official.serve(certificate=certificate) as peer:
        known = {"ca_file": chain, "cert_file": chain, "key_file": key}
        with Client("localhost", peer.port(api), api, **known) as client:
            result = load(client, verify=True)
    assert result.ok, result.errors


def test_a_plot_is_written(flags, tmp_path):
    needs.package("matplotlib", "exporter")
    picture = tmp_path / "latency.png"
    assert main([*flags, *BRIEF, "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [
        (["--model", "nobody"], 2, "Could not find any versions of model nobody"),
        (["--signature", "nothing"], 2, "no signature nothing; there are serving_default"),
        (["--rate", "0"], 2, "not above 0"),
        (["--connections", "99"], 2, "would never be used"),
        (["--model_dir", "/nowhere"], 2, "is /nowhere/half_plus_two/7 a version?"),
    ],
)
def test_wrong_use_is_one_line(flags, extra, code, message, capsys):
    try:
        found = main([*flags, *extra])
    except SystemExit as left:  # argparse's own refusals
        found = left.code
    assert found == code
    assert message in capsys.readouterr().err.splitlines()[-1]
