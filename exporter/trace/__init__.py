"""A model's functions as JAX programs."""
