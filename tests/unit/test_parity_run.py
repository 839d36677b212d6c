"""The parity run's own parts: it must see what is wrong, and go on after what breaks."""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support import needs

needs.package("jax", "exporter")

from artifact.manifest import Tolerance
from exporter import __main__ as command_line
from scripts.parity import document, inputs, pool, worker
from scripts.parity.case import Case, cases
from scripts.parity.cell import EQUAL, FINITE, REFUSED, TRACEBACK, WRONG, Cell
from scripts.parity.comparing import compare

FLOATS = np.array([1.0, np.nan, -np.inf], np.float32)
DIFFERING = {
    "a number": (np.array([1.1, np.nan, -np.inf], np.float32), r"y: \[0\] is 1.1.*1 of 3 numbers"),
    "NaN": (np.array([1.0, 2.0, -np.inf], np.float32), r"\[1\] is 2.0, not nan"),
    "infinity": (np.array([1.0, np.nan, np.inf], np.float32), r"\[2\] is inf, not -inf"),
    "dtype": (FLOATS.astype(np.float64), "dtype float64, not float32"),
    "shape": (FLOATS[:, None], r"shape \[3, 1\], not \[3\]"),
}


@pytest.mark.parametrize("case", DIFFERING)
def test_what_differs_is_seen_and_said(case):
    actual, said = DIFFERING[case]
    _, text = compare({"y": actual}, {"y": FLOATS}, Tolerance(), narrow=False)
    assert re.search(said, text)


def test_equal_numbers_are_equal_and_integers_exactly():
    close = FLOATS + np.float32(1e-6)
    assert compare({"y": close}, {"y": FLOATS}, Tolerance(), narrow=False)[1] == ""
    whole = np.array([1_000_000], np.int32)
    assert compare({"y": whole + 1}, {"y": whole}, Tolerance(), narrow=False)[1]
    short = whole.astype(np.int16)
    assert compare({"y": short.astype(np.int32)}, {"y": short}, Tolerance(), narrow=True)[1] == ""
    assert compare({"y": short.astype(np.int32)}, {"y": short}, Tolerance(), narrow=False)[1]
    assert compare({"z": whole}, {"y": whole}, Tolerance(), narrow=False)[1] == "outputs z, not y"


def test_inputs_are_of_their_kind_and_range():
    specs = {"x": (("b", "s", 4), "float32"), "n": (("b", 50), "int32"), "any": ((200,), "int32")}

    def draw(kind):
        return inputs.draw(specs, "b", 3, {"n": (2, 5)}, kind=kind)

    random, edge, extreme = map(draw, (inputs.RANDOM, inputs.EDGE, inputs.EXTREME))
    for arrays in (random, edge, extreme):
        assert arrays["x"].shape[0] == arrays["n"].shape[0] == 3
        assert set(np.unique(arrays["n"])) == {2, 3, 4, 5}
    assert np.isfinite(edge["x"]).all()
    assert (edge["x"] == 0).any()
    assert not np.isfinite(extreme["x"]).all()
    assert {edge["any"].min(), edge["any"].max()} == {-(2**31), 2**31 - 1}
    assert np.abs(random["any"]).max() <= 100


def tried(kind, compiled, eager=None):
    return worker.Tried(
        kind, 1, {}, {"y": compiled}, lambda: {"y": compiled if eager is None else eager}
    )


def test_an_answer_is_wrong_where_neither_compiled_nor_eager_jax_gives_it():
    one, two, three = (np.float32([n]) for n in (1, 2, 3))

    def fate(kind, actual):
        answered = worker.Answered([tried(kind, one, two)], {"it": [{"y": actual}]}, Tolerance())
        return worker._fate(answered)[0]

    assert fate(inputs.EDGE, one) == fate(inputs.EDGE, two) == EQUAL
    assert fate(inputs.EDGE, three) == fate(inputs.RANDOM, three) == WRONG
    assert fate(inputs.EXTREME, three) == FINITE


def test_words_are_a_refusal_and_a_traceback_is_none(monkeypatch):
    def says(code):
        print("exporter: no such thing", file=sys.stderr)
        return code

    monkeypatch.setattr(command_line, "main", lambda arguments: says(2))
    with pytest.raises(worker.Refused, match=r"^no such thing$"):
        worker._command(["export"])
    monkeypatch.setattr(command_line, "main", lambda arguments: 2)
    with pytest.raises(worker.Broke, match="exit code 2 without a word"):
        worker._command(["export"])
    monkeypatch.setattr(command_line, "main", lambda arguments: 1 / 0)
    with pytest.raises(worker.Broke, match="export: ZeroDivisionError"):
        worker._command(["export"])
    monkeypatch.setattr(command_line, "main", lambda arguments: 0)
    worker._command(["export"])


# A worker that answers the first format, and dies or is stuck at the one named "bad".
WORKER = """
import json, sys, time
for line in sys.stdin:
    job = json.loads(line)
    for kind in job["formats"]:
        if kind == "bad":
            {ending}
        cell = dict(model=job["model"], format=kind, outcome="equal")
        print(json.dumps(cell), flush=True)
"""


@pytest.mark.parametrize(
    ("ending", "said"),
    [("sys.exit(3)", "ended with 3"), ("time.sleep(60)", "no answer within 2 s")],
)
def test_a_worker_that_dies_or_is_stuck_costs_one_cell(ending, said, tmp_path, monkeypatch):
    start = subprocess.Popen

    def popen(command, **more):
        (tmp_path / "worker.py").write_text(WORKER.format(ending=ending))
        return start([command[0], str(tmp_path / "worker.py")], **more)

    monkeypatch.setattr(pool, "subprocess", SimpleNamespace(Popen=popen, PIPE=subprocess.PIPE))
    some = [Case(name, "f", name, lambda: None, {}, True, {}) for name in ("one", "two")]
    found = []
    pool.run(some, ("a", "bad", "b"), tmp_path, jobs=1, timeout_s=2, done=found.append)
    outcomes = [(cell.model, cell.format, cell.outcome) for cell in found]
    assert outcomes == [
        (model, kind, TRACEBACK if kind == "bad" else EQUAL)
        for model in ("one", "two")
        for kind in ("a", "bad", "b")
    ]
    assert all(said in cell.text for cell in found if cell.outcome == TRACEBACK)


def test_the_table_has_a_row_a_model_and_says_each_refusal_once():
    some = {name: Case(name, "f", name.title(), lambda: None, {}, True, {}) for name in ("a", "b")}
    cells = [
        Cell("a", "xla", EQUAL, max_abs_err=1.2e-7),
        Cell("a", "tfjs", REFUSED, "it has no FFT | none (/a/lib/site-packages/x.py:1)"),
        Cell("b", "tfjs", REFUSED, "it has no FFT | none (/a/lib/site-packages/x.py:1)"),
        Cell("b", "tflite", WRONG, "y differs", batches={"1": EQUAL, "3": WRONG}),
    ]
    text = document.render(some, cells, {"jax": "1"})
    assert "| A (`a`) | 1e-07 | not tried | refused [1](#what-was-said) | not tried |" in text
    assert "not tried | refused [1](#what-was-said) | **WRONG** at batch 3 [2]" in text
    assert text.count(r"it has no FFT \| none (site-packages/x.py:1)") == 1
    assert "2 models, 4 cells: 1 equal, 2 refused, 1 WRONG." in text


def test_there_are_models_of_many_libraries_and_each_is_named_once():
    known = cases()
    assert len(known) >= 40
    assert len({case.family for case in known.values()}) >= 10
    assert all(case.title and case.name == name for name, case in known.items())
    assert all(case.target.startswith("scripts.parity.models.") for case in known.values())
