"""Which models are served, from where, and which of their versions."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format

from artifact.buckets.address import Address, is_address
from artifact.buckets.errors import BucketError
from artifact.buckets.store import check_installed
from server.errors import Code, ServingError, invalid
from wire import serving_pb2 as pb


@dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions on disk are wanted: the latest few, given ones, or all.

    Attributes:
        latest: How many of the highest; 0: all.
        specific: These alone, where any are given.
    """

    latest: int = 1
    specific: tuple[int, ...] = ()

    def aspired(self, found: Collection[int]) -> set[int]:
        """Returns the wanted ones of the versions found."""
        if self.specific:
            return set(self.specific) & set(found)
        return set(sorted(found)[-self.latest :]) if self.latest else set(found)


@dataclass(frozen=True)
class RequestLogging:
    """Which share of a model's requests is logged, and how the files' names begin."""

    sampling_rate: float
    filename_prefix: str


@dataclass(frozen=True, order=True)
class Switch:
    """Whether a model is served, as far as clients have turned it on or off (`switches`).

    Attributes:
        number: How often it was turned; a higher one is a later switch.
    """

    number: int = 0
    is_on: bool = True


@dataclass(frozen=True)
class ModelConfig:
    """One model: its name in requests, where it is, its versions and their labels.

    Attributes:
        logging: None where requests aren't logged.
    """

    name: str
    base_path: Path | Address
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)
    logging: RequestLogging | None = None
    switch: Switch = Switch()


# Takes a configuration and waits until its new models are there.
Configure = Callable[[Sequence[ModelConfig]], Awaitable[None]]


def read(file: Path) -> list[ModelConfig]:
    """Reads a file with a ModelServerConfig in protobuf's text format.

    Raises:
        OSError: the file can't be read.
        ServingError: it isn't UTF-8, it can't be parsed, or what it says can't be served.
    """
    try:
        return parse(file.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise invalid(f"{file}: not UTF-8: {error}") from None


def parse(text: str) -> list[ModelConfig]:
    """Reads a ModelServerConfig in protobuf's text format.

    Raises:
        ServingError: the text can't be parsed, or what it says can't be served.
    """
    config = pb.ModelServerConfig()
    try:
        # In the text, model_type is an enum's name; here it is a number, and of no use.
        text_format.Parse(text.replace("model_type: TENSORFLOW", "model_type: 1"), config)
    except text_format.ParseError as error:
        raise invalid(
            f"Error parsing text-format tensorflow.serving.ModelServerConfig: {error}"
        ) from None
    return from_message(config)


def from_message(config: pb.ModelServerConfig) -> list[ModelConfig]:
    """Reads a ModelServerConfig; source of the rules: model_servers/server_core.cc.

    Raises:
        ServingError: a name is missing or double, a path isn't absolute, or another platform is
            asked for.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise ServingError(Code.UNIMPLEMENTED, "custom_model_config is not supported")
    models: dict[str, ModelConfig] = {}
    for entry in config.model_config_list.config:
        if not entry.name:
            raise invalid("ModelConfig has no name")
        if entry.name in models:
            raise invalid(f"Illegal to list model {entry.name} multiple times in config list")
        if entry.model_platform not in ("", "tensorflow"):
            raise invalid(
                f"Model {entry.name} requests unsupported platform {entry.model_platform}"
            )
        path = base_path(entry.base_path)
        if not path.is_absolute():
            raise invalid(
                f"Expected model {entry.name} to have an absolute path or URI; "
                f"got base_path()={entry.base_path}"
            )
        models[entry.name] = ModelConfig(
            entry.name,
            path,
            _policy(entry.model_version_policy),
            dict(entry.version_labels),
            _logging(entry),
        )
    return list(models.values())


def base_path(text: str) -> Path | Address:
    """Returns the directory, or the folder in a bucket, that a base path names.

    Raises:
        ServingError: INVALID_ARGUMENT, it is none; FAILED_PRECONDITION, what reads it is missing.
    """
    if not is_address(text):
        return local_path(text)
    try:
        address = Address.parse(text)
    except BucketError as error:
        raise invalid(f"base path: {error}") from None
    try:
        check_installed(address)
    except BucketError as error:
        raise ServingError(Code.FAILED_PRECONDITION, f"base path {error}") from None
    return address


def local_path(text: str) -> Path:
    """Returns the directory or file that a path names.

    Raises:
        ServingError: it is on another machine.
    """
    local = text.removeprefix("file://")
    if scheme := re.match(r"[a-z][a-z0-9+.-]*://", local):
        raise invalid(
            f"{scheme[0]} isn't read or written by this server; of models, gs://, s3:// and hf:// "
            "are. Mount what it names, or copy it, and name that directory"
        )
    return Path(local)


def check_logs(configs: Iterable[ModelConfig], directory: Path | None) -> None:
    """Refuses request logs that lead elsewhere than below the directory; None: all.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    for config in configs:
        if config.logging is None:
            continue
        if directory is None:
            raise invalid(
                f"Model {config.name} has a logging_config, and this server writes no request "
                "logs: name the directory that they may be written to with --request_log_dir=DIR"
            )
        try:
            log_prefix(directory, config.logging.filename_prefix)
        except ServingError as error:
            raise invalid(f"Model {config.name}: {error.message}") from None


def log_prefix(directory: Path, prefix: str) -> Path:
    """Returns where the files with a prefix go; a relative one is below the directory.

    Links are followed, so that none leads out.

    Raises:
        ServingError: INVALID_ARGUMENT, elsewhere than below the directory.
    """
    path = directory / prefix
    if "\0" in prefix:
        raise invalid(f"filename_prefix {prefix!r} is no path")
    try:
        real = Path(os.path.realpath(path.parent))
    except (OSError, ValueError) as error:
        raise invalid(f"filename_prefix {prefix!r}: {error}") from None
    if not real.is_relative_to(os.path.realpath(directory)):
        raise invalid(f"filename_prefix {prefix!r} leads out of {directory}, the --request_log_dir")
    return real / path.name


def _logging(entry: pb.ModelConfig) -> RequestLogging | None:
    if not entry.HasField("logging_config"):
        return None
    collector = entry.logging_config.log_collector_config
    if collector.type not in ("", "file"):
        # Source: tensorflow_serving/core/log_collector.cc
        raise ServingError(
            Code.NOT_FOUND, f"Cannot find LogCollector::Factory for type: {collector.type}"
        )
    if not collector.filename_prefix:
        raise invalid(f"Model {entry.name}: log_collector_config has no filename_prefix")
    rate = entry.logging_config.sampling_config.sampling_rate
    if not 0 <= rate <= 1:
        raise invalid(f"Model {entry.name}: sampling_rate {rate:g} isn't within 0 and 1")
    return RequestLogging(rate, str(local_path(collector.filename_prefix)))


def _policy(message: pb.ServableVersionPolicy) -> VersionPolicy:
    choice = message.WhichOneof("policy_choice")
    if choice == "specific":
        if not message.specific.versions:
            raise invalid("specific version policy names no versions")
        return VersionPolicy(specific=tuple(message.specific.versions))
    if choice == "all":
        return VersionPolicy(latest=0)
    return VersionPolicy(latest=max(message.latest.num_versions, 1))
