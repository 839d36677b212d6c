"""JAX programs as one XLA operation each, for runtimes that have XLA."""
