"""The server's options: TensorFlow Serving's flags with their defaults, and ours.

Source: tensorflow_serving/model_servers/main.cc and server.h.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _flag(
    default: Any, text: str, *, choices: tuple[str, ...] = (), aliases: tuple[str, ...] = ()
) -> Any:
    metadata = {"help": text, "choices": choices, "aliases": aliases, "is_own": False}
    return field(default=default, metadata=metadata)


def _own_flag(default: Any, text: str, *, choices: tuple[str, ...] = ()) -> Any:
    metadata = {"help": text, "choices": choices, "aliases": (), "is_own": True}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ServerOptions:
    """One field a flag; the flag's help is the field's documentation."""

    # TensorFlow Serving's.
    port: int = _flag(8500, "port of the gRPC API; 0: none, -1: any free one")
    rest_api_port: int = _flag(0, "port of the REST API; 0: none, -1: any free one")
    rest_api_timeout_in_ms: int = _flag(30000, "longest time for an answer by REST")
    grpc_socket_path: str = _flag("", "unix socket of the gRPC API")
    model_name: str = _flag("default", "name of the model, without --model_config_file")
    model_base_path: str = _flag("", "directory of the model's versions, or gs://, s3://, hf://")
    model_config_file: str = _flag("", "text-format ModelServerConfig naming several models")
    model_config_file_poll_wait_seconds: int = _flag(
        0, "interval between looks at the config file; 0: only at start"
    )
    file_system_poll_wait_seconds: float = _flag(
        1.0, "interval between looks for new versions; 0: only at start"
    )
    max_num_load_retries: int = _flag(5, "how often a failed load is tried again")
    load_retry_interval_micros: int = _flag(60_000_000, "time between such tries")
    num_load_threads: int = _flag(0, "loads at a time; 0: as many as there are cores")
    saved_model_tags: str = _flag("serve", "comma-separated tags of the meta graph to load")
    enable_model_warmup: bool = _flag(True, "run a version's warm-up requests at load")
    num_request_iterations_for_warmup: int = _flag(0, "times that each of them is run, if > 0")
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "let labels point at versions that aren't there"
    )
    grpc_max_threads: int = _flag(
        0,
        "one more than calls run by gRPC at a time, others get RESOURCE_EXHAUSTED; 0: no limit "
        "(TensorFlow Serving: 4 x cores)",
    )
    grpc_channel_arguments: str = _flag("", "comma-separated key=value for the gRPC server")
    enable_serialization_as_tensor_content: bool = _flag(
        False, "answer Predict in tensor_content rather than in typed fields"
    )
    xla_cpu_compilation_enabled: bool = _flag(
        False, "let the tensorflow engine compile with XLA, which models of jax2tf need there"
    )
    tensorflow_session_parallelism: int = _flag(0, "threads of a TensorFlow session; 0: auto")
    tensorflow_intra_op_parallelism: int = _flag(0, "threads inside an op; 0: auto")
    tensorflow_inter_op_parallelism: int = _flag(0, "ops at a time; 0: auto")
    enable_signature_method_name_check: bool = _flag(
        False, "insist on a signature's method name in Predict, Classify and Regress"
    )
    prefer_tflite_model: bool = _flag(False, "serve model.tflite where a version has one")
    enable_batching: bool = _flag(False, "run requests that come together as one batch")
    batching_parameters_file: str = _flag("", "text-format BatchingParameters")
    monitoring_config_file: str = _flag("", "text-format MonitoringConfig")
    ssl_config_file: str = _flag("", "text-format SSLConfig for TLS on the gRPC port")
    rest_api_enable_cors_support: bool = _flag(
        False, "send CORS headers", aliases=("enable_cors_support",)
    )
    enable_grpc_healthcheck_service: bool = _flag(False, "offer grpc.health.v1 on the gRPC port")
    version: bool = _flag(False, "show the version and exit")

    # Ours.
    host: str = _own_flag("127.0.0.1", "address to listen on; 0.0.0.0 for all interfaces")
    engine: str = _own_flag("auto", "runtime of the models", choices=("auto", "xla", "tensorflow"))
    workers: int = _own_flag(1, "processes that share the ports; each loads all models")
    worker_timeout_seconds: float = _own_flag(
        60.0, "a worker process that hasn't answered for so long is replaced; 0: never"
    )
    adaptive_batching: bool = _own_flag(
        True,
        "without --enable_batching, merge requests that wait for the xla engine anyway, where "
        "that changes no answer",
    )
    exact: bool = _own_flag(
        False,
        "give a row the same bits whatever it is merged with, in whichever worker, and however "
        "many rows a request has; where its rows are proven to be independent",
    )
    preparation_seconds: float = _own_flag(
        10.0,
        "longest time to compile and time batch sizes, after the first, before a version is "
        "available; the others follow in the background",
    )
    compilation_cache_dir: str = _own_flag(
        "~/.cache/jax-serving-stack/xla",
        "directory that keeps compiled programs for a restart; empty: none",
    )
    bucket_cache_dir: str = _own_flag(
        "~/.cache/jax-serving-stack/versions",
        "directory that keeps versions of buckets for a restart; nobody else may write there",
    )
    bucket_cache_bytes: int = _own_flag(
        20 * 2**30, "bytes of versions that it keeps; what was longest unused goes first"
    )
    bucket_poll_wait_seconds: float = _own_flag(
        15.0, "least time between two looks at a model's folder in a bucket"
    )
    drain_seconds: float = _own_flag(30.0, "longest time to answer what is under way on SIGTERM")
    transport: str = _own_flag(
        "own",
        "what speaks HTTP and gRPC; library: uvicorn and grpc.aio, slower and widely used",
        choices=("own", "library"),
    )
    max_request_bytes: int = _own_flag(
        128 * 2**20, "longest request, by REST and gRPC, compressed and inflated"
    )
    max_bytes_under_way: int = _own_flag(
        512 * 2**20, "bytes of all requests that aren't parsed yet; more get RESOURCE_EXHAUSTED"
    )
    max_connections: int = _own_flag(
        10_000,
        "open connections, of both ports; one more takes the place of one that waits longest",
    )
    max_concurrent_requests: int = _own_flag(
        0, "inference requests at a time, more get RESOURCE_EXHAUSTED; 0: no limit"
    )
    max_requests_per_second: float = _own_flag(0.0, "inference requests a second; 0: no limit")
    auth_token_file: str = _own_flag("", "file with a token that requests must bear")
    admin_token_file: str = _own_flag(
        "",
        "file with a token for what changes the server (reloads); without one, only clients on "
        "this machine may",
    )
    request_log_dir: str = _own_flag(
        "", "directory below which request logs may be written; empty: none are"
    )
    request_log_file_bytes: int = _own_flag(
        256 * 2**20, "longest file of a request log; the next one is begun before it gets longer"
    )
    request_log_files: int = _own_flag(
        16, "files of a request log, by their prefix; one more takes the place of the oldest"
    )
    rest_api_ssl: bool = _own_flag(False, "TLS of --ssl_config_file on the REST port as well")
    tracing: bool = _own_flag(
        False, "send OpenTelemetry's spans by OTLP, as OTEL_… variables of the environment say"
    )
    access_log: str = _own_flag("", "file for a line of JSON a request; -: standard output")


# Flags that start without effect here, and why.
UNSUPPORTED = {
    "rest_api_num_threads": "one event loop serves all connections",
    "num_unload_threads": "unloading needs no threads",
    "flush_filesystem_caches": "caches are left to the system",
    "enable_per_model_batching_parameters": "use --batching_parameters_file",
    "platform_config_file": "use --engine",
    "tensorflow_session_config_file": "use the parallelism flags",
    "per_process_gpu_memory_fraction": "GPU memory is the runtime's matter",
    "use_alts_credentials": "use --ssl_config_file",
    "remove_unused_fields_from_bundle_metagraph": "they are never kept",
    "num_tflite_pools": "an interpreter per thread",
    "num_tflite_interpreters_per_pool": "an interpreter per thread",
    "xla_gpu_compilation_enabled": "use --engine=xla",
    "enable_profiler": "the profiler service is always there, for those who may reload",
    "thread_pool_factory_config_file": "threads are the runtime's matter",
    "mixed_precision": "models run as they were exported",
    "skip_initialize_tpu": "TPUs aren't used",
    "enforce_session_run_timeout": "deadlines always hold",
}
