"""What JAX and TensorFlow don't promise to keep: all imports of their private and unstable parts.

pyproject.toml has the versions that they are tested with, the oldest and the newest of them by
`make test-versions`.
"""
