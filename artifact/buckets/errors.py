"""What can go wrong with a bucket.

The texts are this project's own: those of stores hold whole answers, in which access keys and
session tokens may stand.
"""

from __future__ import annotations


class BucketError(Exception):
    """A bucket that can't be read or written, or holds something wrong.

    Attributes:
        is_passing: Whether the same may go well later without anybody doing anything.
    """

    def __init__(self, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing


class AddressError(BucketError):
    """Text that is no address."""


class MissingPackage(BucketError):
    """A package of an extra that isn't installed."""


class NotThere(BucketError):
    """An object that isn't there, or not any more."""


class AlreadyThere(BucketError):
    """An object, or a version, that somebody else has written."""


class Damaged(BucketError):
    """Content that isn't what the manifest says."""


class Unsettled(BucketError):
    """A version of which nobody knows whether it was published: the store didn't say."""
