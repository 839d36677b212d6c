"""JAX (func, params) to verified, versioned SavedModels."""
