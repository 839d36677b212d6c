"""What ends a build, for people."""


class BuildError(Exception):
    """Something that the build needs is missing or failed; the message says what to do."""
