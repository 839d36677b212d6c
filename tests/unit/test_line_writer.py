"""Lines that a thread writes: in order, without a wait, whatever the disk does."""

import os
import resource
import signal

import pytest

from server.telemetry import line_writer
from server.telemetry.line_writer import LineWriter


@pytest.fixture
def complaints():
    return []


def test_lines_come_in_order_and_all_are_there_at_the_end(tmp_path, complaints):
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LineWriter(file.fileno(), "it", complaints.append)
        for n in range(10_000):
            writer.write(b"%d\n" % n)
        writer.close()
    assert path.read_bytes().split() == [b"%d" % n for n in range(10_000)]
    assert complaints == []


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting(complaints, monkeypatch):
    monkeypatch.setattr(line_writer, "_MAX_WAITING_BYTES", 100_000)
    monkeypatch.setattr(line_writer, "_CLOSE_S", 0.1)
    read, write = os.pipe()
    writer = LineWriter(write, "it", complaints.append)
    for _ in range(1000):
        writer.write(b"x" * 999 + b"\n")
    writer.flush()
    writer.close()
    assert len(complaints) == 1
    assert "can't be written" in complaints[0]
    os.close(read)  # the thread's write fails
    os.close(write)


def test_a_full_disk_is_complained_of_once_and_writing_goes_on(tmp_path, complaints):
    path = tmp_path / "log"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing fails with EFBIG
    try:
        with path.open("ab", buffering=0) as file:
            writer = LineWriter(file.fileno(), "it", complaints.append)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1005, limits[1]))
            for _ in range(5):
                writer.write(b"x" * 299 + b"\n")
                writer.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            writer.write(b"last\n")
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    lines = path.read_bytes().split(b"\n")
    assert lines[:3] == [b"x" * 299] * 3
    assert lines[-2:] == [b"last", b""]
    assert len(complaints) == 2
    assert "2 lines are lost" in complaints[1]
