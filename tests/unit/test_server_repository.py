"""The life of versions: what is loaded, kept and dropped, and when."""

import asyncio
import logging
import shutil
import threading

import pytest

from server.engines.signatures import Signatures
from server.errors import Code, ServingError
from server.models.model_config import ModelConfig, RequestLogging, VersionPolicy, parse
from server.models.repository import Repository, RepositoryOptions
from server.models.servable import Servable
from server.models.version import Retries, VersionState
from wire import serving_pb2 as pb


class Loads:
    """A load function whose loads can be made to fail, or to wait."""

    def __init__(self):
        self.broken = set()
        self.attempts = []
        self.open = threading.Event()
        self.open.set()
        self.closed = []

    def __call__(self, name, version, path):
        self.attempts.append((name, version))
        assert self.open.wait(30)
        if (name, version) in self.broken:
            raise ServingError(Code.INTERNAL, f"{name}/{version} is broken")
        return Servable(name, version, Signatures({}, pb.SignatureDefMap()), self._engine(version))

    def _engine(self, version):
        loads = self

        class Engine:
            name = "test"

            def close(self):
                loads.closed.append(version)

        return Engine()


def publish(base, *versions):
    for version in versions:
        (base / str(version)).mkdir(parents=True)
        (base / str(version) / "saved_model.pb").write_bytes(b"")


def states(repository, name="m"):
    return {v.number: v.state.name for v in repository.versions(name)}


async def settle(repository):
    """Lets loads and unloads end that nothing holds up."""
    for _ in range(200):
        await asyncio.sleep(0.005)
        if not repository._tasks and not repository._unloads:
            return


def config(base, name="m", **policy):
    labels = policy.pop("labels", {})
    return ModelConfig(name, base, VersionPolicy(**policy), labels)


def run(test):
    """Runs a test coroutine with fresh loads and a repository that never waits to retry."""

    def wrapped(tmp_path):
        async def main():
            loads = Loads()
            options = RepositoryOptions(retries=Retries(1, 0.01))
            repository = Repository(loads, options)
            await test(tmp_path, repository, loads)
            loads.open.set()
            await repository.close()

        asyncio.run(main())

    wrapped.__name__ = test.__name__
    return wrapped


@run
async def test_the_latest_version_is_served(base, repository, loads):
    publish(base, 1, 3, 2)
    (base / "not-a-version").mkdir()
    await repository.configure([config(base)])
    assert states(repository) == {3: "AVAILABLE"}
    assert repository.find("m").version == 3


@run
async def test_the_old_version_stays_until_the_new_one_is_ready(base, repository, loads):
    publish(base, 1)
    await repository.configure([config(base)])
    loads.open.clear()
    publish(base, 2)
    await repository.poll()
    await asyncio.sleep(0.05)
    assert states(repository) == {1: "AVAILABLE", 2: "LOADING"}
    assert repository.find("m").version == 1
    loads.open.set()
    await settle(repository)
    assert states(repository) == {1: "END", 2: "AVAILABLE"}
    assert loads.closed == [1]


@run
async def test_a_version_with_a_request_on_it_is_not_closed(base, repository, loads):
    publish(base, 1)
    await repository.configure([config(base)])
    with repository.find("m") as servable:
        publish(base, 2)
        await repository.poll()
        await asyncio.sleep(0.1)
        assert states(repository) == {1: "UNLOADING", 2: "AVAILABLE"}
        assert (servable.version, loads.closed) == (1, [])
    await settle(repository)
    assert (states(repository)[1], loads.closed) == ("END", [1])


@run
async def test_a_version_that_fails_leaves_the_old_one_in_place(base, repository, loads):
    publish(base, 1)
    await repository.configure([config(base)])
    loads.broken.add(("m", 2))
    publish(base, 2)
    await repository.poll()
    await settle(repository)
    assert states(repository) == {1: "AVAILABLE", 2: "END"}
    assert loads.attempts.count(("m", 2)) == 2
    (failed, _) = repository.versions("m")
    assert (failed.error.code, failed.error.message) == (Code.INTERNAL, "m/2 is broken")


@run
async def test_a_failed_version_is_tried_again_when_its_files_change(base, repository, loads):
    publish(base, 1)
    loads.broken.add(("m", 1))
    with pytest.raises(ServingError, match=r"did not become available: \{m\}"):
        await repository.configure([config(base)])
    await settle(repository)
    loads.broken.clear()
    await repository.poll()
    assert states(repository) == {1: "END"}
    (base / "1" / "saved_model.pb").write_bytes(b"whole")
    await repository.poll()
    await settle(repository)
    assert states(repository) == {1: "AVAILABLE"}


@run
async def test_one_bad_model_does_not_block_another(base, repository, loads):
    publish(base / "good", 1)
    publish(base / "bad", 1)
    loads.broken.add(("bad", 1))
    with pytest.raises(ServingError, match=r"\{bad\}"):
        await repository.configure([config(base / "bad", "bad"), config(base / "good", "good")])
    assert repository.find("good").version == 1


@run
async def test_half_copied_versions_wait(base, repository, loads):
    publish(base, 1)
    (base / "2" / "variables").mkdir(parents=True)
    await repository.configure([config(base)])
    assert states(repository) == {1: "AVAILABLE"}
    (base / "2" / "saved_model.pb").write_bytes(b"")
    (base / "2" / "variables" / "variables.data-00000-of-00002").write_bytes(b"")
    await repository.poll()
    assert states(repository) == {1: "AVAILABLE"}
    (base / "2" / "variables" / "variables.data-00001-of-00002").write_bytes(b"")
    (base / "2" / "variables" / "variables.index").write_bytes(b"")
    await repository.poll()
    await settle(repository)
    assert states(repository) == {1: "END", 2: "AVAILABLE"}


@run
async def test_policies_choose_versions(base, repository, loads):
    publish(base, 1, 2, 3)
    await repository.configure([config(base, latest=2)])
    assert states(repository) == {2: "AVAILABLE", 3: "AVAILABLE"}
    await repository.configure([config(base, specific=(1, 3))])
    await settle(repository)
    assert states(repository) == {1: "AVAILABLE", 2: "END", 3: "AVAILABLE"}
    await repository.configure([config(base, latest=0)])
    await settle(repository)
    assert set(states(repository).values()) == {"AVAILABLE"}


@run
async def test_a_deleted_version_goes_when_the_one_before_is_back(base, repository, loads):
    publish(base, 1)
    await repository.configure([config(base)])
    publish(base, 2)
    await repository.poll()
    await settle(repository)
    shutil.rmtree(base / "2")
    await repository.poll()
    await settle(repository)
    assert states(repository) == {1: "AVAILABLE", 2: "END"}
    shutil.rmtree(base / "1")
    await repository.poll()
    await settle(repository)
    assert states(repository) == {1: "END", 2: "END"}


@run
async def test_an_unreadable_base_path_changes_nothing_and_is_told_once(base, repository, loads):
    publish(base / "m", 1)
    await repository.configure([config(base / "m")])
    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logging.getLogger("server.models.repository").addHandler(handler)
    try:
        for _ in range(2):
            (base / "m").rename(base / "away")
            for _ in range(3):
                await repository.poll()
            await settle(repository)
            assert states(repository) == {1: "AVAILABLE"}
            (base / "away").rename(base / "m")
            await repository.poll()
    finally:
        logging.getLogger("server.models.repository").removeHandler(handler)
    assert told == [f"m: can't read {base / 'm'}"] * 2


@run
async def test_a_new_configuration_replaces_the_old_one(base, repository, loads):
    publish(base / "a", 1)
    publish(base / "b", 1)
    await repository.configure([config(base / "a", "a")])
    await repository.configure([config(base / "b", "b")])
    await settle(repository)
    assert states(repository, "a") == {1: "END"}
    with pytest.raises(ServingError, match=r"Latest\(a\)"):
        repository.find("a")
    assert repository.find("b").version == 1


@run
async def test_a_superseded_load_is_given_up(base, repository, loads):
    publish(base, 1)
    await repository.configure([config(base)])
    loads.broken.add(("m", 2))
    publish(base, 2)
    await repository.poll()
    publish(base, 3)
    await repository.poll()
    await settle(repository)
    assert states(repository) == {1: "END", 2: "END", 3: "AVAILABLE"}


@run
async def test_a_base_path_that_moves_is_loaded_and_the_old_one_stays_until_then(
    base, repository, loads
):
    publish(base / "old", 1)
    publish(base / "new", 1)
    await repository.configure([config(base / "old")])
    old = repository.find("m")
    loads.open.clear()
    moving = asyncio.create_task(repository.configure([config(base / "new")]))
    while len(loads.attempts) < 2:
        await asyncio.sleep(0.005)
    assert states(repository) == {1: "LOADING"}
    assert repository.find("m") is repository.find("m", 1) is old
    loads.open.set()
    await moving
    assert repository.find("m") is not old
    assert repository.versions("m")[0].path == base / "new" / "1"
    await settle(repository)
    assert (states(repository), loads.closed) == ({1: "AVAILABLE"}, [1])
    assert repository.models["m"].moved == []


@run
async def test_a_base_path_that_moves_to_what_cannot_be_loaded_keeps_the_old_one(
    base, repository, loads
):
    publish(base / "old", 1)
    publish(base / "new", 1)
    await repository.configure([config(base / "old")])
    old = repository.find("m")
    loads.broken.add(("m", 1))
    await repository.configure([config(base / "new")])
    await settle(repository)
    assert (states(repository), loads.closed) == ({1: "END"}, [])
    assert repository.find("m") is old
    await repository.configure([config(base / "nowhere")])  # unreadable: nothing changes
    assert repository.find("m") is old
    loads.broken.clear()
    (base / "new" / "1" / "saved_model.pb").write_bytes(b"whole")
    await repository.configure([config(base / "new")])
    await repository.poll()
    await settle(repository)
    assert repository.find("m") is not old
    assert loads.closed == [1]


@run
async def test_a_base_path_that_moves_again_while_it_is_loaded(base, repository, loads):
    for name in "abc":
        publish(base / name, 1)
    await repository.configure([config(base / "a")])
    loads.open.clear()
    first = asyncio.create_task(repository.configure([config(base / "b")]))
    while len(loads.attempts) < 2:
        await asyncio.sleep(0.005)
    second = asyncio.create_task(repository.configure([config(base / "c")]))
    await asyncio.sleep(0.05)
    loads.open.set()
    await asyncio.gather(first, second)
    await settle(repository)
    assert repository.versions("m")[0].path == base / "c" / "1"
    assert states(repository) == {1: "AVAILABLE"}
    assert loads.closed == [1, 1]
    assert repository.models["m"].moved == []


@run
async def test_a_check_changes_nothing(base, repository, loads):
    publish(base, 1)
    await repository.configure([config(base)])
    await repository.check([config(base, "n")])
    with pytest.raises(ServingError, match="Request to assign label to version 7"):
        await repository.check([config(base, labels={"stable": 7})])
    assert list(repository.models) == ["m"]


@run
async def test_a_request_log_without_a_directory_is_refused(base, repository, loads):
    publish(base, 1)
    await repository.configure([config(base)])
    logged = ModelConfig("n", base, logging=RequestLogging(1.0, "/tmp/n"))
    for do in (repository.check, repository.configure):
        with pytest.raises(ServingError, match="--request_log_dir=DIR") as caught:
            await do([logged])
        assert caught.value.code is Code.INVALID_ARGUMENT
    assert list(repository.models) == ["m"]


@run
async def test_labels_need_a_version_that_is_wanted(base, repository, loads):
    publish(base, 1, 2)
    await repository.configure([config(base, latest=2, labels={"stable": 1})])
    assert repository.find("m", label="stable").version == 1
    with pytest.raises(ServingError) as caught:
        await repository.configure([config(base, latest=2, labels={"stable": 7})])
    assert caught.value.message == (
        "Request to assign label to version 7 of model m, "
        "which is not currently available for inference"
    )
    assert repository.find("m", label="stable").version == 1


@run
async def test_version_0_is_any_version_unless_there_is_one(base, repository, loads):
    publish(base, 1)
    await repository.configure([config(base)])
    assert repository.find("m", 0).version == 1
    publish(base, 0)
    await repository.configure([config(base, latest=2)])
    await settle(repository)
    assert repository.find("m", 0).version == 0


def test_states_only_go_forward():
    assert [state.value for state in VersionState] == [10, 20, 30, 40, 50]


def test_config_files_are_read_as_text_protos():
    (model,) = parse(
        """
        # a comment
        model_config_list: {
          config: {
            name: "m", base_path: "/models/m", model_platform: "tensorflow"
            model_version_policy { specific { versions: 2 versions: 5 } }
            version_labels { key: "stable" value: 2 }
            logging_config {
              log_collector_config { filename_prefix: "/logs/m" }
              sampling_config { sampling_rate: 0.1 }
            }
          }
        }"""
    )
    assert (model.name, str(model.base_path)) == ("m", "/models/m")
    assert (model.policy.specific, model.labels) == ((2, 5), {"stable": 2})
    assert model.logging == RequestLogging(0.1, "/logs/m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "Error parsing text-format tensorflow.serving.ModelServerConfig"),
        ('model_config_list { config { base_path: "/m" } }', "no name"),
        (
            'model_config_list { config { name: "m" base_path: "/m" model_platform: "caffe" } }',
            "unsupported platform caffe",
        ),
        (
            'model_config_list { config { name: "m" base_path: "m" } }',
            r"Expected model m to have an absolute path or URI; got base_path\(\)=m",
        ),
        (
            'model_config_list { config { name: "m" base_path: "/m" }'
            ' config { name: "m" base_path: "/n" } }',
            "multiple times",
        ),
    ],
)
def test_bad_config_files_are_refused(text, message):
    with pytest.raises(ServingError, match=message):
        parse(text)
