"""The load generator's parts that need no server."""

import asyncio
import queue
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from client.codec import HttpBody
from client.endpoint import Endpoint, endpoint
from client.load import hpack, http1, http2, plot, precise_loop, table
from client.load.caller import EXPIRED
from client.load.generator import generate
from client.load.plan import LoadPlan
from client.load.recorder import Recorder
from client.load.result import Result
from client.load.schedule import Schedule
from client.load.workload import Workload, fitting
from client.model_spec import ModelSpec
from client.signature import ArraySpec, ServedSignature
from tests.support import needs


def plan(api="grpc", **changes):
    return LoadPlan(Endpoint("localhost", 1, api), ModelSpec("m"), **changes)


def test_a_status_is_read_among_other_headers():
    for code in range(17):
        block = hpack.encode([("grpc-message", "x" * 200), ("grpc-status", str(code)), ("a", "")])
        assert hpack.grpc_status(block) == code
    assert hpack.grpc_status(b"\x88" + hpack.encode([("content-type", "b")])) is None


def test_a_huffman_coded_status_is_read():
    # RFC 7541 C.4.1 and C.6.1 give "www.example.com" and "302"; gRPC's own words are made alike.
    assert hpack._huffman("302").hex() == "6402"
    name, value = hpack._huffman("grpc-status"), hpack._huffman("14")
    block = bytes([0x40, 0x80 | len(name)]) + name + bytes([0x80 | len(value)]) + value
    assert hpack.grpc_status(b"\x20" + block) == 14


@pytest.mark.parametrize("block", [b"\xbe", b"\x00\x05ab", b"\x00"])
def test_a_damaged_or_indexed_block_is_refused(block):
    with pytest.raises(ValueError, match=r"table|too early"):
        hpack.grpc_status(block)


def test_the_open_loop_keeps_its_even_schedule_however_late_it_is_asked():
    start = time.perf_counter()
    schedule = Schedule(plan(rate=50.0, duration=0.2, warmup=0.1), start)
    time.sleep(0.15)
    taken = [schedule.take() - start for _ in range(10)]
    np.testing.assert_allclose(taken, np.arange(10) / 50, atol=1e-6)
    assert len(schedule.left()) == 5
    time.sleep(0.2)
    assert schedule.take() is None
    assert len(schedule.left()) == 5


def test_poisson_arrivals_have_the_rate_and_exponential_gaps():
    start = time.perf_counter()
    schedule = Schedule(plan(rate=1000.0, poisson=True, duration=20, warmup=1), start)
    offsets = schedule.left() - start
    assert len(offsets) == pytest.approx(21_000, rel=0.03)
    assert offsets[-1] < 21
    gaps = np.diff(offsets)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)


def test_the_closed_loop_starts_now_and_leaves_nothing():
    schedule = Schedule(plan(duration=60), time.perf_counter())
    before = time.perf_counter()
    assert before <= schedule.take() <= time.perf_counter()
    assert len(schedule.left()) == 0


def test_the_closed_loop_ends_with_the_answers_that_were_asked_for():
    start = time.perf_counter()
    schedule = Schedule(plan(duration=60, warmup=0.0, answers=3), start)
    schedule.answered(start - 1)  # the warm-up's
    for number in range(3):
        assert schedule.is_short
        assert schedule.take() is not None
        schedule.answered(start + number * 1e-6)
    assert not schedule.is_short
    assert start + 2e-6 < schedule.end < start + 3e-6
    assert schedule.take() is None


@pytest.mark.parametrize(("delay", "ceiling", "least"), [(0.0, 60.0, 40), (0.3, 0.2, 1)])
def test_a_window_of_answers_measures_the_fast_and_the_slow(delay, ceiling, least):
    with answering(delay) as port:
        asked = LoadPlan(
            Endpoint("127.0.0.1", port, "rest"),
            ModelSpec("m"),
            concurrency=4,
            duration=ceiling,
            warmup=0.0,
            answers=40,
        )
        request = http1.request(asked.endpoint, "/", HttpBody(b"", {}))
        result = generate(asked, Workload(0, [request], None, "/"))
    assert result.ok
    assert result.completed >= least
    if delay:  # cut off, and all that was in flight is in it, with its time
        assert result.completed == 4
        assert result.seconds >= 0.3
        assert result.requests_per_second == pytest.approx(4 / result.seconds)
    else:
        assert result.completed == 40
        assert result.seconds < ceiling
        assert result.answered >= 40


def test_an_open_loop_has_no_number_of_answers():
    with pytest.raises(ValueError, match="by its schedule"):
        plan(rate=10.0, answers=5)


@contextmanager
def answering(delay):
    """Answers each HTTP request after a delay, in a thread of its own; gives the port."""

    async def answer(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(delay)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def serve(ready, stop):
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # connections that end are no news
        ready.put((server.sockets[0].getsockname()[1], loop))
        await stop.wait()

    ready, stop = queue.Queue(), asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(ready, stop)))
    thread.start()
    port, loop = ready.get(timeout=30)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def test_the_warmup_counts_nowhere():
    recorder = Recorder(10.0)
    recorder.add(0.5, 0.9, "OK")  # before
    recorder.add(0.9, 1.5, "OK")  # answered in the measured time, started before it
    recorder.add(1.0, 1.2, "OK")
    recorder.add(1.8, 2.5, "OK")  # answered after it
    recorder.add(0.7, 0.8, "INTERNAL")
    recorder.add(1.1, 1.2, "UNAVAILABLE")
    assert recorder.latencies(1.0) == pytest.approx([0.2, 0.7])
    assert recorder.completed(1.0, 2.0) == 2
    assert recorder.errors(1.0) == {"UNAVAILABLE": 1}


def test_what_timed_out_has_at_least_its_timeout_as_its_latency():
    recorder = Recorder(0.5)
    recorder.add(0.9, 1.4, EXPIRED)  # the warm-up's
    recorder.add(1.0, 1.1, "OK")
    recorder.add(1.0, 1.7, EXPIRED)
    recorder.add(1.0, 1.2, EXPIRED)  # the server's own deadline came first
    recorder.add(1.0, 1.1, "UNAVAILABLE")
    assert sorted(recorder.latencies(1.0)) == pytest.approx([0.1, 0.5, 0.7])
    assert recorder.completed(1.0, 2.0) == 1
    assert recorder.errors(1.0) == {EXPIRED: 2, "UNAVAILABLE": 1}


def test_time_outs_and_replaced_connections_are_said(capsys):
    result = Result(plan(timeout=3.0), 3, np.ones(4), 2, {EXPIRED: 2}, 0, 0.1, 5, 7)
    table.print_result(result)
    shown = " ".join(capsys.readouterr().out.split())
    assert "the 2 that timed out are in the percentiles with at least the 3 s" in shown
    assert "sent 5 connections away (GOAWAY)" in shown
    assert "7 requests waited for a stream" in shown
    found = result.as_json()
    assert (found["timed_out"], found["sent_away"], found["ok"]) == (2, 5, False)


def test_requests_have_the_prefix_and_the_headers_of_the_endpoint():
    made = endpoint("https://h/eu", None, "rest", token="t", headers={"X-Tenant": "a"})
    lines = http1.request(made, "/v1/models/m:predict", HttpBody(b"{}", {"X-A": "b"})).split(
        b"\r\n"
    )
    assert lines[0] == b"POST /eu/v1/models/m:predict HTTP/1.1"
    assert {b"Host: h:443", b"X-A: b", b"X-Tenant: a", b"Authorization: Bearer t"} <= set(lines)
    block = http2.headers(endpoint("dns:///h:9", None, "grpc", token="t"), "/a/B")
    assert b"Bearer t" in block
    assert b"h:9" in block


def test_a_target_without_one_address_takes_no_load():
    with pytest.raises(ValueError, match="one host and port"):
        LoadPlan(endpoint("ipv4:127.0.0.1:1,127.0.0.1:2", None, "grpc"), ModelSpec("m"))


def test_waits_of_the_precise_loop_end():
    async def turns():
        loop = asyncio.get_running_loop()
        reader, writer = socket.socketpair()
        with reader, writer:
            reader.setblocking(False)
            loop.call_later(0.0003, writer.send, b"a")
            return await loop.sock_recv(reader, 1)

    with asyncio.Runner(loop_factory=precise_loop.make) as runner:
        assert runner.run(turns()) == b"a"
        assert runner.run(asyncio.sleep(0.0005, "slept")) == "slept"


def test_a_plan_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="would never be used"):
        plan(concurrency=2, connections=3)
    with pytest.raises(ValueError, match="one request at a time"):
        plan("rest", concurrency=4, connections=2)
    assert plan(concurrency=4, connections=2).connections == 2


def test_inputs_fit_any_signature():
    image = ServedSignature({"x": ArraySpec((-1, 28, 28, 1), "float32")}, {}, "")
    assert fitting(image, 4).labels is not None
    spec = {
        "a": ArraySpec((-1, 3, -1), "float32"),
        "b": ArraySpec((-1,), "string"),
        "c": ArraySpec(None, "int64"),
    }
    inputs = fitting(ServedSignature(spec, {}, ""), 4).inputs
    assert {n: (v.shape[1:], v.dtype) for n, v in inputs.items()} == {
        "a": ((3, 1), np.float32),
        "b": ((), object),
        "c": ((), np.int64),
    }


def test_a_result_has_the_figures_of_its_latencies(tmp_path):
    latencies = np.random.default_rng(0).lognormal(-6, 0.5, 5000)
    result = Result(plan(duration=2.0, batch_size=16), 3, latencies, 5000, {}, 0, 0.25)
    found = result.as_json()
    assert (found["requests_per_s"], found["examples_per_s"]) == (2500.0, 40_000.0)
    assert found["max_ms"] == pytest.approx(latencies.max() * 1e3, abs=1e-3)
    below = (latencies * 1e3 <= found["p99_ms"] + 1e-4).mean()
    assert 0.99 <= below <= 0.9905
    assert found["ok"]
    picture = tmp_path / "latency.png"
    needs.package("matplotlib", "exporter")
    plot.save(result, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_no_answers_are_no_success():
    result = Result(plan(), 3, np.zeros(0), 0, {"UNAVAILABLE": 2}, 0, 0.0)
    assert not result.ok
    assert result.as_json()["p99_ms"] is None
    with pytest.raises(ValueError, match="nothing to plot"):
        plot.save(result, "nowhere.png")
