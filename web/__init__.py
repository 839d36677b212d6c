"""The drawing page: builds it with its models and serves it."""
