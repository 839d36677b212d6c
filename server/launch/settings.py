"""From flags and the files they name to the settings of the server's parts."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from server.api import access
from server.api.front import FrontOptions
from server.api.grpc_services import ServiceOptions
from server.engines.engine import EngineOptions
from server.errors import invalid
from server.inference.batching import parameters as batching
from server.launch import descriptors, monitoring
from server.launch.options import ServerOptions
from server.loading.loader import Loader
from server.models import model_config
from server.models.model_config import ModelConfig
from server.models.repository import RepositoryOptions
from server.models.storage.bucket_options import BucketOptions
from server.models.version import Retries
from server.protocol.grpc.server import GrpcOptions
from server.protocol.guard import Guard, Token
from server.protocol.http1.server import HttpOptions
from server.protocol.limits import Limits
from server.protocol.tls import Tls
from server.telemetry.access_log import AccessLog
from server.telemetry.log_files import Bounds


@dataclass(frozen=True)
class Settings:
    """What each part of the server is to do.

    Attributes:
        http: None without a REST port.
        merges: Calls are merged where that changes no answer, or where the operator says so.
    """

    models: list[ModelConfig]
    loader: Loader
    repository: RepositoryOptions
    grpc: GrpcOptions
    services: ServiceOptions
    http: HttpOptions | None
    front: FrontOptions
    guard: Guard
    limits: Limits
    batching: batching.Parameters
    merges: bool
    access_log: AccessLog | None
    request_log_bounds: Bounds


def read(options: ServerOptions) -> Settings:
    """Reads everything that the flags name.

    Raises:
        OSError: a file can't be read.
        ServingError: a file can't be parsed, or flags contradict each other.
    """
    tls = Tls.read(Path(options.ssl_config_file)) if options.ssl_config_file else None
    batches = _batching(options)
    return Settings(
        models=models(options),
        loader=_loader(options, batches),
        repository=_repository(options),
        grpc=_grpc(options, tls),
        services=ServiceOptions(
            as_tensor_content=options.enable_serialization_as_tensor_content,
            health=options.enable_grpc_healthcheck_service,
        ),
        http=_http(options, tls),
        front=_front(options),
        guard=Guard(
            _token(options.auth_token_file),
            _token(options.admin_token_file),
            open_paths=access.OPEN,
            is_admin=access.is_admin,
        ),
        limits=_limits(options),
        batching=batches,
        merges=_merges(options),
        access_log=AccessLog(options.access_log) if options.access_log else None,
        request_log_bounds=_request_log_bounds(options),
    )


def models(options: ServerOptions) -> list[ModelConfig]:
    """Returns the models to serve, from the config file or from the flags.

    Raises:
        OSError: the file can't be read.
        ServingError: it can't be parsed, or a request log leads elsewhere than it may.
    """
    if options.model_config_file:
        found = model_config.read(Path(options.model_config_file))
    else:
        path = model_config.base_path(options.model_base_path).absolute()
        found = [ModelConfig(options.model_name, path)]
    model_config.check_logs(found, _request_log_dir(options))
    return found


def _request_log_dir(options: ServerOptions) -> Path | None:
    directory = options.request_log_dir
    return Path(directory).expanduser().absolute() if directory else None


def _request_log_bounds(options: ServerOptions) -> Bounds:
    for name in ("request_log_file_bytes", "request_log_files"):
        if getattr(options, name) < 1:
            raise invalid(f"--{name} is {getattr(options, name)}; 1 is the least")
    return Bounds(options.request_log_file_bytes, options.request_log_files)


def _token(file: str) -> Token | None:
    return Token.read(Path(file)) if file else None


def _limits(options: ServerOptions) -> Limits:
    return Limits(
        message_bytes=options.max_request_bytes,
        connection_bytes=min(2 * options.max_request_bytes, options.max_bytes_under_way),
        total_bytes=options.max_bytes_under_way,
        connections=descriptors.connections(options.max_connections),
    )


def _loader(options: ServerOptions, batches: batching.Parameters) -> Loader:
    session = options.tensorflow_session_parallelism
    cache = options.compilation_cache_dir
    return Loader(
        EngineOptions(
            engine=options.engine,
            tags=tuple(options.saved_model_tags.split(",")),
            xla_compilation=options.xla_cpu_compilation_enabled,
            compilation_cache=Path(cache).expanduser() if cache else None,
            intra_op_threads=options.tensorflow_intra_op_parallelism or session,
            inter_op_threads=options.tensorflow_inter_op_parallelism or session,
            prefer_tflite=options.prefer_tflite_model,
        ),
        enable_warmup=options.enable_model_warmup,
        warmup_iterations=max(options.num_request_iterations_for_warmup, 1),
        batch_sizes=batches.compiled_sizes if _merges(options) else None,
        is_exact=options.exact,
        preparation_s=options.preparation_seconds,
        check_method_names=options.enable_signature_method_name_check,
    )


def _repository(options: ServerOptions) -> RepositoryOptions:
    return RepositoryOptions(
        retries=Retries(options.max_num_load_retries, options.load_retry_interval_micros / 1e6),
        load_threads=options.num_load_threads or max(os.cpu_count() or 1, 2),
        labels_for_unavailable=options.allow_version_labels_for_unavailable_models,
        tflite=options.prefer_tflite_model,
        request_log_dir=_request_log_dir(options),
        buckets=BucketOptions(
            Path(options.bucket_cache_dir).expanduser(),
            options.bucket_cache_bytes,
            options.bucket_poll_wait_seconds,
        ),
    )


def _grpc(options: ServerOptions, tls: Tls | None) -> GrpcOptions:
    if options.grpc_max_threads < 0:
        raise invalid(f"--grpc_max_threads is {options.grpc_max_threads}; 0 is the least")
    arguments: dict[str, int | str] = {}
    for argument in filter(None, options.grpc_channel_arguments.split(",")):
        key, equals, value = argument.partition("=")
        if not equals:
            raise invalid(f"--grpc_channel_arguments: {argument!r} isn't key=value")
        arguments[key] = int(value) if value.lstrip("-").isdigit() else value
    return GrpcOptions(
        host=options.host,
        port=None if options.port == 0 else max(options.port, 0),
        socket_path=options.grpc_socket_path,
        arguments=arguments,
        tls=tls,
        reuse_port=options.workers > 1 or arguments.get("grpc.so_reuseport") == 1,
        max_threads=options.grpc_max_threads,
    )


def _http(options: ServerOptions, tls: Tls | None) -> HttpOptions | None:
    if options.rest_api_port == 0:
        return None
    if options.rest_api_port == options.port > 0:
        raise invalid("--rest_api_port cannot be same as --port")
    if options.rest_api_ssl and tls is None:
        raise invalid("--rest_api_ssl needs --ssl_config_file")
    return HttpOptions(
        host=options.host,
        port=max(options.rest_api_port, 0),
        tls=tls.context() if tls is not None and options.rest_api_ssl else None,
        reuse_port=options.workers > 1,
    )


def _front(options: ServerOptions) -> FrontOptions:
    file = options.monitoring_config_file
    return FrontOptions(
        cors=options.rest_api_enable_cors_support,
        max_body_bytes=options.max_request_bytes,
        timeout_s=options.rest_api_timeout_in_ms / 1000,
        prometheus_path=monitoring.read_path(Path(file)) if file else "",
    )


def _merges(options: ServerOptions) -> bool:
    return options.enable_batching or options.adaptive_batching


def _batching(options: ServerOptions) -> batching.Parameters:
    found = replace(_parameters(options), waiting_bytes=options.max_bytes_under_way)
    if options.exact:
        if options.engine == "tensorflow":
            raise invalid("--exact needs the xla engine; leave --engine=tensorflow out")
        if not _merges(options):
            raise invalid("--exact chooses batch sizes; leave --adaptive_batching=false out")
        if found.pad_variable_length:
            raise invalid("--exact pads no other dimension; leave pad_variable_length_inputs out")
    return found


def _parameters(options: ServerOptions) -> batching.Parameters:
    file = options.batching_parameters_file
    if not options.enable_batching:
        if file:
            raise invalid("--batching_parameters_file is set without --enable_batching")
        return batching.Parameters()
    return batching.parse(Path(file).read_text()) if file else batching.Parameters()
