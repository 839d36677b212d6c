"""The container stack through Docker's SDK."""

from exporter.stack.compose import ComposeFile, read
from exporter.stack.container import ContainerStatus
from exporter.stack.engine import can_run, connect
from exporter.stack.service import Service
from exporter.stack.stack import Stack

__all__ = ["ComposeFile", "ContainerStatus", "Service", "Stack", "can_run", "connect", "read"]
