"""From a model to a version in its place: written, checked, renamed."""
