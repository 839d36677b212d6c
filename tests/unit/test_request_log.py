"""Request logs stay where they may be, and fail nothing but themselves."""

import errno
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.errors import Code, ServingError
from server.launch import settings
from server.launch.options import ServerOptions
from server.models import model_config, records
from server.models.model_config import ModelConfig, RequestLogging, log_prefix
from server.telemetry import request_log
from server.telemetry.log_files import Bounds, LogFile
from server.telemetry.request_log import RequestLog
from wire import serving_pb2 as pb


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs" / "below").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "logs" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "logs" / "in").symlink_to(tmp_path / "logs" / "below")
    return tmp_path / "logs"


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("m", "m"), ("below/m", "below/m"), ("new/er/m", "new/er/m"), ("{logs}/m", "m"),
        ("{logs}/below/../m", "m"), ("in/m", "below/m"), ("../logs/m", "m"),
    ],
)  # fmt: skip
def test_prefixes_lead_below_the_directory(logs, prefix, expected):
    assert log_prefix(logs, prefix.format(logs=logs)) == logs / expected


@pytest.mark.parametrize(
    "prefix",
    [
        "/m", "/etc/cron.d/m", "../m", "below/../../m", "{logs}/../m", "{logs}", "{logs}x/m",
        "out/m", "{logs}/out/m", "out/new/m", ".", "m\0",
    ],
)  # fmt: skip
def test_prefixes_that_lead_elsewhere_are_refused(logs, prefix):
    if prefix == ".":
        prefix = "{logs}/."
    config = ModelConfig("q", logs, logging=RequestLogging(1.0, prefix.format(logs=logs)))
    with pytest.raises(ServingError, match="Model q: filename_prefix") as caught:
        model_config.check_logs([config], logs)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_without_a_directory_the_flag_is_named_and_models_without_logs_are_fine(tmp_path):
    plain = ModelConfig("p", tmp_path)
    model_config.check_logs([plain], None)
    logged = ModelConfig("q", tmp_path, logging=RequestLogging(0.0, str(tmp_path / "q")))
    with pytest.raises(ServingError, match=r"Model q has a logging_config.*--request_log_dir=DIR"):
        model_config.check_logs([plain, logged], None)


SERVABLE = SimpleNamespace(name="m", version=3)


def exchange(size=1):
    request = pb.PredictRequest(output_filter=["y" * size])
    return "predict_log", request, pb.PredictResponse()


class Written:
    """A request log of one model, all of whose requests are logged."""

    def __init__(self, directory, prefix="m", bounds=None):
        self.directory = directory
        config = ModelConfig("m", directory, logging=RequestLogging(1.0, prefix))
        repository = SimpleNamespace(models={"m": SimpleNamespace(config=config)})
        self.log = RequestLog(repository, ["serve"], directory, bounds or Bounds())

    def add(self, describe=exchange):
        assert self.log.wants("m")
        self.log.add(SERVABLE, "s", describe)

    def settle(self):
        for _ in range(1000):
            if self.log._waiting_bytes == self.log._written_bytes:
                return
            time.sleep(0.01)
        pytest.fail("the log hangs")

    def records(self):
        (file,) = [path for path in self.directory.rglob("*.tfrecord") if path.is_file()]
        return [pb.PredictionLog.FromString(data) for data in records.read(file)]


def test_what_was_asked_and_answered_is_written(logs):
    written = Written(logs, "new/m")
    written.add()
    written.add()
    written.log.close()
    assert len(written.records()) == 2
    (first, _) = written.records()
    assert first.predict_log.request.model_spec.version.value == 3
    assert first.log_metadata.saved_model_tags == ["serve"]


def test_no_failure_reaches_the_request_and_the_log_goes_on(logs, caplog):
    written = Written(logs)

    def fails():
        raise RuntimeError("no such field")

    written.add(fails)
    written.add(fails)
    written.add()
    written.settle()
    written.add(fails)
    written.log.close()
    assert len(written.records()) == 1
    # Once for each time that it begins.
    assert caplog.text.count("RuntimeError: no such field") == 2


def test_a_full_disk_is_complained_of_once_and_leaves_whole_records(logs, caplog, monkeypatch):
    written = Written(logs)
    written.add()
    written.settle()
    left = [10]

    class Full:
        """A file on a disk with so many bytes left."""

        def __init__(self, file):
            self.file = file

        def write(self, data):
            count = min(left[0], len(data))
            left[0] -= count
            if not count:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(data[:count])

        def __getattr__(self, name):
            return getattr(self.file, name)

    opened = LogFile.__init__

    def open_full(self, path):
        opened(self, path)
        self._file = Full(self._file)

    monkeypatch.setattr(LogFile, "__init__", open_full)
    (file,) = written.log._files.values()
    file._file = Full(file._file)
    for _ in range(3):
        written.add()
        written.settle()
    assert caplog.text.count("requests are missing in the request log") == 1
    left[0] = 10**9
    written.add()
    written.log.close()
    assert len(written.records()) == 2  # no part of the others is between them


def test_a_directory_that_turns_into_a_link_out_is_not_followed(logs, tmp_path, caplog):
    written = Written(logs, "later/m")
    (logs / "later").symlink_to(tmp_path / "elsewhere")
    written.add()
    written.log.close()
    assert "leads out of" in caplog.text
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_that_is_a_link_is_not_followed(logs, tmp_path, caplog):
    written = Written(logs)
    (tmp_path / "victim").write_text("precious")
    (logs / f"m-{written.log._suffix}.tfrecord").symlink_to(tmp_path / "victim")
    written.add()
    written.log.close()
    assert "requests are missing" in caplog.text
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_a_hung_disk_keeps_in_memory_is_bounded_and_so_is_the_end(logs, caplog, monkeypatch):
    go = threading.Event()
    monkeypatch.setattr(request_log, "_MAX_WAITING_BYTES", 100_000)
    monkeypatch.setattr(request_log, "_CLOSE_S", 0.1)
    monkeypatch.setattr(RequestLog, "_open", lambda self, prefix: go.wait(60))
    written = Written(logs)
    for _ in range(20):
        written.add(lambda: exchange(10_000))
    assert written.log._waiting_bytes <= 100_000
    assert "more than the disk takes" in caplog.text
    written.log.close()
    go.set()


def names(directory):
    return sorted(path.name for path in directory.iterdir() if path.is_file())


def test_a_file_that_is_full_is_followed_by_the_next_and_the_oldest_goes(logs):
    size = len(records.framed(sized(1000).SerializeToString()))
    written = Written(logs, bounds=Bounds(file_bytes=2 * size, files=3))
    others = ["m-20200101-000000-1.tfrecord", "m-20200101-000000-1-7.tfrecord"]
    kept = ["mm-20200101-000000-1.tfrecord", "m-notes.tfrecord", "m-20200101-000000-1.txt"]
    for age, name in enumerate([*others, *kept]):
        (logs / name).touch()
        os.utime(logs / name, (age, age))
    for count in range(1, 9):
        written.add(lambda: exchange(1000))
        written.settle()
        own = [name for name in names(logs) if name not in kept + others]
        assert len(own) == min((count + 1) // 2, 3)
        assert {*kept} <= {*names(logs)}
    written.log.close()
    assert not {*others} & {*names(logs)}
    assert own[-1].endswith("-3.tfrecord")
    for name in own:
        assert len(list(records.read(logs / name))) == 2
        assert (logs / name).stat().st_size <= 2 * size


def test_a_record_that_is_longer_than_a_file_may_be_has_one_of_its_own(logs):
    written = Written(logs, bounds=Bounds(file_bytes=100, files=8))
    for _ in range(3):
        written.add(lambda: exchange(1000))
    written.log.close()
    assert [len(list(records.read(logs / name))) for name in names(logs)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["request_log_file_bytes", "request_log_files"])
def test_bounds_start_from_one(name):
    options = ServerOptions(model_base_path="/models/m", **{name: 0})
    with pytest.raises(ServingError, match=f"--{name} is 0; 1 is the least"):
        settings.read(options)


def sized(size):
    """A record as the log writes it."""
    return Written(Path("/nowhere")).log._record(SERVABLE, "s", 1.0, *exchange(size))
