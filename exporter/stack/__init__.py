"""The container stack through Docker's SDK."""

from exporter.stack.container import ContainerStatus
from exporter.stack.engine import connect
from exporter.stack.stack import Stack, StackOptions

__all__ = ["ContainerStatus", "Stack", "StackOptions", "connect"]
