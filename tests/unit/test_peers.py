"""The peers of the bench: their table, their bundle, and what is said where one isn't there.

No test installs one: `make bench` does, and proves each answer of each.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifact import golden
from bench.peers import PEERS, bundle, environment
from bench.peers.peer import PROTOCOLS, Peer
from client.errors import Unavailable
from tests.support import exports

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("peer", PEERS.values(), ids=list(PEERS))
def test_a_peer_has_a_server_pins_and_reasons(peer):
    assert (ROOT / "bench" / "peers" / f"{peer.name}_server.py").is_file()
    pins = {line.split("==")[0].lower() for line in peer.constraints.read_text().split()}
    assert {re.split(r"[\[<>=]", package)[0] for package in peer.packages} <= pins
    assert set(peer.protocols) <= set(PROTOCOLS)
    assert bool(peer.raw_path) == ("raw" in peer.protocols)
    assert peer.sources
    assert peer.notes.endswith(".")


def test_the_page_tells_the_configuration_of_each_peer_and_its_sources():
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    chapter = page[page.index("\n## Peers") :]
    for peer in PEERS.values():
        assert f"### {peer.title}" in chapter
        for source in peer.sources:
            assert source in chapter


def test_a_command_names_the_model_the_bundle_and_the_ports_it_opens():
    peer = PEERS["litserve"]
    command = peer.command("m", Path("b"), {"http": 1, "grpc": 2}, Path("python"))
    assert command == ["python", "-m", "bench.peers.litserve_server", "m", "b", "http=1"]
    assert (
        PEERS["kserve"].command("m", Path("b"), {"http": 1, "grpc": 2}, Path("p"))[-1] == "grpc=2"
    )


def test_a_peer_that_cannot_be_installed_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    peer = Peer(
        "kserve", "No Such Server", ("no-such-server-of-ours",), ("rest",), "/", ("none",), "None."
    )
    with pytest.raises(Unavailable, match=r"No Such Server can't be installed: .*no-such-server"):
        environment.python(peer, tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    version_dir = exports.scaled(tmp_path_factory.mktemp("models"), 3)
    bundle.write(version_dir, folder, sizes=(4, 1, 2))
    return version_dir, folder


def test_the_bundle_answers_the_golden_examples(written):
    version_dir, folder = written
    program = bundle.Program(folder).warm_up()
    for case in golden.read(version_dir).values():
        ((_, rows),) = case.inputs.items()
        ((_, expected),) = case.outputs.items()
        np.testing.assert_allclose(program.run(rows), expected, rtol=1e-5, atol=1e-6)


def test_any_number_of_rows_is_cut_and_padded_to_the_sizes(written):
    _, folder = written
    program = bundle.Program(folder)
    for count in (1, 3, 4, 5, 11):
        rows = np.random.default_rng(count).random((count, 4), np.float32)
        expected = exports.scaled_answer(rows, 3)
        np.testing.assert_allclose(program.run(rows), expected, rtol=1e-5)


def test_requests_run_together_get_their_own_rows(written):
    _, folder = written
    program = bundle.Program(folder)
    requests = [np.random.default_rng(n).random((n, 4), np.float32) for n in (2, 1, 5)]
    for rows, found in zip(requests, program.run_each(requests), strict=True):
        np.testing.assert_allclose(found, exports.scaled_answer(rows, 3), rtol=1e-5)


def test_rows_of_different_lengths_are_not_put_together(written, monkeypatch):
    _, folder = written
    program = bundle.Program(folder)
    monkeypatch.setattr(program, "run", lambda rows: rows.sum(axis=1, keepdims=True))
    requests = [np.full((2, 3), 1), np.full((1, 5), 2), np.full((3, 3), 3)]
    found = program.run_each(requests)
    assert [part.ravel().tolist() for part in found] == [[3, 3], [10], [9, 9, 9]]


def test_a_peer_learns_names_dtypes_and_shapes_without_jax(written):
    _, folder = written
    code = (
        "import sys; from pathlib import Path; from bench.peers import bundle;"
        f"about = bundle.About.read(Path({str(folder)!r}));"
        "assert 'jax' not in sys.modules;"
        "print(about.input, about.output.datatype, about.sizes)"
    )
    text = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert "dtype='float32', shape=(None, 4), datatype='FP32'" in text
    assert text.endswith("FP32 (1, 2, 4)\n")


def test_raw_bytes_take_the_shape_that_the_model_has():
    tensor = bundle.Tensor("ids", "int32", (None, None, 2), "INT32")
    about = bundle.About(tensor, tensor, (3, 2), (1,))
    rows = np.arange(12, dtype=np.int32).reshape(2, 3, 2)
    assert (about.from_bytes(rows.tobytes(), 2) == rows).all()
    assert (about.from_json({"instances": rows.tolist()}) == rows).all()
    with pytest.raises(ValueError, match="reshape"):
        about.from_bytes(rows.tobytes(), 5)


def test_a_model_of_two_inputs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="peers take one input"):
        bundle.write(exports.named(tmp_path / "models", 1), tmp_path)
