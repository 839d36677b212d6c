"""No output has the name of another version's, however the served versions change.

A server in memory takes the client's exchanges. Version n has one output, `output_n`, whose values
are n; like TensorFlow Serving's, its REST answers don't name a single output.
"""

import asyncio
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from client.calls import FRESH_S, Calls
from client.codec import HttpReply
from client.deadline import Deadline
from client.descriptions import Descriptions
from client.errors import ServingError, Unavailable
from client.model_spec import ModelSpec
from client.rest import RestCodec
from client.retry import Retry
from client.steps import run, run_async

SIGNATURE = "serving_default"


class Server:
    """Serves `versions`, the newest by default; `before` is called ahead of each exchange."""

    def __init__(self, *versions, names_itself=False, before=lambda server: None):
        self.versions = list(versions)
        self.labels = {}
        self.names_itself = names_itself
        self.describes_version = True
        self.dtypes = {}
        self.before = before
        self.paths = []
        self.bodies = []

    def send(self, exchange, deadline):
        self.before(self)
        self.paths.append(exchange.path)
        body = exchange.encode() if exchange.encode else None
        status, headers, answer = self.answer(exchange.path, body and json.loads(body.content))
        return exchange.read(HttpReply(status, "", headers, json.dumps(answer).encode()))

    def answer(self, path, body):
        asked = path.removeprefix("/v1/models/m").partition(":")[0]
        metadata = asked.endswith("/metadata")
        _, kind, chosen = [*asked.removesuffix("/metadata").split("/"), "", ""][:3]
        version = max(self.versions, default=None)
        if kind == "versions":
            version = int(chosen) if int(chosen) in self.versions else None
        elif kind == "labels":
            version = self.labels[chosen]
        if version is None:
            return 404, {}, {"error": f"Servable not found for request: m {chosen}"}
        if metadata:
            return 200, {}, self.describe(version)
        self.bodies.append(body)
        headers = {"x-model-version": str(version)} if self.names_itself else {}
        return 200, headers, {"outputs": self.outputs(version)}

    def describe(self, version):
        def info(dtype):
            return {"dtype": dtype, "tensor_shape": {"dim": [{"size": "-1"}]}}

        signature = {
            "inputs": {"x": info(self.dtypes.get(version, "DT_FLOAT"))},
            "outputs": {f"output_{version}": info("DT_INT32")},
            "method_name": "tensorflow/serving/predict",
        }
        found = {"metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}}}
        if self.describes_version:
            found["model_spec"] = {"name": "m", "signature_name": "", "version": str(version)}
        return found

    def outputs(self, version):
        return [version]


def caller(server, retry=None):
    """Returns a function that makes one predict call after the other with the same client."""
    calls = Calls(RestCodec("server"), retry or Retry(tries=2, first_wait=0.001))

    def ask(x=(1.0,), **chosen):
        steps = calls.predict(ModelSpec("m", **chosen), np.array(x), SIGNATURE, Deadline(30))
        return run(steps, server)

    return ask


def is_right(prediction):
    ((name, values),) = prediction.outputs.items()
    assert values.dtype == np.int32
    assert name == f"output_{values[0]}"
    assert prediction.version == values[0]
    return prediction.version


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass for descriptions when a test adds to them."""
    passed = [0.0]
    monkeypatch.setattr("client.descriptions.time.monotonic", lambda: passed[0])
    return passed


@pytest.mark.parametrize("names_itself", [True, False])
@pytest.mark.parametrize("chosen", [{}, {"label": "stable"}])
def test_a_swap_brings_the_new_versions_names(names_itself, chosen):
    server = Server(1, names_itself=names_itself)
    server.labels = {"stable": 1}
    ask = caller(server)
    assert is_right(ask(**chosen)) == 1
    server.versions, server.labels = [2], {"stable": 2}
    assert is_right(ask(**chosen)) == 2


def test_a_server_that_names_the_version_is_asked_for_the_latest(clock):
    server = Server(1, names_itself=True)
    ask = caller(server)
    ask()
    server.versions = [1, 2]
    assert is_right(ask()) == 2
    before = len(server.paths)
    for _ in range(5):
        ask()
    assert server.paths[before:] == ["/v1/models/m:predict"] * 5


def test_another_server_is_asked_for_the_version_that_it_described(clock):
    server = Server(1)
    ask = caller(server)
    ask()
    server.versions = [1, 2]  # the older one goes on answering
    for _ in range(5):
        assert is_right(ask()) == 1
    assert server.paths == ["/v1/models/m/metadata", *["/v1/models/m/versions/1:predict"] * 6]
    clock[0] += FRESH_S * 1.01
    assert is_right(ask()) == 2


def test_a_version_that_is_asked_for_is_never_another_one(clock):
    server = Server(1, 2)
    ask = caller(server)
    for _ in range(3):
        assert is_right(ask(version=1)) == 1
        clock[0] += FRESH_S * 1.01
    server.versions = [2]
    with pytest.raises(ServingError, match="NOT_FOUND"):
        ask(version=1)


@pytest.mark.parametrize("names_itself", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_no_name_is_wrong_whatever_changes_and_whenever(names_itself, seed):
    """Before any exchange, of a call or between calls, versions may come and go."""
    random.seed(seed)
    newest = 1

    def change(server):
        nonlocal newest
        if random.random() < 0.3:
            newest += 1
            server.versions = [*server.versions[-random.randint(0, 2) :], newest]
        if random.random() < 0.1:
            server.names_itself = names_itself and random.random() < 0.5

    server = Server(newest, names_itself=names_itself, before=change)
    ask = caller(server)
    refused = []
    for _ in range(50):
        try:
            is_right(ask())
        except ServingError as error:  # another version each time
            refused.append(error.code)
    assert set(refused) <= {"UNAVAILABLE", "NOT_FOUND"}
    assert len(refused) < 10


@pytest.mark.parametrize("names_itself", [True, False])
def test_no_name_is_wrong_where_threads_share_a_client(names_itself):
    server = Server(1, names_itself=names_itself)
    ask = caller(server, Retry(tries=5, first_wait=0.001))

    def ask_often(_):
        return [is_right(ask()) for _ in range(100)]

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask_often, number) for number in range(8)]
        version = 1
        while not all(each.done() for each in asking):
            version += 1
            server.versions = [version - 1, version] if version % 2 else [version]
            time.sleep(0.002)
        assert all(len(each.result()) == 100 for each in asking)


@pytest.mark.parametrize("names_itself", [True, False])
def test_servers_with_different_versions_behind_one_address(names_itself):
    turns = iter(range(10_000))

    def turn(server):
        server.versions = [1 + next(turns) % 2]

    server = Server(1, names_itself=names_itself, before=turn)
    ask = caller(server)
    seen = {is_right(ask()) for _ in range(20)}
    assert seen <= {1, 2}


def test_a_version_that_takes_over_and_goes_before_it_is_described():
    server = Server(1, names_itself=True)
    ask = caller(server)
    ask()

    def swap_when_described(server):
        if server.paths[-1].endswith(":predict") and server.versions == [2]:
            server.versions = [3]  # now the client asks who version 2 was

    server.versions, server.before = [2], swap_when_described
    assert is_right(ask()) == 3


def test_inputs_are_cast_for_the_version_that_answers():
    server = Server(1, names_itself=True)
    server.dtypes = {1: "DT_HALF", 2: "DT_FLOAT"}
    ask = caller(server)
    ask()
    server.versions = [2]
    ask([1 + 2**-20])
    assert np.float32(server.bodies[-1]["inputs"]) == [1 + 2**-20]


@pytest.mark.parametrize("names_itself", [True, False])
def test_another_model_under_the_same_number(names_itself, clock):
    server = Server(1, names_itself=names_itself)
    ask = caller(server)
    ask()
    server.outputs = lambda version: {"probs": [0.5], "labels": [1]}
    with pytest.raises(ServingError, match=r"INTERNAL: m: the answer isn't as its signature says"):
        ask()
    server.outputs = lambda version: [version]
    assert is_right(ask()) == 1


def test_a_server_that_tells_no_version_at_all_gets_no_names_made_up():
    server = Server(1)
    server.describes_version = False
    prediction = caller(server)()
    assert (list(prediction.outputs), prediction.version) == ([""], None)
    assert prediction.output.tolist() == [1]
    assert list(caller(server)(version=1).outputs) == ["output_1"]


def test_a_refusal_is_the_servers_own_where_nothing_has_changed():
    server = Server(1)
    ask = caller(server)
    ask()
    server.answer, answer = (
        lambda path, body: (400, {}, {"error": "its own words"}) if body else answer(path, body),
        server.answer,
    )
    server.paths.clear()
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: its own words"):
        ask()
    assert server.paths == ["/v1/models/m/versions/1:predict", "/v1/models/m/metadata"]


def test_a_server_without_any_version_is_not_asked_for_ever():
    server = Server(1)
    ask = caller(server)
    ask()
    server.versions = []
    with pytest.raises(ServingError, match="NOT_FOUND"):
        ask()
    assert len(server.paths) < 8


def test_an_event_loop_takes_the_same_steps():
    server = Server(1)

    class Carrier:
        async def send(self, exchange, deadline):
            return server.send(exchange, deadline)

    calls = Calls(RestCodec("server"), Retry(first_wait=0.001))

    async def ask():
        steps = calls.predict(ModelSpec("m"), np.ones(1), SIGNATURE, Deadline(30))
        return await run_async(steps, Carrier())

    assert is_right(asyncio.run(ask())) == 1
    server.versions = [2]
    assert is_right(asyncio.run(ask())) == 2


def test_descriptions_are_read_again_by_one_caller_and_have_an_end(clock):
    kept = Descriptions(1.0)
    spec = ModelSpec("m")
    kept.keep(spec, None)
    assert kept.find(spec) == (None,)
    clock[0] = 2.0
    assert kept.find(spec) is None  # this one is to read it,
    assert kept.find(spec) == (None,)  # the others go on meanwhile
    for number in range(1000):
        kept.keep(ModelSpec("m", number), None)
    assert len(kept._found) <= 256


def test_retries_stay_within_the_deadline():
    class Nobody:
        tries = 0

        def send(self, exchange, deadline):
            self.tries += 1
            raise Unavailable("busy")

    for retry, timeout, tries in (
        (Retry(tries=100, first_wait=10), 1.0, 1),
        (Retry(tries=3, first_wait=0.001), 60.0, 3),
    ):
        nobody = Nobody()
        calls = Calls(RestCodec("server"), retry)
        with pytest.raises(Unavailable, match="busy"):
            run(calls.status(ModelSpec("m"), Deadline(timeout)), nobody)
        assert nobody.tries == tries
