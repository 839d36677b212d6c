"""`AsyncClient` and `predict_many` against the official stubs of TensorFlow Serving."""

import asyncio
import time

import numpy as np
import pytest

from tests.support import needs

needs.package("tensorflow_serving", "exporter")

from client import AsyncClient, Client, Retry, ServingError, Unavailable
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
def run(request, peer):
    """Runs a coroutine function with a connected AsyncClient."""

    def run(function, **options):
        async def connected():
            port = peer.port(request.param)
            async with AsyncClient("localhost", port, request.param, **options) as client:
                return await function(client)

        return asyncio.run(connected())

    return run


@pytest.fixture(params=APIS)
def client(request, peer):
    with Client("localhost", peer.port(request.param), request.param) as connected:
        yield connected


def test_each_call_gives_what_the_other_clients_does(run, client):
    x = np.arange(5, dtype=np.float32)

    async def calls(asynchronous):
        api = asynchronous.endpoint.api
        found = [
            await asynchronous.wait_until_ready("half_plus_two"),
            await asynchronous.served_version("half_plus_two"),
            await asynchronous.status("half_plus_two"),
            await asynchronous.metadata("echo"),
            await asynchronous.classify("half_plus_two", [{"x": 1.0}]),
            (await asynchronous.regress("half_plus_two", [{"x": 1.0}])).values.tolist(),
        ]
        prediction = await asynchronous.predict("half_plus_two", x)
        return api, found, prediction

    api, found, prediction = run(calls)
    np.testing.assert_array_equal(prediction.output, x / 2 + 2)
    assert prediction.version == official.VERSION
    if api == client.endpoint.api:
        assert found == [
            client.wait_until_ready("half_plus_two"),
            client.served_version("half_plus_two"),
            client.status("half_plus_two"),
            client.metadata("echo"),
            client.classify("half_plus_two", [{"x": 1.0}]),
            client.regress("half_plus_two", [{"x": 1.0}]).values.tolist(),
        ]


def test_tries_and_refusals(run, peer):
    async def calls(client):
        await client.predict("half_plus_two", [1.0])
        peer.faults[:] = ["unavailable"]
        assert (await client.predict("half_plus_two", [1.0])).output.tolist() == [2.5]
        peer.faults[:] = ["broken"]
        with pytest.raises(ServingError, match="INTERNAL: it broke"):
            await client.predict("half_plus_two", [1.0])
        with pytest.raises(ServingError, match="NOT_FOUND: Servable not found"):
            await client.predict("nobody", {"x": [1.0]})
        with pytest.raises(Unavailable, match="not ready"):
            await client.wait_until_ready("nobody", timeout=0.1)
        peer.faults[:] = ["slow"]
        with pytest.raises(ServingError, match="DEADLINE_EXCEEDED"):
            await client.predict("half_plus_two", [1.0], timeout=0.3)

    run(calls)


def test_calls_are_under_way_at_once(run, peer):
    async def calls(client):
        await client.predict("half_plus_two", [1.0])
        peer.faults[:] = ["slow"] * 4
        started = time.monotonic()
        answers = await asyncio.gather(*(client.predict("half_plus_two", [n]) for n in range(4)))
        assert [float(answer.output[0]) for answer in answers] == [2.0, 2.5, 3.0, 3.5]
        return time.monotonic() - started

    assert run(calls) < 3.5  # each takes a second


def test_a_large_array_goes_both_ways(run):
    x = np.random.default_rng(0).random(300_000, np.float32)

    async def calls(client):
        return (await client.predict("half_plus_two", x)).output

    np.testing.assert_array_equal(run(calls), x / 2 + 2)


def batches(count):
    return ([float(number)] for number in range(count))


def test_many_predictions_in_order(client):
    predictions = client.predict_many("half_plus_two", batches(50), in_flight=4)
    assert [float(p.output[0]) for p in predictions] == [n / 2 + 2 for n in range(50)]


def test_connections_are_kept_for_as_many_as_ask_at_once(peer, caplog):
    with Client("localhost", peer.rest_port) as client:
        client.predict("half_plus_two", [1.0])
        before = peer.connections
        for _ in range(2):
            list(client.predict_many("half_plus_two", batches(300), in_flight=100))
        assert peer.connections - before <= 100
    assert not caplog.records


def test_many_predictions_in_order_on_an_event_loop(run):
    async def calls(client):
        predictions = client.predict_many("half_plus_two", batches(50), in_flight=4)
        return [float(p.output[0]) async for p in predictions]

    assert run(calls) == [n / 2 + 2 for n in range(50)]


def test_many_predictions_with_errors(client, peer, run):
    requests = [[1.0], {"wrong": [1.0], "x": 1j}, [3.0]]
    client.predict("half_plus_two", [1.0])
    peer.faults[:] = ["broken"]
    first, *rest = client.predict_many(
        "half_plus_two", batches(3), in_flight=1, collect_errors=True
    )
    assert (first.code, [p.output.tolist() for p in rest]) == ("INTERNAL", [[2.5], [3.0]])
    peer.faults[:] = ["broken"]
    with pytest.raises(ServingError, match="it broke"):
        list(client.predict_many("half_plus_two", batches(3), in_flight=1))
    if client.endpoint.api == "rest":  # complex numbers have no place in JSON
        found = list(client.predict_many("half_plus_two", requests, collect_errors=True))
        assert isinstance(found[1], ValueError)

    async def calls(asynchronous):
        await asynchronous.predict("half_plus_two", [1.0])
        peer.faults[:] = ["broken"]
        many = asynchronous.predict_many(
            "half_plus_two", batches(3), in_flight=1, collect_errors=True
        )
        return [getattr(p, "code", "OK") async for p in many]

    assert run(calls) == ["INTERNAL", "OK", "OK"]


@pytest.mark.parametrize("api", APIS)
def test_tls_on_an_event_loop(api, certificate):
    chain, key = map(str, certificate)

    async def calls(port):
        known = {"ca_file": chain, "cert_file": chain, "key_file": key}
        async with AsyncClient("localhost", port, api, **known) as client:
            return (await client.predict("half_plus_two", [1.0])).output.tolist()

    with official.serve(certificate=certificate) as peer:
        assert asyncio.run(calls(peer.port(api))) == [2.5]


@pytest.mark.parametrize("api", APIS)
def test_headers_are_sent(api, peer):
    with Client("localhost", peer.port(api), api, token="t", headers={"X-Tenant": "a b"}) as client:
        client.predict("half_plus_two", [1.0])
    assert peer.seen[-1]["x-tenant"] == "a b"
    assert peer.seen[-1]["authorization"] == "Bearer t"


def test_a_url_with_a_prefix(peer, certificate):
    with Client(f"http://localhost:{peer.rest_port}{official.PREFIX}/") as client:
        assert client.predict("half_plus_two", [1.0]).output.tolist() == [2.5]
        assert client.wait_until_ready("half_plus_two") == official.VERSION
    chain, key = map(str, certificate)
    known = {"ca_file": chain, "cert_file": chain, "key_file": key}
    with official.serve(certificate=certificate) as secure:
        with Client(f"https://localhost:{secure.rest_port}{official.PREFIX}", **known) as client:
            assert client.predict("half_plus_two", [1.0]).output.tolist() == [2.5]


def test_a_dns_target(peer):
    with Client(f"dns:///localhost:{peer.grpc_port}", api="grpc") as client:
        assert client.predict("half_plus_two", [1.0]).output.tolist() == [2.5]


def test_the_servers_of_a_target_get_calls_in_turn(peer):
    with official.serve() as other:
        target = f"ipv4:127.0.0.1:{peer.grpc_port},127.0.0.1:{other.grpc_port}"
        with Client(target, api="grpc") as client:
            client.wait_until_ready("half_plus_two")
            for _ in range(200):
                client.predict("half_plus_two", [1.0])
                if peer.seen and other.seen:
                    break
                time.sleep(0.01)  # the second connection may take a moment
            peer.seen.clear()
            other.seen.clear()
            for _ in range(20):
                client.predict("half_plus_two", [1.0])
        assert (len(peer.seen), len(other.seen)) == (10, 10)
    with Client(target, api="grpc", retry=Retry(tries=3)) as client:  # one of them has gone
        for _ in range(10):
            client.predict("half_plus_two", [1.0])
