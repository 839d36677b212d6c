"""Bytes to requests and back; knows nothing of models."""
