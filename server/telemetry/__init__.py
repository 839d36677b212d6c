"""Metrics, request logs, and what a process says of itself."""
