"""The models of the server: which versions are wanted, loaded and used.

Everything here happens on the event loop's thread; only loads and looks at the disk run on others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from server.errors import Code, ServingError, invalid
from server.models import discovery, memory, priority, switches
from server.models.model import Model
from server.models.model_config import ModelConfig
from server.models.servable import Servable
from server.models.version import Load, Retries, State, Version

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
    """

    retries: Retries = field(default_factory=Retries)
    load_threads: int = 2
    labels_for_unavailable: bool = False
    tflite: bool = False


class Repository:
    """All models of a server."""

    def __init__(self, load: Load, options: RepositoryOptions = RepositoryOptions()) -> None:
        """Takes the function that loads a version, called on threads of the repository."""
        self._load = load
        self._options = options
        self._models: dict[str, Model] = {}
        self._removed: dict[str, Model] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # The runtimes' own threads, which are started by these, give way, too.
        self._threads = ThreadPoolExecutor(
            options.load_threads, thread_name_prefix="load", initializer=priority.give_way
        )
        self._scan = ThreadPoolExecutor(1, thread_name_prefix="scan")
        self._lock = asyncio.Lock()

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
    def models(self) -> Mapping[str, Model]:
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

        A model that was turned off stays so, and one that is turned on is a new one (`switches`).

        Raises:
            ServingError: FAILED_PRECONDITION, nothing changed, for a label without its version;
                UNKNOWN, after the change, where a new model didn't become available.
        """
        async with self._lock:
            found = await self._look({config.name: config.base_path for config in configs})
            configs = switches.kept(configs, self.configs)
            self._check_labels(configs, found)
            before = {config.name: config.switch for config in self.configs}
            self._apply(configs, found)
        fresh = [
            self._models[config.name]
            for config in configs
            if config.switch.is_on and config.switch != before.get(config.name)
        ]
        await asyncio.gather(*(_settled(model) for model in fresh))
        missing = [model.config.name for model in fresh if model.latest is None]
        if missing:
            raise ServingError(
                Code.UNKNOWN, f"Some models did not become available: {{{', '.join(missing)}}}"
            )

    async def poll(self) -> None:
        """Looks at the disk once and starts what follows from it."""
        async with self._lock:
            paths = {name: model.config.base_path for name, model in self._models.items()}
            found = await self._look(paths)
            for name, model in self._models.items():
                await self._update(model, found.get(name))

    async def close(self) -> None:
        """Unloads everything, each version after its last request."""
        async with self._lock:
            self._apply([], {})
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._threads.shutdown(wait=False)
        self._scan.shutdown(wait=False)

    def _apply(
        self, configs: Sequence[ModelConfig], found: Mapping[str, Mapping[int, Path] | None]
    ) -> None:
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
            model = self._models.setdefault(config.name, Model(config))
            is_turned = config.switch != model.config.switch
            model.config = config
            if is_turned and config.switch.is_on:
                model.try_again()
            model.found = found.get(config.name) or {}
            self._reconcile(model)

    async def _look(self, paths: Mapping[str, Path]) -> dict[str, dict[int, Path] | None]:
        def look() -> dict[str, dict[int, Path] | None]:
            tflite = self._options.tflite
            return {name: discovery.find(path, tflite=tflite) for name, path in paths.items()}

        return await asyncio.get_running_loop().run_in_executor(self._scan, look)

    async def _update(self, model: Model, found: Mapping[int, Path] | None) -> None:
        if found is None:  # unreadable, for the moment perhaps: what is loaded stays
            logger.warning("%s: can't read %s", model.config.name, model.config.base_path)
            return
        if not found and model.found:
            logger.warning("%s: no version left in %s", model.config.name, model.config.base_path)
        model.found = found
        failed = [v for n, v in model.versions.items() if v.error is not None and n in found]
        for version in failed:
            state = await asyncio.to_thread(discovery.fingerprint, version.path)
            if version.notice(state) and version.has_failed:
                del model.versions[version.number]
        self._reconcile(model)

    def _reconcile(self, model: Model) -> None:
        aspired = model.aspired
        for number in sorted(aspired, reverse=True):
            version = model.versions.get(number)
            if version is None or (version.state is State.END and version.error is None):
                version = Version(model.config.name, number, model.found[number])
                model.versions[number] = version
                self._start(self._bring_up(model, version))
        for number, version in list(model.versions.items()):
            if number not in aspired and version.state in (State.START, State.LOADING):
                version.abandon()
        for version in model.superseded():
            version.retire()
            self._start(self._take_down(model, version))
        model.refresh()
        model.forget()

    async def _bring_up(self, model: Model, version: Version) -> None:
        loading = asyncio.ensure_future(
            version.load(self._load, self._threads, self._options.retries)
        )
        await version.tried.wait()
        self._reconcile(model)  # old versions may go once it is known how this one does
        await loading
        self._reconcile(model)

    async def _take_down(self, model: Model, version: Version) -> None:
        await version.unload()
        self._reconcile(model)  # it may be wanted again by now
        await asyncio.get_running_loop().run_in_executor(self._scan, memory.trim)

    async def settled(self) -> None:
        """Waits until no version is on its way: each is available, or its first load failed."""
        await asyncio.gather(*(_settled(model) for model in self._models.values()))

    def _check_labels(
        self, configs: Iterable[ModelConfig], found: Mapping[str, Mapping[int, Path] | None]
    ) -> None:
        """Refuses labels of versions that won't be there.

        Serving wants them to be available already (server_core.cc), so a label can't be
        configured at start-up; here it is enough that the version is on its way.
        """
        if self._options.labels_for_unavailable:
            return
        for config in configs:
            aspired = config.policy.aspired(found.get(config.name) or {})
            for number in config.labels.values():
                if number not in aspired:
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of model {config.name}, "
                        "which is not currently available for inference",
                    )

    def _start(self, coroutine: object) -> None:
        task = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _asked_version(model: Model | None, version: int | None, label: str) -> int | None:
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


async def _settled(model: Model) -> None:
    while waits := [
        *(version.tried.wait() for version in model.versions.values() if version.is_pending),
        *(version.ended.wait() for version in model.returning),
    ]:
        await asyncio.gather(*waits)
