"""Errors that a user can put right."""

from __future__ import annotations

from typing import ClassVar


class UserError(Exception):
    """Bad input: one line that says what was wrong, where, and what to do.

    The command line prints the line without a traceback and exits with 2.
    """

    exit_code: ClassVar[int] = 2


class CheckFailed(UserError):
    """A check of a model didn't pass; the command line exits with 1."""

    exit_code = 1
