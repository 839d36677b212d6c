"""The bench on a small model: servers that answer, one that doesn't, and a run that goes on."""

import json
import os
import stat
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from bench import curves, process, report, subjects, summary, swap
from bench.cases import Case, Load
from bench.comparison import Comparison
from bench.journal import Journal
from bench.progress import Meter
from bench.run import Choice, run
from client.errors import Unavailable
from tests.support import exports, needs

pytestmark = [pytest.mark.slow]

CASE = Case(
    model="scaled",
    build=None,
    about="a small model",
    loads=(Load(1, 1), Load(2, 4)),
    limit_sizes=(1, 2),
    rounds=2,
    window_s=0.05,
    warmup_s=0.05,
    shares=(0.3,),
    curve_in_flight=8,
    guess_s=0.3,
    draw=lambda: np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    exports.scaled(base, 1)
    return base


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    """Something that takes TensorFlow Serving's flags: this project's server does."""
    path = tmp_path_factory.mktemp("bin") / "tensorflow_model_server"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m server "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def broken():
    def start(stack: ExitStack, version_dir):
        folder = version_dir.parent.parent
        log = folder / "broken.log"
        running = process.spawn([sys.executable, "-c", "raise SystemExit('no room')"], log)
        stack.callback(process.end, running)
        process.wait_until(lambda: False, running, "broken", log)

    return subjects.Server("broken", ("grpc",), start)


def test_a_run_measures_what_answers_and_says_what_does_not(models, binary, tmp_path):
    needs.package("matplotlib", "exporter")
    servers = [
        subjects.embedded(subjects.EMBEDDED),
        subjects.tensorflow_serving(binary, batching=True),
        broken(),
    ]
    choice = Choice([CASE], servers, models, parts=("curves",))
    journal = Journal(tmp_path / "journal.jsonl", {"of": "this test"})
    with Meter(choice.guess_s()) as meter:
        results = {**run(choice, journal, meter), "price": 0.04}
    case = results["cases"]["scaled"]
    assert list(case["failures"]) == ["broken"]
    assert "no room" in case["failures"]["broken"]
    rows = summary.rows(case)
    wanted = {("embedded", p) for p in servers[0].protocols}
    wanted |= {("TensorFlow Serving, batching", p) for p in ("grpc", "rest")}
    assert {(row.server, row.protocol) for row in rows} == wanted
    assert len(case["closed"]) == len(wanted) * len(CASE.loads) * CASE.rounds
    for row in rows:
        assert row.errors == 0
        assert row.ratio.median > 0
        assert row.server_cpu_us.median > 0
    assert {m["answers"] for m in case["closed"] if not m["is_slow"]} <= {
        window["answers"] for window in case["windows"]
    }
    assert all(found["pss_mib"] > 10 for found in case["memory"].values())
    assert len(case["curves"]) == 4  # three of the embedded server's, TensorFlow Serving's first
    for path in report.write(tmp_path / "results", results):
        assert path.stat().st_size > 500
    assert json.loads((tmp_path / "results" / "results.json").read_text()) == results

    # Once more: nothing is measured again, and nobody is started.
    again = Journal(tmp_path / "journal.jsonl", {"of": "this test"})
    silent = replace(choice, servers=[broken()])
    with Meter(1.0) as meter:
        assert run(silent, again, meter)["cases"] == results["cases"]


def test_a_server_that_stops_answering_is_left_out_and_the_rest_goes_on(models, tmp_path):
    stopped = []

    def start(stack: ExitStack, version_dir):
        subject = plain.start(stack, version_dir)
        stopped.append(subject)
        return replace(subject, name="mortal")

    plain = subjects.embedded(subjects.EMBEDDED, protocols=("grpc",))
    mortal = subjects.Server("mortal", ("grpc",), start)
    journal = Journal(tmp_path / "journal.jsonl", {})
    with Meter(1.0) as meter, ExitStack() as stack:
        comparison = Comparison(CASE, models / "scaled" / "1", [plain, mortal], journal)
        comparison.start(stack, meter)
        os.kill(stopped[0].pid, 9)
        comparison.rounds(meter)
        assert list(comparison.failures) == ["mortal, gRPC"]
        assert "UNAVAILABLE" in comparison.failures["mortal, gRPC"]
        assert [(s.name, p) for s, p in comparison.working()] == [(subjects.EMBEDDED, "grpc")]
        found = curves.measure(comparison, CASE, {(plain.name, "grpc"): 200.0}, journal, meter)
        (point,) = found
        assert point["rate"] == pytest.approx(60.0)
        assert point["answers"] > 60

        # A new version under load fails no request.
        figures = swap.measure(comparison, plain, models / "scaled" / "1", 200.0, 8)
        assert not figures["steady"]["errors"]
        assert not figures["swap"]["errors"]
        assert figures["swap"]["answers"] == pytest.approx(80 * 8, rel=0.3)


def test_a_server_that_answers_wrongly_is_left_out(models, tmp_path):
    exports.scaled(tmp_path, 2)
    other = subjects.embedded("other", protocols=("grpc", "rest"))
    wrong = subjects.Server(
        "wrong", other.protocols, lambda stack, _: other.start(stack, tmp_path / "scaled" / "2")
    )
    with Meter(1.0) as meter, ExitStack() as stack:
        comparison = Comparison(CASE, models / "scaled" / "1", [wrong], Journal(tmp_path / "j", {}))
        comparison.start(stack, meter)
        assert not comparison.subjects
        assert "MISMATCH" in comparison.failures["other, gRPC"]
        assert comparison.failures["wrong"] == "it answers by none of its protocols"


def test_a_process_that_ends_is_no_server(tmp_path):
    log = tmp_path / "log"
    running = process.spawn([sys.executable, "-c", "print('the reason')"], log)
    with pytest.raises(Unavailable, match=r"it ended; .*\nthe reason"):
        process.wait_until(lambda: False, running, "it", log)


def test_gpu_is_refused_where_there_is_none():
    needs.package("jax", "server")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--gpu"],
        cwd=needs.ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 2
    assert "JAX's default backend is cpu, not a GPU" in done.stderr
