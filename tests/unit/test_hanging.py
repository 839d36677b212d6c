"""A disk that hangs, or a load that does, holds up nobody else."""

import asyncio
import logging
import threading
import time
from pathlib import Path

import pytest

from server.errors import Code, ServingError
from server.models import threads
from server.models.discovery import Seen
from server.models.model_config import ModelConfig
from server.models.repository import Repository, RepositoryOptions
from server.models.scan import Place, Scan
from server.models.threads import Loads
from server.models.version import Retries
from tests.unit import test_server_repository as life
from tests.unit.test_server_repository import publish, settle, states

PATIENCE_S = 0.2


class Disk:
    """Looks at paths; those that hang do so until they are let go."""

    def __init__(self, *hanging):
        self.hanging = set(map(Path, hanging))
        self.seen = []
        self.go = threading.Event()

    def __call__(self, place):
        self.seen.append(str(place.path))
        if place.path in self.hanging:
            assert self.go.wait(30)
        if str(place.path) == "bad":
            raise RuntimeError("what is this")
        return Seen({1: place.path / "1"}, {})


def places(*paths):
    return [Place(Path(path)) for path in paths]


def found(seen):
    return [str(place.path) for place in seen]


def test_a_place_that_hangs_is_left_out_once_and_seen_again_when_it_answers(caplog):
    disk = Disk("b")
    caplog.set_level(logging.WARNING)

    async def test():
        scan = Scan(disk, PATIENCE_S)
        assert found(await scan(places("a", "b", "c"))) == ["a", "c"]
        start = time.monotonic()
        assert found(await scan(places("a", "b", "c"))) == ["a", "c"]
        assert time.monotonic() - start < 10
        assert disk.seen == ["a", "b", "c", "a", "c"]
        assert [r.message.partition(":")[0] for r in caplog.records] == ["b"]
        disk.hanging.clear()
        disk.go.set()
        while "b" not in found(await scan(places("b"))):
            await asyncio.sleep(0.01)
        assert caplog.records[-1].message == "b: it answers again"

    asyncio.run(asyncio.wait_for(test(), 30))


def test_several_that_hang_keep_nobody_waiting_twice():
    disk = Disk("a", "b")

    async def test():
        scan = Scan(disk, PATIENCE_S)
        assert found(await scan(places("a", "b", "c"))) == ["c"]
        assert found(await scan(places("a", "b", "c", "d"))) == ["c", "d"]
        disk.go.set()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_look_that_fails_is_reported_and_the_others_are_seen(caplog):
    async def test():
        return await Scan(Disk())(places("a", "bad", "c"))

    assert found(asyncio.run(asyncio.wait_for(test(), 30))) == ["a", "c"]
    assert "bad: what is this" in caplog.text


def test_a_load_that_hangs_takes_nobody_elses_turn():
    go, told = threading.Event(), []

    async def test():
        loads = Loads(1, PATIENCE_S)
        slow = asyncio.create_task(loads.run(lambda: go.wait(30), "loading a", told.append))
        await asyncio.sleep(0)
        assert await loads.run(lambda: "b", "loading b", told.append) == "b"
        assert told == [PATIENCE_S]
        assert threads.are_busy()
        go.set()
        assert await slow is True
        both = [loads.run(lambda: threading.get_ident(), "", told.append) for _ in range(3)]
        assert len(await asyncio.gather(*both)) == 3

    asyncio.run(asyncio.wait_for(test(), 30))


def test_so_many_loads_run_at_a_time():
    running, most = 0, 0
    lock = threading.Lock()

    def work():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    async def test():
        loads = Loads(2, 60.0)
        await asyncio.gather(*(loads.run(work, "", lambda s: None) for _ in range(8)))

    asyncio.run(test())
    assert most == 2


def serve(test, **options):
    """Runs `await test(repository, loads)`; whatever hangs then, it ends."""

    async def main():
        loads = life.Loads()
        options.setdefault("retries", Retries(0, 0.01))
        repository = Repository(loads, RepositoryOptions(**options))
        try:
            await asyncio.wait_for(test(repository, loads), 60)
            await asyncio.wait_for(repository.close(), 10)
        finally:
            loads.open.set()

    asyncio.run(main())


def test_a_hung_disk_stops_neither_polls_nor_configurations_nor_the_end(tmp_path, monkeypatch):
    from server.models import discovery

    go, look = threading.Event(), discovery.look

    def hang(path, failed=(), *, tflite=False):
        if path == tmp_path / "hung":
            assert go.wait(60)
        return look(path, failed, tflite=tflite)

    async def test(repository, loads):
        publish(tmp_path / "good", 1)
        publish(tmp_path / "hung", 1)
        both = [ModelConfig(name, tmp_path / name) for name in ("good", "hung")]
        await repository.configure(both)
        monkeypatch.setattr(discovery, "look", hang)
        publish(tmp_path / "good", 2)
        publish(tmp_path / "hung", 2)
        await repository.poll()
        await settle(repository)
        assert states(repository, "good") == {1: "END", 2: "AVAILABLE"}
        assert states(repository, "hung") == {1: "AVAILABLE"}
        with pytest.raises(ServingError, match=r"did not become available: \{new\}"):
            await repository.configure([*both, ModelConfig("new", tmp_path / "hung")])
        assert repository.find("hung").version == 1
        asyncio.get_running_loop().call_later(0.05, monkeypatch.undo)
        polling = asyncio.create_task(repository.poll())
        await asyncio.sleep(0)
        await repository.close()
        await polling
        assert not repository.models

    try:
        serve(test, scan_patience_s=PATIENCE_S)
    finally:
        go.set()


def test_a_hung_load_stops_neither_others_nor_a_configuration_nor_the_end(tmp_path):
    async def test(repository, loads):
        publish(tmp_path / "good", 1)
        publish(tmp_path / "hung", 1)
        both = [ModelConfig(name, tmp_path / name) for name in ("hung", "good")]
        go = threading.Event()
        load = loads.__call__

        def hang(name, version, path):
            if name == "hung":
                assert go.wait(60)
            return load(name, version, path)

        repository._load = hang
        with pytest.raises(ServingError, match=r"did not become available: \{hung\}"):
            await repository.configure(both)
        assert repository.find("good").version == 1
        (version,) = repository.versions("hung")
        assert version.state.name == "LOADING"
        assert version.error.code is Code.DEADLINE_EXCEEDED
        assert "goes on" in version.error.message
        go.set()
        while version.state.name != "AVAILABLE":
            await asyncio.sleep(0.01)
        assert version.error is None
        publish(tmp_path / "hung", 2)
        go.clear()
        await repository.poll()
        await repository.close()  # does not wait for version 2
        go.set()

    serve(test, load_threads=1, load_patience_s=PATIENCE_S)


def test_what_is_left_is_prepared_behind_an_available_version(tmp_path):
    prepared, go = [], threading.Event()

    async def test(repository, loads):
        publish(tmp_path, 1)
        load = loads.__call__

        def with_rest(name, version, path):
            servable = load(name, version, path)

            def prepare():
                assert go.wait(30)
                prepared.append((version, servable.is_retired))

            servable.prepare = prepare
            return servable

        repository._load = with_rest
        await repository.configure([ModelConfig("m", tmp_path)])
        assert states(repository) == {1: "AVAILABLE"}
        assert prepared == []
        publish(tmp_path, 2)
        await repository.poll()
        for _ in range(500):
            await asyncio.sleep(0.01)
            if states(repository) == {1: "END", 2: "AVAILABLE"}:
                break
        go.set()
        await settle(repository)
        assert prepared == [(1, True), (2, False)]

    serve(test)
