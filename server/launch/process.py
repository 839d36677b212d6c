"""The server's process: start, serve, drain, end."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

from server.errors import ServingError
from server.inference.admission import Admission
from server.inference.core import Core
from server.inference.execution import Execution
from server.launch import settings, transport
from server.launch.options import ServerOptions
from server.launch.settings import Settings
from server.launch.worker_pipe import WorkerPipe
from server.models import memory, threads
from server.models.model_config import ModelConfig
from server.models.repository import Repository
from server.telemetry import otlp
from server.telemetry.observation import Observer
from server.telemetry.queues import QueueMetrics
from server.telemetry.request_log import RequestLog

logger = logging.getLogger("server")

_USAGE_ERROR = 2
_PATIENCE_S = 5.0  # with a config file
_FIRST_POLL_S = 0.2  # while nothing is there to be served yet
# How long a thread that has come back from an execution waits for the event loop's to let it go
# on: with Python's 5 ms, the cores would stand still between two executions.
_SWITCH_S = 0.00005


def show_version() -> int:
    """Prints versions as the official server does, and returns exit status 0."""
    print(f"TensorFlow ModelServer: {_version('jax-serving-stack')} (embedded)")
    print(f"TensorFlow Library: {_version('tensorflow')}")
    print(f"JAX Library: {_version('jax')}")
    return 0


def run(
    options: ServerOptions,
    pipe: Connection | None = None,
    models: Sequence[ModelConfig] | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT and returns the exit status.

    Args:
        options: What and how to serve.
        pipe: To the supervisor, where this is one of several workers.
        models: What to serve in place of what the options say.
    """
    try:
        found = settings.read(options)
        if models is not None:
            found = replace(found, models=list(models))
        server = Server(options, found, pipe)
        status = _run_loop(server.serve())
    except ServingError as error:
        logger.error("%s", error.message)
        return _USAGE_ERROR
    except OSError as error:
        logger.error("%s", error)
        return _USAGE_ERROR
    except UnicodeDecodeError as error:
        logger.error("a file that a flag names isn't UTF-8: %s", error)
        return _USAGE_ERROR
    if not server.has_ended:
        logging.shutdown()
        os._exit(status)  # threads that still run a model, or hang, would keep the process
    return status


class Server:
    """All parts of one server process."""

    def __init__(
        self, options: ServerOptions, found: Settings, pipe: Connection | None = None
    ) -> None:
        self._options = options
        self._pipe = pipe
        self._settings = found
        self._stop = asyncio.Event()
        self.has_ended = False

    async def serve(self) -> int:
        """Loads the models, opens the ports, serves, drains; returns the exit status.

        Raises:
            OSError: a port can't be had.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        found = self._settings
        self._repository = Repository(found.loader, found.repository)
        queues = QueueMetrics()
        execute = Execution(
            found.batching,
            queues,
            merges_proven=found.merges,
            merges_all=self._options.enable_batching and not self._options.exact,
            is_exact=self._options.exact,
        )
        observer = Observer(self._repository, found.access_log)
        observer.metrics += queues.all
        core = Core(
            self._repository,
            execute,
            observer,
            RequestLog(
                self._repository,
                found.loader.engine.tags,
                found.repository.request_log_dir,
                found.request_log_bounds,
            ),
            Admission(self._options.max_concurrent_requests, self._options.max_requests_per_second),
            tracer=otlp.start() if self._options.tracing else None,
        )
        if self._pipe is not None:
            workers = WorkerPipe(self._pipe, self._repository, core.report, self._stop.set)
            core.configure = workers.configure
            core.reports = workers.reports
        self._transport = transport.create(self._options.transport, core, found)
        background = [asyncio.create_task(self._load())]
        if await self._unless_stopped(background[0]):
            memory.keep()
            await self._open()
            background += [asyncio.create_task(poll) for poll in self._polls()]
            await self._stop.wait()
        for task in background:
            task.cancel()
        core.is_draining = True
        has_drained = await self._drain()
        execute.close()
        core.offload.close()
        core.request_log.close()
        if core.tracer is not None:
            core.tracer.close()
        if found.access_log is not None:
            found.access_log.close()
        self.has_ended = has_drained and not execute.is_busy and not threads.are_busy()
        return 0

    async def _load(self) -> None:
        """Loads the first models; where there are none to load, waits for some to appear."""
        try:
            await self._repository.configure(self._settings.models)
        except ServingError as error:
            logger.error("%s", error.message)
        if not self._repository.has_versions:
            logger.warning(
                "no versions of servables found yet; a version is a directory with a number for "
                "a name and a saved_model.pb in it"
            )
        while not self._repository.has_versions:
            await asyncio.sleep(_FIRST_POLL_S)
            await self._repository.poll()
        await self._repository.settled()

    async def _open(self) -> None:
        host = self._options.host
        ports = await self._transport.start()
        if ports.grpc is not None:
            logger.info("Running gRPC ModelServer at %s:%d ...", host, ports.grpc)
        if path := self._options.grpc_socket_path:
            logger.info("Running gRPC ModelServer at UNIX socket %s ...", path)
        if ports.rest is not None:
            logger.info("Exporting HTTP/REST API at:%s:%d ...", host, ports.rest)

    def _polls(self) -> list[Coroutine[None, None, None]]:
        options, polls = self._options, []
        if options.file_system_poll_wait_seconds > 0:
            polls.append(self._poll_versions(options.file_system_poll_wait_seconds))
        if options.model_config_file and options.model_config_file_poll_wait_seconds > 0:
            polls.append(self._poll_config(options.model_config_file_poll_wait_seconds))
        return polls

    async def _poll_versions(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self._repository.poll()
            except Exception:
                logger.exception("looking for versions failed")

    async def _poll_config(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            file = self._options.model_config_file
            # On a thread, for the disk may hang; the next look is when this one is over.
            reading = threads.run(lambda: settings.models(self._options), "config")
            done, _ = await asyncio.wait([reading], timeout=_PATIENCE_S)
            if not done:
                logger.warning("%s: reading it has taken %g s and goes on", file, _PATIENCE_S)
            try:
                await self._repository.configure(await reading)
            except (OSError, ServingError) as error:
                logger.error("%s: %s", file, error)
            except Exception:
                logger.exception("%s: taking it failed", file)

    async def _unless_stopped(self, task: asyncio.Task[None]) -> bool:
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            task.result()  # an exception that nobody expected ends the process
        return not self._stop.is_set()

    async def _drain(self) -> bool:
        """Answers what is under way; returns whether all of it was in time."""
        seconds = self._options.drain_seconds
        logger.info("draining, for at most %g s", seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._transport.close(seconds)
                await self._repository.close()
            logger.info("drained")
            return True
        except TimeoutError:
            logger.warning("not everything was answered in time")
            return False


def _run_loop(main: Coroutine[None, None, int]) -> int:
    sys.setswitchinterval(_SWITCH_S)
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(main)
    return uvloop.run(main)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
