"""The monitoring configuration: where Prometheus finds the metrics.

Source: tensorflow_serving/config/monitoring_config.proto and util/prometheus_exporter.cc
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from server.errors import invalid
from wire import config_pb2

_DEFAULT_PATH = "/monitoring/prometheus/metrics"


def read_path(path: Path) -> str:
    """Reads a MonitoringConfig in text format and returns the metrics' path; empty: disabled.

    Raises:
        OSError: the file can't be read.
        ServingError: it can't be parsed, or the path isn't one.
    """
    try:
        config = text_format.Parse(path.read_text(), config_pb2.MonitoringConfig())
    except text_format.ParseError as error:
        raise invalid(
            f"Error parsing text-format tensorflow.serving.MonitoringConfig: {error}"
        ) from None
    if not config.prometheus_config.enable:
        return ""
    found = config.prometheus_config.path or _DEFAULT_PATH
    if not found.startswith("/"):
        raise invalid(f"{path}: prometheus_config.path must begin with a slash, not {found!r}")
    return found
