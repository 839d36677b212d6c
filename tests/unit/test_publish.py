"""Publishing: whole versions or none, whoever else is at work."""

import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from artifact import versions
from artifact.manifest import Manifest
from exporter.commands import export
from exporter.commands.flags import FlagParser
from exporter.errors import UserError
from exporter.publish.numbering import check_version, publish, staged_version
from exporter.publish.retention import keep_newest
from exporter.storage import swap
from tests.support import needs


def put(model_dir: Path, version, *, overwrite=False, text="new"):
    with staged_version(model_dir) as staged:
        (staged / "variables").mkdir()
        (staged / "variables" / "data").write_text(text)
        return publish(
            staged,
            version,
            overwrite=overwrite,
            seal=lambda number: (staged / "manifest").write_text(f"{number} {text}") and None,
        )


def run_in_staging(model_dir: Path, work):
    with staged_version(model_dir) as staged:
        work(staged)


def content(version_dir: Path) -> str:
    return (version_dir / "variables" / "data").read_text()


def names(model_dir: Path) -> list[str]:
    return sorted(path.name for path in model_dir.iterdir())


def test_a_version_is_published_under_its_number(tmp_path):
    model_dir = tmp_path / "base" / "model"
    assert put(model_dir, 3) == model_dir / "3"
    assert (model_dir / "3" / "manifest").read_text() == "3 new"
    assert names(model_dir) == ["3"]
    assert (model_dir / "3").stat().st_mode & 0o777 == 0o777 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_auto_takes_the_one_after_the_highest(tmp_path):
    assert put(tmp_path, "auto").name == "1"
    put(tmp_path, 7)
    (tmp_path / "9.tmp").mkdir()
    assert put(tmp_path, "auto").name == "8"


def test_an_existing_version_is_never_touched_without_overwrite(tmp_path):
    put(tmp_path, 1, text="old")
    for attempt in (lambda: put(tmp_path, 1), lambda: check_version(tmp_path, 1, overwrite=False)):
        with pytest.raises(UserError, match=r"1 exists; .*--overwrite"):
            attempt()
    assert content(tmp_path / "1") == "old"
    assert names(tmp_path) == ["1"]


def test_overwrite_replaces_it_and_leaves_nothing_behind(tmp_path):
    put(tmp_path, 1, text="old")
    check_version(tmp_path, 1, overwrite=True)
    put(tmp_path, 1, overwrite=True)
    assert content(tmp_path / "1") == "new"
    assert names(tmp_path) == ["1"]


def test_overwrite_where_directories_cannot_be_swapped(tmp_path, monkeypatch):
    def unsupported(first, second):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(swap, "_swap", unsupported)
    put(tmp_path, 1, text="old")
    put(tmp_path, 1, overwrite=True)
    assert content(tmp_path / "1") == "new"
    assert names(tmp_path) == ["1"]


@pytest.mark.parametrize("version", ["latest", "-1", -1, 2**63, "1.0"])
def test_what_is_no_version_is_refused(tmp_path, version):
    with pytest.raises(UserError, match="auto"):
        check_version(tmp_path, version, overwrite=False)


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="stopped"), staged_version(tmp_path / "model"):
        raise RuntimeError("stopped")
    assert names(tmp_path / "model") == []


def test_a_full_disk_is_one_clear_line(tmp_path):
    def fill(staged):
        with open("/dev/full", "w") as full:
            full.write("x")

    with pytest.raises(UserError, match="No space left on device; nothing was published"):
        run_in_staging(tmp_path / "model", fill)
    assert names(tmp_path / "model") == []


def test_a_file_in_the_way_is_one_clear_line(tmp_path):
    (tmp_path / "model").write_text("")
    with (
        pytest.raises(UserError, match=r"model: .*--model_path"),
        staged_version(tmp_path / "model"),
    ):
        pass


def test_a_read_only_target_is_one_clear_line():
    needs.linux("where nobody makes directories in /sys, not even root")
    with pytest.raises(UserError, match=r"/sys/jax_models: .*; choose another --model_path"):
        with staged_version(Path("/sys/jax_models/model")):
            pass


def abandon(model_dir, ready, stop):
    with staged_version(Path(model_dir)) as staged:
        (staged / "half").write_text("")
        ready.set()
        stop.wait(60)
        os._exit(9)  # as a SIGKILL: no clean-up runs


def test_staging_of_a_living_exporter_stays_and_of_a_dead_one_goes(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    process = context.Process(target=abandon, args=(str(tmp_path), ready, stop))
    process.start()
    assert ready.wait(60)
    put(tmp_path, 1)
    (left,) = tmp_path.glob(".staging-*")
    stop.set()
    process.join(60)
    assert left.exists()
    put(tmp_path, 2)
    assert names(tmp_path) == ["1", "2"]


def publish_many(model_dir, version, count, results):
    for number in range(count):
        text = f"{os.getpid()} {number}"
        try:
            results.put((put(Path(model_dir), version, text=text).name, text))
        except UserError:
            results.put((None, text))


@pytest.mark.parametrize(("version", "published"), [("auto", 24), (5, 1)])
def test_exporters_at_once_never_lose_or_mix_versions(tmp_path, version, published):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [
        context.Process(target=publish_many, args=(str(tmp_path), version, 6, results))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    answers = [results.get(timeout=60) for _ in range(24)]
    for process in processes:
        process.join(60)
    done = {name: text for name, text in answers if name}
    assert len(done) == published
    assert names(tmp_path) == sorted(done)
    for name, text in done.items():
        assert content(tmp_path / name) == text
        assert (tmp_path / name / "manifest").read_text() == f"{name} {text}"


def test_the_newest_versions_stay(tmp_path):
    model = tmp_path / "m"
    for version in (1, 2, 9, 10):
        put(model, version)
    (model / "notes").mkdir()
    assert keep_newest(model, 2) == [1, 2]
    assert sorted(path.name for path in model.iterdir()) == ["10", "9", "notes"]
    assert keep_newest(model, 2) == []
    with pytest.raises(ValueError, match="0 versions can't be kept"):
        keep_newest(model, 0)


def test_a_version_that_goes_is_no_version_before_its_files_go(tmp_path, monkeypatch):
    model = tmp_path / "m"
    for version in (1, 2):
        put(model, version)

    def killed(path):
        assert path.parent == model
        assert path.name.startswith(".staging-")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            keep_newest(model, 1)
    assert [*versions.find(model)] == [2]
    put(model, 3)
    assert sorted(path.name for path in model.iterdir()) == ["2", "3"]


@pytest.mark.parametrize(
    ("asked", "version", "is_there"),
    [
        (["--platforms=cpu"], 2, True),
        (["--platforms=cpu", "--model_version=1"], 1, True),
        (["--platforms=cpu", "--model_version=7"], None, False),
        (["--platforms=cpu,cuda"], None, False),
        (["--platforms=cpu", "--model=mnist_pure_jax"], None, False),
    ],
)
def test_a_version_that_is_there_runs_what_is_asked_for(tmp_path, asked, version, is_there):
    parser = FlagParser()
    export.add_arguments(parser)
    for number in (1, 2):
        (tmp_path / f"mnist_flax/{number}/assets.extra").mkdir(parents=True)
        written = Manifest("mnist_flax", number, "now", signatures={}, parameters=())
        written.write(tmp_path / f"mnist_flax/{number}")
    flags = [f"--model_path={tmp_path}", "--model_version=auto", *asked]
    found = export._published(parser.parse_args(flags))
    assert found == (tmp_path / f"mnist_flax/{version}" if is_there else None)


def test_a_version_of_other_origin_is_not_taken_for_ones_own(tmp_path):
    parser = FlagParser()
    export.add_arguments(parser)
    (tmp_path / "mnist_flax/1").mkdir(parents=True)
    flags = parser.parse_args([f"--model_path={tmp_path}", "--model_version=auto"])
    assert export._published(flags) is None
    (tmp_path / "mnist_flax/1/assets.extra").mkdir()
    (tmp_path / "mnist_flax/1/assets.extra/manifest.json").write_text("{")
    assert export._published(flags) is None
