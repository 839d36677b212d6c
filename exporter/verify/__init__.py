"""Comparing with JAX: inputs, JAX's answers, and a fresh process that knows only the version."""
