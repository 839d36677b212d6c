"""Functions as one XLA operation each, for runtimes that have XLA."""
