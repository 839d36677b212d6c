"""The client against the official stubs of TensorFlow Serving, and against trouble."""

import socket
from contextlib import ExitStack
from threading import Timer

import numpy as np
import pytest

from tests.support import needs

needs.package("tensorflow_serving", "exporter")

from client import Client, ServingError, Unavailable, connect
from client.retry import Retry
from tests.support import peer as official

APIS = ["rest", "grpc"]


@pytest.fixture(scope="module")
def server():
    with official.serve() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.faults.clear()
    server.seen.clear()
    return server


@pytest.fixture(params=APIS)
def client(request, peer):
    with Client("localhost", peer.port(request.param), request.param) as connected:
        yield connected


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def test_predict_gives_what_tensorflow_gives(client):
    x = np.random.default_rng(0).normal(size=33).astype(np.float32)
    prediction = client.predict("half_plus_two", {"x": x})
    assert prediction.outputs["y"].dtype == np.float32
    np.testing.assert_array_equal(prediction.outputs["y"], official.half_plus_two(x).numpy())
    assert prediction.version == official.VERSION


@pytest.mark.parametrize("x", [[1, 2, 5], [1.0, 2.0, 5.0], np.array([1.0, 2.0, 5.0])])
def test_a_list_or_double_is_cast_to_the_signatures_dtype(client, x):
    np.testing.assert_array_equal(client.predict("half_plus_two", x).output, [2.5, 3.0, 4.5])


def test_every_dtype_survives_the_round_trip(client):
    sent = {
        "numbers": np.array([0.1, np.nan, np.inf, -np.inf, 1e-45, 3.4e38], np.float32),
        "counts": np.array([-(2**63), 2**63 - 1, 2**53 + 1]),
        "flags": np.array([True, False]),
        "words": np.array([b"\xff\x00", b"", "grüße".encode()], object),
    }
    received = client.predict("echo", sent).outputs
    assert received.keys() == sent.keys()
    for name, array in sent.items():
        np.testing.assert_array_equal(received[name], array)
        assert received[name].dtype == array.dtype


def test_messages_beyond_four_megabytes(peer):
    x = np.random.default_rng(1).random(1_500_000, np.float32)
    with Client("localhost", peer.grpc_port, "grpc") as client:
        np.testing.assert_array_equal(client.predict("half_plus_two", x).output, x / 2 + 2)


def test_an_empty_batch_keeps_its_dtype(client):
    output = client.predict("half_plus_two", np.zeros([0], np.float32)).output
    assert (output.shape, output.dtype) == ((0,), np.float32)


def test_status_and_metadata(client):
    newest, oldest = client.status("half_plus_two")
    assert (newest.version, newest.state, newest.available) == (official.VERSION, "AVAILABLE", True)
    assert (oldest.version, oldest.state) == (6, "END")
    assert client.wait_until_ready("half_plus_two", timeout=5) == official.VERSION
    signature = client.metadata("echo")["serving_default"]
    assert {n: spec.dtype for n, spec in signature.inputs.items()} == {
        name: dtype.name for name, dtype in official.ECHO_DTYPES.items()
    }
    assert signature.inputs["words"].shape == (-1,)


@pytest.mark.parametrize("api", APIS)
def test_the_api_of_a_port_is_found_out(peer, api):
    with connect(f"localhost:{peer.port(api)}") as client:
        assert client.endpoint.api == api
        assert client.predict("half_plus_two", [1.0]).output.tolist() == [2.5]


def test_classify_and_regress(client):
    examples = [{"x": 1.0}, {"x": 5.0}]
    classified = client.classify("half_plus_two", examples).results
    assert classified == [[("big", 2.5)], [("big", 4.5)]]
    assert client.regress("half_plus_two", examples).values.tolist() == [2.5, 4.5]
    shifted = client.regress("half_plus_two", examples, context={"base": 10.0})
    assert shifted.values.tolist() == [12.5, 14.5]


def test_an_unknown_model_is_not_found_and_not_retried(client, peer):
    with pytest.raises(ServingError, match="NOT_FOUND: Servable not found") as caught:
        client.predict("nobody", {"x": np.zeros(1, np.float32)})
    assert caught.value.code == "NOT_FOUND"
    with pytest.raises(Unavailable, match="Could not find any versions of model nobody"):
        client.wait_until_ready("nobody", timeout=0.1)


def test_unavailable_is_tried_again_and_nothing_else_is(client, peer):
    client.predict("half_plus_two", [1.0])
    peer.seen.clear()
    peer.faults[:] = ["unavailable", "unavailable"]
    assert client.predict("half_plus_two", [1.0]).output.tolist() == [2.5]
    assert len(peer.seen) == 3
    peer.faults[:] = ["broken"]
    with pytest.raises(ServingError, match="INTERNAL: it broke"):
        client.predict("half_plus_two", [1.0])
    assert len(peer.seen) == 4


def test_tries_end(peer):
    for api in APIS:
        peer.faults[:] = ["unavailable"] * 9
        retry = Retry(tries=3, first_wait=0.001)
        with Client("localhost", peer.port(api), api, retry=retry) as client:
            with pytest.raises(Unavailable, match="try later"):
                client.predict("half_plus_two", [1.0])
        assert len(peer.faults) == 6


def test_a_deadline_is_kept_and_not_retried(client, peer):
    client.predict("half_plus_two", [1.0])
    peer.seen.clear()
    peer.faults[:] = ["slow"]
    with pytest.raises(ServingError, match="no answer from") as caught:
        client.predict("half_plus_two", [1.0], timeout=0.2)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert len(peer.seen) == 1


def test_a_connection_that_breaks_is_tried_again(peer):
    with Client("localhost", peer.rest_port) as client:
        client.predict("half_plus_two", [1.0])
        peer.faults[:] = ["reset"]
        assert client.predict("half_plus_two", [1.0]).output.tolist() == [2.5]
    assert len(peer.seen) == 3


def test_one_connection_serves_a_run(peer):
    with Client("localhost", peer.rest_port) as client:
        before = peer.connections
        for _ in range(20):
            client.predict("half_plus_two", [1.0])
        assert peer.connections == before + 1


@pytest.mark.parametrize("api", APIS)
def test_nobody_there(api):
    with Client("localhost", free_port(), api, retry=Retry(tries=2, first_wait=0.01)) as client:
        with pytest.raises(Unavailable, match=r"localhost.*refused"):
            client.status("half_plus_two")


def test_a_server_that_is_no_model_server(peer):
    with Client("localhost", peer.rest_port) as client:
        client.predict("half_plus_two", [1.0])
        peer.faults[:] = ["nonsense"]
        with pytest.raises(ServingError, match="doesn't answer as TensorFlow Serving"):
            client.predict("half_plus_two", [1.0])


@pytest.mark.parametrize("api", APIS)
def test_the_token_is_sent(api, peer):
    with Client("localhost", peer.port(api), api, token="secret") as client:
        client.predict("half_plus_two", [1.0])
    assert peer.seen[-1]["authorization"] == "Bearer secret"


def test_the_server_may_come_up_later():
    with official.serve() as peer:  # a free port that a server can stand on again
        port = peer.rest_port
    later = Timer(0.3, lambda: stack.enter_context(official.serve(rest_port=port)))
    with ExitStack() as stack, Client("localhost", port) as client:
        later.start()
        assert client.wait_until_ready("half_plus_two", timeout=30) == official.VERSION
        later.join()


@pytest.mark.parametrize("api", APIS)
def test_tls_with_client_certificates(api, certificate):
    chain, key = map(str, certificate)
    once = Retry(tries=1)
    with official.serve(certificate=certificate) as peer:
        port = peer.port(api)
        known = {"ca_file": chain, "cert_file": chain, "key_file": key}
        with Client("localhost", port, api, **known) as client:
            assert client.predict("half_plus_two", [1.0]).output.tolist() == [2.5]
        for refused in ({"tls": True}, {"ca_file": chain}, {}):
            with Client("localhost", port, api, retry=once, timeout=5, **refused) as client:
                with pytest.raises(Unavailable):
                    client.status("half_plus_two")


def test_threads_share_a_client(client):
    from concurrent.futures import ThreadPoolExecutor

    def ask(i):
        x = np.full(3, i, np.float32)
        return np.array_equal(client.predict("half_plus_two", x).output, x / 2 + 2)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))
