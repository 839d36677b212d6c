"""The load generator says what h2load says of the same server.

The server answers after a fixed time, so that both have the same to measure however busy the
machine is; rounds of both take turns.
"""

import re
import statistics
import subprocess

import numpy as np
import pytest

from client.load import http2
from tests.support import delayed, needs
from tests.support.loads import BODY, REST_PATH, load

DELAY_MS = 50
IN_FLIGHT = 8
ROUNDS = 5
SECONDS = 2.0
TOLERANCE = 0.05


def h2load(kind, port, folder):
    """Returns requests per second and the median latency in milliseconds."""
    program = needs.program("h2load", debian="nghttp2-client")
    body, log = folder / "body", folder / "log"
    body.write_bytes(http2.message(BODY) if kind == "grpc" else BODY)
    log.unlink(missing_ok=True)
    command = [program, "-D", f"{SECONDS:g}", "--warm-up-time", "1"]
    command += ["-d", str(body), "--log-file", str(log)]
    if kind == "grpc":
        command += ["-c", "1", "-m", str(IN_FLIGHT), "-H", "te: trailers"]
        command += ["-H", "content-type: application/grpc"]
        command += [f"http://127.0.0.1:{port}{delayed.PATH}"]
    else:
        command += ["--h1", "-c", str(IN_FLIGHT), f"http://127.0.0.1:{port}{REST_PATH}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    # Columns of the log: start in microseconds, status, duration in microseconds.
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    assert {status for _, status, _ in rows} == {"200"}, done.stdout
    rate = float(re.search(r"finished in [^,]*, ([\d.]+) req/s", done.stdout)[1])
    return rate, float(np.median([int(duration) for *_, duration in rows])) / 1e3


def ours(kind, port):
    """Returns the same of `client.load`."""
    api, connections = ("grpc", 1) if kind == "grpc" else ("rest", None)
    plan = {"concurrency": IN_FLIGHT, "connections": connections, "warmup": 0.5}
    result = load(api, port, duration=SECONDS, **plan)
    assert result.ok, result.errors
    return result.requests_per_second, result.percentile_ms(50)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["http1", "grpc"])
def test_rates_and_latencies_are_those_of_h2load(kind, tmp_path):
    with delayed.serve(kind, DELAY_MS) as port:
        rounds = [(h2load(kind, port, tmp_path), ours(kind, port)) for _ in range(ROUNDS)]
    for number, figure in enumerate(("requests/s", "median ms")):
        theirs, own = (statistics.median(r[who][number] for r in rounds) for who in (0, 1))
        print(f"{kind}, {figure}: h2load {theirs:.2f}, client.load {own:.2f}")
        assert own == pytest.approx(theirs, rel=TOLERANCE), (figure, rounds)
