"""The models of the server: which versions are wanted, loaded and used.

Everything here happens on the event loop's thread; only loads and looks at the disk run on others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.errors import Code, ServingError, invalid
from server.models import memory, model_config, priority, switches, threads
from server.models.discovery import Seen
from server.models.model import ServedModel
from server.models.model_config import ModelConfig
from server.models.scan import Place, Scan
from server.models.servable import Servable
from server.models.storage.bucket_options import BucketOptions
from server.models.storage.storage import Storage
from server.models.threads import Loads
from server.models.version import Load, Retries, Version, VersionState

logger = logging.getLogger(__name__)

_MAX_REMOVED = 100  # removed models that still have a status


@dataclass(frozen=True)
class RepositoryOptions:
    """How versions come and go.

    Attributes:
        retries: For loads that fail.
        load_threads: Loads at a time.
        labels_for_unavailable: Labels may point at versions that aren't there.
        tflite: A version with only `model.tflite` is complete.
        request_log_dir: Below which request logs may be written; None: nowhere.
        scan_patience_s: Within which a look at a base path must end, or others don't wait for it.
        load_patience_s: The same of a load.
        buckets: How versions in buckets are kept; None: none are served.
    """

    retries: Retries = field(default_factory=Retries)
    load_threads: int = 2
    labels_for_unavailable: bool = False
    tflite: bool = False
    request_log_dir: Path | None = None
    scan_patience_s: float = 5.0
    load_patience_s: float = 600.0
    buckets: BucketOptions | None = None


class Repository:
    """All models of a server."""

    def __init__(self, load: Load, options: RepositoryOptions = RepositoryOptions()) -> None:
        """Takes the function that loads a version, called on threads of the repository."""
        self._options = options
        self._storage = Storage(options.buckets, tflite=options.tflite)
        self._load = self._storage.loading(load)
        self._models: dict[str, ServedModel] = {}
        self._removed: dict[str, ServedModel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loads = Loads(options.load_threads, options.load_patience_s)
        self._preparations = asyncio.Semaphore(1)
        self._scan = Scan(self._storage.look, options.scan_patience_s)
        self._lock = asyncio.Lock()
        self._unloads: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def find(self, name: str, version: int | None = None, label: str = "") -> Servable:
        """Returns the servable for a request: a version, a label's version, or the latest.

        Raises:
            ServingError: in the words of TensorFlow Serving (server_core.cc, basic_manager.cc).
        """
        model = self._models.get(name)
        version = _asked_version(model, version, label)
        servable = model and (model.latest if version is None else model.available.get(version))
        if servable:
            return servable
        if not name:
            raise invalid("ModelSpec has no name specified.")
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")

    def versions(self, name: str, version: int | None = None, label: str = "") -> list[Version]:
        """Returns the versions of a model that its status lists, highest first.

        Raises:
            ServingError: NOT_FOUND, or the label is unknown (get_model_status_impl.cc).
        """
        model = self._models.get(name) or self._removed.get(name)
        version = _asked_version(model, version, label)
        found = model.versions if model else {}
        if version is not None:
            if version not in found:
                raise ServingError(
                    Code.NOT_FOUND, f"Could not find version {version} of model {name}"
                )
            return [found[version]]
        if not found:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
        return [found[number] for number in sorted(found, reverse=True)]

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """The configured models by name."""
        return self._models

    @property
    def configs(self) -> list[ModelConfig]:
        """The configuration."""
        return [model.config for model in self._models.values()]

    @property
    def is_ready(self) -> bool:
        """Whether something is served and nothing more is on its way for the first time.

        A model that failed doesn't count: it must not take the others out of service.
        """
        models = self._models.values()
        return any(model.latest for model in models) and all(
            model.latest or not any(v.is_pending for v in model.versions.values())
            for model in models
        )

    @property
    def has_versions(self) -> bool:
        """Whether anything was found to be loaded, or nothing is configured."""
        return not self._models or any(model.found for model in self._models.values())

    async def configure(self, configs: Sequence[ModelConfig]) -> None:
        """Replaces the whole configuration and waits until new models are there, or have failed.

        Models whose base path has moved are waited for, too. A model that was turned off stays so,
        and one that is turned on is a new one (`switches`).

        Raises:
            ServingError: UNKNOWN, after the change, where a new model didn't become available;
                else as `check`, and nothing has changed.
        """
        async with self._lock:
            found = await self._look_and_check(configs)
            configs = switches.kept(configs, self.configs)
            before = {config.name: config.switch for config in self.configs}
            self._apply(configs, found)
            models = [self._models[config.name] for config in configs if config.switch.is_on]
        fresh = [m for m in models if m.config.switch != before.get(m.config.name)]
        await asyncio.gather(
            *(_settled(model) for model in models if model.moved or model in fresh)
        )
        missing = [model.config.name for model in fresh if model.latest is None]
        if missing:
            raise ServingError(
                Code.UNKNOWN, f"Some models did not become available: {{{', '.join(missing)}}}"
            )

    async def check(self, configs: Sequence[ModelConfig]) -> None:
        """Tells whether a configuration can be taken; changes nothing.

        Raises:
            ServingError: INVALID_ARGUMENT for a request log that leads elsewhere;
                FAILED_PRECONDITION for a label without its version, or when the server ends.
        """
        async with self._lock:
            await self._look_and_check(configs)

    async def poll(self) -> None:
        """Looks at the disk once and starts what follows from it."""
        async with self._lock:
            found = await self._look(model.config for model in self._models.values())
            for name, model in self._models.items():
                if not self._is_closing and name in found:
                    self._update(model, found[name])

    async def close(self) -> None:
        """Unloads everything, each version after its last request; loads are given up."""
        self._is_closing = True  # whoever looks at the disk now does nothing more
        self._apply([], {})
        for task in self._tasks:
            task.cancel()
        while self._unloads:
            await asyncio.wait(self._unloads)

    def _apply(self, configs: Sequence[ModelConfig], found: Mapping[str, Seen]) -> None:
        wanted = {config.name for config in configs}
        for name in [name for name in self._models if name not in wanted]:
            model = self._models.pop(name)
            model.found = {}
            self._removed[name] = model
            self._reconcile(model)
        while len(self._removed) > _MAX_REMOVED:
            del self._removed[next(iter(self._removed))]
        for config in configs:
            self._removed.pop(config.name, None)
            model = self._models.setdefault(config.name, ServedModel(config))
            is_turned = config.switch != model.config.switch
            model.config = config
            if is_turned and config.switch.is_on:
                model.try_again()
            seen = found.get(config.name)
            if seen is not None:
                self._take_over(model, seen)
            self._reconcile(model)

    async def _look_and_check(self, configs: Sequence[ModelConfig]) -> dict[str, Seen]:
        model_config.check_logs(configs, self._options.request_log_dir)
        found = await self._look(configs)
        if self._is_closing:
            raise ServingError(Code.FAILED_PRECONDITION, "the server is about to end")
        self._check_labels(configs, found)
        return found

    async def _look(self, configs: Iterable[ModelConfig]) -> dict[str, Seen]:
        """Returns what is seen of models, as far as that can be seen in time."""
        places = {}
        for config in configs:
            model = self._models.get(config.name)
            versions = model.versions.values() if model is not None else ()
            failed = tuple(v.path for v in versions if v.error is not None)
            places[config.name] = Place(config.base_path, failed)
        found = await self._scan(places.values())
        return {name: found[place] for name, place in places.items() if place in found}

    def _update(self, model: ServedModel, seen: Seen) -> None:
        if seen.versions is not None and not seen.versions and model.found:
            logger.warning("%s: no version left in %s", model.config.name, model.config.base_path)
        self._take_over(model, seen)
        for version in list(model.versions.values()):
            if version.number not in model.found or version.path not in seen.fingerprints:
                continue
            if version.notice(seen.fingerprints[version.path]) and version.has_failed:
                del model.versions[version.number]
        self._reconcile(model)

    def _take_over(self, model: ServedModel, seen: Seen) -> None:
        if seen.versions is None:  # unreadable, for the moment perhaps: what is loaded stays
            if model.unreadable != model.config.base_path:
                logger.warning("%s: can't read %s", model.config.name, model.config.base_path)
            model.unreadable = model.config.base_path
        else:
            model.found, model.unreadable = seen.versions, None

    def _reconcile(self, model: ServedModel) -> None:
        model.replace_moved()
        aspired = model.aspired
        for number in sorted(aspired, reverse=True):
            version = model.versions.get(number)
            if version is None or (version.state is VersionState.END and version.error is None):
                version = Version(model.config.name, number, model.found[number])
                model.versions[number] = version
                _start(self._bring_up(model, version), self._tasks)
        for number, version in list(model.versions.items()):
            if number not in aspired and version.state in (
                VersionState.START,
                VersionState.LOADING,
            ):
                version.abandon()
        for version in model.superseded():
            version.retire()
            _start(self._take_down(model, version), self._unloads)
        model.refresh()
        model.forget()

    async def _bring_up(self, model: ServedModel, version: Version) -> None:
        loading = asyncio.ensure_future(
            version.load(self._load, self._loads, self._options.retries)
        )
        try:
            await version.tried.wait()
            self._reconcile(model)  # old versions may go once it is known how this one does
            await loading
        finally:
            loading.cancel()
        self._reconcile(model)
        servable = version.servable
        if servable is not None and servable.prepare is not None:
            prepare, servable.prepare = servable.prepare, None
            async with self._preparations:
                await threads.run(lambda: _prepare(prepare), "prepare")

    async def _take_down(self, model: ServedModel, version: Version) -> None:
        await version.unload()
        self._reconcile(model)  # it may be wanted again by now
        await threads.run(memory.trim, "trim")

    async def settled(self) -> None:
        """Waits until no version is on its way: each is available, or its first load failed."""
        await asyncio.gather(*(_settled(model) for model in self._models.values()))

    def _check_labels(self, configs: Iterable[ModelConfig], found: Mapping[str, Seen]) -> None:
        """Refuses labels of versions that won't be there.

        Serving wants them to be available already (server_core.cc), so a label can't be
        configured at start-up; here it is enough that the version is on its way.
        """
        if self._options.labels_for_unavailable:
            return
        for config in configs:
            seen = found.get(config.name)
            aspired = config.policy.aspired((seen and seen.versions) or {})
            for number in config.labels.values():
                if number not in aspired:
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of model {config.name}, "
                        "which is not currently available for inference",
                    )


def _start(coroutine: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.ensure_future(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _prepare(prepare: Callable[[], None]) -> None:
    priority.step_back()
    prepare()


def _asked_version(model: ServedModel | None, version: int | None, label: str) -> int | None:
    """Returns the version that a request is for; None for any.

    Version 0 of a model that has no such version is any, too: OpenVINO's clients send it.
    """
    if label:
        version = model.config.labels.get(label) if model else None
        if version is None:
            raise invalid(f"Unrecognized servable version label: {label}")
    elif version == 0 and model is not None and 0 not in model.versions:
        return None
    return version


async def _settled(model: ServedModel) -> None:
    while waits := [
        *(version.tried.wait() for version in model.versions.values() if version.is_pending),
        *(version.ended.wait() for version in model.returning),
    ]:
        await asyncio.gather(*waits)
