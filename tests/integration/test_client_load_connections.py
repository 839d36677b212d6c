"""The load generator's connections: sent away, limited, and very many."""

import json
import socket
import subprocess
import sys

import pytest

from client.load.descriptors import allow
from tests.support import delayed, h2_server, needs
from tests.support.h2_server import Behaviour
from tests.support.loads import load

ROOT = delayed.ROOT


@pytest.mark.parametrize("loop", [{}, {"rate": 300.0}])
def test_a_connection_that_is_sent_away_finishes_and_loses_nothing(loop):
    seen = Behaviour(calls_a_connection=25)
    with h2_server.serve(seen) as port:
        result = load("grpc", port, concurrency=8, connections=1, **loop)
    assert not seen.faults
    assert result.errors == {}
    assert result.sent_away >= 3
    assert seen.ignored > 0, "no call arrived behind a GOAWAY: the test shows nothing"
    assert seen.answered == len(result.latencies) - result.unsent


def test_grpcs_own_server_that_limits_the_age_of_connections():
    with delayed.serve("grpc", 5, 4, 200) as port:
        result = load("grpc", port, concurrency=16, connections=2, duration=2.0)
    assert result.errors == {}
    assert result.sent_away > 1


def test_no_more_streams_than_the_server_allows():
    seen = Behaviour(most_streams=3)
    with h2_server.serve(seen) as port:
        result = load("grpc", port, concurrency=16, connections=2)
    assert not seen.faults
    assert (result.errors, seen.most_seen) == ({}, 3)
    assert result.queued > 0
    assert seen.answered == len(result.latencies)


def test_a_wait_for_a_stream_is_part_of_the_latency():
    with h2_server.serve(Behaviour(most_streams=1, delay=0.05)) as port:
        result = load("grpc", port, concurrency=4, connections=1, duration=1.5)
    assert result.percentile_ms(50) > 4 * 50 * 0.95


def test_a_call_that_the_server_never_touched_is_sent_again():
    seen = Behaviour(refuse_every=7)
    with h2_server.serve(seen) as port:
        result = load("grpc", port, concurrency=8, connections=2)
    assert (result.errors, result.queued) == ({}, 0)
    assert seen.refused > 3
    assert seen.answered == len(result.latencies)


def test_calls_that_get_no_stream_in_time_have_timed_out():
    seen = Behaviour(most_streams=1, delay=1.0)
    with h2_server.serve(seen) as port:
        result = load("grpc", port, concurrency=4, connections=1, duration=0.3, timeout=1.5)
    assert not [fault for fault in seen.faults if "TooMany" in fault]
    assert result.errors == {"DEADLINE_EXCEEDED": 3}
    assert sorted(result.latencies)[1] >= 1.5


def test_a_server_that_only_refuses_is_given_up():
    seen = Behaviour(refuse_every=1)
    with h2_server.serve(seen) as port:
        result = load("grpc", port, concurrency=2, connections=1, duration=0.2, timeout=0.5)
    assert result.errors == {"DEADLINE_EXCEEDED": 2}
    assert seen.refused < 200


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_a_peer_that_says_nothing_has_timed_out(api):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        result = load(api, port, concurrency=40, duration=0.3, timeout=0.4)
    assert result.completed == 0
    assert result.errors == {"DEADLINE_EXCEEDED": 40}
    assert result.latencies.min() >= 0.4
    # They have waited for their connections beside one another.
    assert result.latencies.max() < 0.4 * 20


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_connecting_counts_against_the_timeout(api):
    """A listening socket whose queue is full drops what it is sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        result = load(api, address[1], concurrency=2, duration=0.3, timeout=0.4)
        for filler in fillers:
            filler.close()
    assert result.errors == {"DEADLINE_EXCEEDED": 2}
    assert result.latencies.min() >= 0.4


MANY = """
import json, resource, sys
_, port, api, rate, hard = sys.argv
resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(hard)))
from tests.support.loads import load
result = load(api, int(port), concurrency=1500, duration=2.0, warmup=2.0,
              rate=float(rate) or None, timeout=60.0)
print(json.dumps(result.as_json()))
"""


def many_connections(port, api, rate, hard):
    return subprocess.run(
        [sys.executable, "-c", MANY, *map(str, (port, api, rate, hard))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0, 2000])
def test_more_than_1024_connections(rate):
    """In a process whose soft limit is 256 files, as select() takes no more than 1,024."""
    needs.linux("for its limits on open files")
    with delayed.serve("http1", 500) as port:
        done = many_connections(port, "rest", rate, 8000)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["errors"] == {}
    assert found["connections"] == 1500
    assert found["completed"] > 1000
    assert found["p50_ms"] > 500


def test_what_the_system_does_not_allow_is_said():
    needs.linux("for its limits on open files")
    done = many_connections(1, "rest", 0, 400)
    assert done.returncode == 1
    assert "1500 connections need 1564 open files, and the limit is 400" in done.stderr
    allow(10)  # which any process has
