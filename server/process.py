"""The server's process: start, serve, drain, end."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path

from server import model_config
from server.core import Core
from server.engines.engine import EngineOptions
from server.errors import ServingError
from server.execution import Threads
from server.grpc.listen import GrpcOptions, GrpcServer
from server.http.server import HttpOptions, HttpServer
from server.loading import Loader
from server.model_config import ModelConfig
from server.options import Options
from server.repository import Repository, RepositoryOptions
from server.rest.api import RestApi
from server.version import Retries

logger = logging.getLogger("server")

_USAGE_ERROR = 2
_FIRST_POLL_S = 0.2  # while nothing is there to be served yet


def show_version() -> int:
    """Prints versions as the official server does, and returns exit status 0."""
    print(f"TensorFlow ModelServer: {_version('jax-serving-stack')} (embedded)")
    print(f"TensorFlow Library: {_version('tensorflow')}")
    print(f"JAX Library: {_version('jax')}")
    return 0


def run(options: Options) -> int:
    """Serves until SIGTERM or SIGINT and returns the exit status."""
    try:
        configs = read_configs(options)
    except (OSError, ServingError) as error:
        logger.error("%s", error)
        return _USAGE_ERROR
    server = Server(options, configs)
    try:
        status = _run_loop(server.serve())
    except OSError as error:
        logger.error("can't listen: %s", error)
        return _USAGE_ERROR
    if not server.has_drained:
        logging.shutdown()
        os._exit(status)  # threads that still run a model would keep the process
    return status


def read_configs(options: Options) -> list[ModelConfig]:
    """Returns the models to serve, from the config file or from the flags.

    Raises:
        OSError: the file can't be read.
        ServingError: it can't be parsed.
    """
    if options.model_config_file:
        return model_config.parse(Path(options.model_config_file).read_text())
    return [ModelConfig(options.model_name, Path(options.model_base_path))]


class Server:
    """All parts of one server process."""

    def __init__(self, options: Options, configs: Sequence[ModelConfig]) -> None:
        self._options = options
        self._configs = configs
        self._stop = asyncio.Event()
        self.has_drained = False

    async def serve(self) -> int:
        """Loads the models, opens the ports, serves, drains; returns the exit status.

        Raises:
            OSError: a port can't be had.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        execute = Threads()
        repository = Repository(_loader(self._options), _repository_options(self._options))
        core = Core(repository, execute)
        background = [asyncio.create_task(self._load(repository))]
        grpc = GrpcServer(core, _grpc_options(self._options))
        http = HttpServer(
            RestApi(core, timeout_s=self._options.rest_api_timeout_in_ms / 1000),
            _http_options(self._options),
        )
        if await self._unless_stopped(background[0]):
            await self._open(grpc, http)
            background += [asyncio.create_task(poll) for poll in self._polls(repository)]
            await self._stop.wait()
        for task in background:
            task.cancel()
        core.is_draining = True
        await self._drain(grpc, http, repository)
        execute.close()
        return 0

    async def _load(self, repository: Repository) -> None:
        """Loads the first models; where there are none to load, waits for some to appear."""
        try:
            await repository.configure(self._configs)
        except ServingError as error:
            logger.error("%s", error.message)
        while not repository.has_versions:
            logger.warning(
                "no versions of servables found yet; a version is a directory with a number for "
                "a name and a saved_model.pb in it"
            )
            await asyncio.sleep(_FIRST_POLL_S)
            while not repository.has_versions:
                await asyncio.sleep(_FIRST_POLL_S)
                await repository.poll()
        await repository.settled()

    async def _open(self, grpc: GrpcServer, http: HttpServer) -> None:
        host = self._options.host
        port = await grpc.start()
        if port is not None:
            logger.info("Running gRPC ModelServer at %s:%d ...", host, port)
        if self._options.grpc_socket_path:
            logger.info(
                "Running gRPC ModelServer at UNIX socket %s ...", self._options.grpc_socket_path
            )
        if self._options.rest_api_port != 0:
            port = await http.start()
            logger.info("Exporting HTTP/REST API at:%s:%d ...", host, port)

    def _polls(self, repository: Repository) -> list[Coroutine[None, None, None]]:
        polls = []
        options = self._options
        if options.file_system_poll_wait_seconds > 0:
            polls.append(_poll_versions(repository, options.file_system_poll_wait_seconds))
        if options.model_config_file and options.model_config_file_poll_wait_seconds > 0:
            polls.append(_poll_config(repository, options))
        return polls

    async def _unless_stopped(self, task: asyncio.Task[None]) -> bool:
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        return not self._stop.is_set()

    async def _drain(self, grpc: GrpcServer, http: HttpServer, repository: Repository) -> None:
        logger.info("draining, for at most %g s", self._options.drain_seconds)
        try:
            async with asyncio.timeout(self._options.drain_seconds):
                await asyncio.gather(grpc.close(self._options.drain_seconds), http.close())
                await repository.close()
            self.has_drained = True
            logger.info("drained")
        except TimeoutError:
            logger.warning("not everything was answered in time")


async def _poll_versions(repository: Repository, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            await repository.poll()
        except Exception:
            logger.exception("looking for versions failed")


async def _poll_config(repository: Repository, options: Options) -> None:
    while True:
        await asyncio.sleep(options.model_config_file_poll_wait_seconds)
        try:
            await repository.configure(read_configs(options))
        except (OSError, ServingError) as error:
            logger.error("%s: %s", options.model_config_file, error)


def _loader(options: Options) -> Loader:
    session = options.tensorflow_session_parallelism
    return Loader(
        EngineOptions(
            engine=options.engine,
            tags=tuple(options.saved_model_tags.split(",")),
            xla_compilation=options.xla_cpu_compilation_enabled,
            compilation_cache=(
                Path(options.compilation_cache_dir) if options.compilation_cache_dir else None
            ),
            intra_op_threads=options.tensorflow_intra_op_parallelism or session,
            inter_op_threads=options.tensorflow_inter_op_parallelism or session,
        ),
        enable_warmup=options.enable_model_warmup,
        warmup_iterations=max(options.num_request_iterations_for_warmup, 1),
    )


def _repository_options(options: Options) -> RepositoryOptions:
    return RepositoryOptions(
        retries=Retries(options.max_num_load_retries, options.load_retry_interval_micros / 1e6),
        load_threads=options.num_load_threads or os.cpu_count() or 1,
        labels_for_unavailable=options.allow_version_labels_for_unavailable_models,
    )


def _grpc_options(options: Options) -> GrpcOptions:
    arguments: dict[str, int | str] = {}
    for argument in filter(None, options.grpc_channel_arguments.split(",")):
        key, _, value = argument.partition("=")
        arguments[key] = int(value) if value.lstrip("-").isdigit() else value
    return GrpcOptions(
        host=options.host,
        port=None if options.port == 0 else max(options.port, 0),
        socket_path=options.grpc_socket_path,
        arguments=arguments,
        as_tensor_content=options.enable_serialization_as_tensor_content,
    )


def _http_options(options: Options) -> HttpOptions:
    return HttpOptions(
        host=options.host,
        port=max(options.rest_api_port, 0),
        max_body_bytes=options.max_request_bytes,
    )


def _run_loop(main: Coroutine[None, None, int]) -> int:
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
