"""The bench's own rules: windows, the journal, knees, tables, and what the pages quote."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from bench import curves, plots, protocols, quote, report, subjects, summary
from bench.cases import CASES, Load
from bench.journal import Journal
from bench.peers.peer import PROTOCOLS
from bench.run import Choice
from client.endpoint import Endpoint
from client.load import http2
from tests.support import bench_results, needs

ROOT = Path(quote.__file__).parent.parent


@pytest.fixture(scope="module")
def results():
    return bench_results.results()


def test_the_pages_quote_the_committed_results():
    found = json.loads(quote.RESULTS.read_text())
    for name in quote.PAGES:
        text = (ROOT / name).read_text()
        assert quote.quoted(text, found, "../" * name.count("/")) == text, (
            f"{name} isn't as `python -m bench.quote` writes it"
        )
        assert "<!-- bench: " in text


def test_the_committed_results_are_what_the_report_writes():
    found = json.loads(quote.RESULTS.read_text())
    assert report.as_text(found) == quote.RESULTS.read_text()
    assert report.markdown(found) == quote.RESULTS.with_name("results.md").read_text()


def test_every_quotation_can_be_made_and_no_other(results):
    for name in quote.QUOTATIONS:
        text = quote.quoted(f"a\n<!-- bench: {name} -->\nold\n<!-- /bench -->\nb", results)
        assert text.startswith("a\n") and text.endswith("\nb")  # noqa: PT018
        assert "old" not in text
        assert quote.quoted(text, results) == text
    with pytest.raises(ValueError, match="no quotation is called nothing"):
        quote.quoted("<!-- bench: nothing -->\n<!-- /bench -->", results)
    with pytest.raises(ValueError, match="has no end"):
        quote.quoted("<!-- bench: shares -->\n", results)


def test_ratios_are_to_the_same_size_and_to_the_best(results):
    rows = summary.rows(results["cases"]["resnet"])
    (row,) = (r for r in rows if (r.server, r.protocol, r.load) == ("embedded", "grpc", Load(1, 8)))
    assert row.ratio.median == pytest.approx(0.9)  # two callers are the limit: 1.1 times one
    assert row.best_ratio.median == pytest.approx(0.9 / 1.5)  # batch size 4 is JAX's best
    assert row.added_ms.median == pytest.approx(8 / 0.9 - 1)
    assert row.cpu_ratio.median == pytest.approx(90 / 150)


def test_a_slow_server_is_shown_as_slow(results):
    text = report.markdown(results)
    assert "slow: 6 answers in 8.0 s" in text
    assert "**Ray Serve**: it ended; the end of its log: no room" in text
    assert text.count("slow:") == sum(len(case.loads) for case in CASES.values()), (
        "the slow server's loads, and no others"
    )


def test_the_best_protocol_of_each_server_is_chosen(results):
    rows = summary.best_of(summary.rows(results["cases"]["encoder"]), Load(4, 8))
    assert [(row.server, row.protocol) for row in rows] == [
        ("embedded", "grpc"),
        ("TensorFlow Serving", "grpc"),
        ("KServe", "v2-binary"),
        ("LitServe", "raw"),
    ]


def test_the_knee_is_the_most_answers_for_their_p99_of_what_was_kept_up_with():
    def point(rate, answered, p99):
        return {"rate": rate, "examples_per_s": answered, "p99_ms": p99}

    points = [point(100, 100, 1.0), point(500, 499, 2.0), point(900, 890, 9.0)]
    assert curves.knee(points)["rate"] == 500
    assert curves.knee([*points, point(2000, 1500, 0.1)])["rate"] == 500  # fell behind
    assert curves.knee([point(100, 10, 1.0), point(10, 0, None)]) is None


def test_a_window_is_the_same_for_all_and_long_enough():
    case = CASES["mnist_flax"]
    window = case.window(Load(16, 8), 16_000.0)
    assert window.answers * 16 / 16_000 >= case.window_s
    assert window.ceiling_s == pytest.approx(4 * window.answers * 16 / 16_000)
    few = CASES["resnet"].window(Load(4, 8), 12.0)
    assert few.answers >= 16, "each that is in flight is followed by another"


def test_a_journal_goes_on_where_the_run_was_broken_off(tmp_path):
    path = tmp_path / "journal.jsonl"
    first = Journal(path, {"commit": "a"})
    assert first.once("x", lambda: {"rate": 1.5}) == {"rate": 1.5}
    first.keep("y", 2)
    with path.open("a") as file:
        file.write('{"key": "z", "val')  # killed while it wrote
    second = Journal(path, {"commit": "a"})
    assert (second.kept, second.was_other) == (2, False)
    assert second.once("x", lambda: pytest.fail("measured again")) == {"rate": 1.5}
    assert not second.has("z")
    second.keep("z", 3)
    assert Journal(path, {"commit": "a"}).once("z", lambda: None) == 3
    other = Journal(path, {"commit": "b"})
    assert (other.kept, other.was_other) == (0, True)
    other.end()
    assert not path.exists()


def test_words_narrow_a_choice(tmp_path):
    servers = [subjects.embedded(subjects.EMBEDDED), subjects.tensorflow_engine()]
    choice = Choice(list(CASES.values()), servers, tmp_path)
    few = choice.narrowed(["encoder", "rest", "grpc", "embedded, tensorflow"])
    assert [case.model for case in few.cases] == ["encoder"]
    assert [(s.name, s.protocols) for s in few.servers] == [
        (subjects.TENSORFLOW_ENGINE, ("grpc", "rest"))
    ]
    assert choice.narrowed([]) == choice
    assert choice.narrowed(["v2-grpc"]).guess_s() < choice.guess_s()
    with pytest.raises(ValueError, match="'ovms' is none of mnist_flax, resnet, encoder"):
        choice.narrowed(["ovms"])


def test_every_protocol_has_a_title_a_port_and_a_request():
    assert set(protocols.TITLES) == set(PROTOCOLS)
    batch = {"x": np.array([[0.1, 2.0], [3.0, 4.0]], np.float32)}
    for protocol in protocols.TITLES:
        at = Endpoint("localhost", 1, protocols.api(protocol))
        (request,), path = protocols.encode(protocol, at, "m", [batch], "/raw/{model}")
        assert "m" in path or "Predict" in path or "ModelInfer" in path
        if protocol == "raw":
            assert b"POST /raw/m HTTP/1.1\r\n" in request
            assert b"\r\nX-Rows: 2\r\n" in request
            assert request.endswith(batch["x"].tobytes())
        elif protocol == "rest":
            assert request.endswith(b'{"instances":[[0.1,2.0],[3.0,4.0]]}')
        elif protocol == "v2-json":
            assert b'"data":[0.1,2.0,3.0,4.0]' in request
        elif protocols.kind(protocol) == "grpc":
            assert request[:1] == http2.message(b"")[:1]
            assert batch["x"].tobytes() in request


def test_an_answer_of_raw_bytes_is_read_as_what_is_expected():
    like = np.zeros((2, 3), np.float32)
    rows = np.arange(6, dtype=np.float32)
    np.testing.assert_array_equal(protocols.decode("raw", rows.tobytes(), like), rows.reshape(2, 3))
    with pytest.raises(ValueError):
        protocols.decode("raw", rows[:5].tobytes(), like)


def test_a_remote_server_needs_a_scheme_that_is_known():
    assert subjects.remote("grpc://h:8500").protocols == ("grpc",)
    assert subjects.remote("http://h:8501").protocols == ("rest",)
    for url in ("h:8500", "https://h:1", "grpc://h"):
        with pytest.raises(ValueError, match="is neither grpc://"):
            subjects.remote(url)


def test_plots_are_the_same_bytes_again_light_and_dark(results, tmp_path):
    needs.package("matplotlib", "exporter")
    few = {**results, "cases": {"encoder": results["cases"]["encoder"]}}
    (tmp_path / "again").mkdir()
    written = plots.write(tmp_path, few)
    assert {path.name for path in written} == {
        *("shares.svg", "shares-dark.svg", "latency-encoder.svg", "latency-encoder-dark.svg")
    }
    for path in plots.write(tmp_path / "again", few):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
        words = "".join(ET.fromstring(path.read_text()).itertext())
        assert all(server in words for server in bench_results.SERVERS)
