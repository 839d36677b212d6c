"""Models turned off and on: which switch counts, and what becomes of versions and requests."""

import asyncio

import pytest

from server.errors import Code, ServingError
from server.models import switches
from server.models.model_config import ModelConfig, Switch
from server.models.repository import Repository, RepositoryOptions
from server.models.version import Retries
from tests.unit.test_server_repository import Loads, config, publish, settle, states


def turned(repository, name, is_on):
    return switches.turned(repository.configs, name, is_on=is_on)


def test_the_later_switch_counts():
    on, off = Switch(2, True), Switch(3, False)
    for own, before, expected in ((on, off, off), (off, on, off), (Switch(), off, off)):
        (kept,) = switches.kept(
            [ModelConfig("m", "p", switch=own)], [ModelConfig("m", "q", switch=before)]
        )
        assert (kept.switch, kept.base_path) == (expected, "p")
    (new,) = switches.kept([ModelConfig("n", "p")], [ModelConfig("m", "q", switch=off)])
    assert new.switch == Switch()


def test_only_what_is_configured_can_be_turned():
    with pytest.raises(ServingError, match="no model x is configured; configured are: m") as caught:
        switches.turned([ModelConfig("m", "p")], "x", is_on=True)
    assert caught.value.code is Code.NOT_FOUND


def test_two_changes_at_once_undo_neither(tmp_path):
    async def test():
        publish(tmp_path / "a", 1)
        publish(tmp_path / "b", 1)
        repository = Repository(Loads())
        await repository.configure([config(tmp_path / n, n) for n in "ab"])
        both = [turned(repository, name, False) for name in "ab"]  # each knows nothing of the other
        await asyncio.gather(*map(repository.configure, both))
        for name in "ab":
            with pytest.raises(ServingError, match="Servable not found"):
                repository.find(name)
        await repository.close()

    asyncio.run(test())


def test_a_model_comes_back_while_its_last_request_is_under_way(tmp_path):
    async def test():
        publish(tmp_path / "m", 1)
        loads = Loads()
        repository = Repository(loads)
        await repository.configure([config(tmp_path / "m")])
        servable = repository.find("m")
        with servable:
            await repository.configure(turned(repository, "m", False))
            assert states(repository) == {1: "UNLOADING"}
            loading = asyncio.ensure_future(repository.configure(turned(repository, "m", True)))
            await asyncio.sleep(0.1)
            assert not loading.done()
        await asyncio.wait_for(loading, 30)
        assert repository.find("m") is not servable
        assert len(loads.attempts) == 2
        await repository.close()

    asyncio.run(test())


@pytest.mark.parametrize("count", [0, 3])
def test_turning_on_tries_at_once_what_has_failed(tmp_path, count):
    async def test():
        publish(tmp_path / "m", 1)
        loads = Loads()
        loads.broken.add(("m", 1))
        repository = Repository(loads, RepositoryOptions(Retries(count, 3600.0)))
        with pytest.raises(ServingError):
            await repository.configure([config(tmp_path / "m")])
        with pytest.raises(ServingError, match="did not become available"):
            await asyncio.wait_for(repository.configure(turned(repository, "m", True)), 30)
        assert len(loads.attempts) == 2
        loads.broken.clear()
        await asyncio.wait_for(repository.configure(turned(repository, "m", True)), 30)
        assert repository.find("m").version == 1
        await repository.close()

    asyncio.run(test())


def test_nothing_on_the_disk_brings_a_model_back(tmp_path):
    async def test():
        publish(tmp_path / "m", 1)
        repository = Repository(Loads())
        await repository.configure([config(tmp_path / "m")])
        await repository.configure(turned(repository, "m", False))
        publish(tmp_path / "m", 2)
        await repository.poll()
        await settle(repository)
        await repository.configure([config(tmp_path / "m")])  # as a file that is read again
        await settle(repository)
        assert states(repository) == {1: "END"}
        await repository.configure([])
        await repository.configure([config(tmp_path / "m")])  # it is a new one
        assert repository.find("m").version == 2
        await repository.close()

    asyncio.run(test())
