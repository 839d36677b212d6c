"""Errors that a user can put right."""


class UserError(Exception):
    """Bad input: one line that says what was wrong, where, and what to do.

    The command line prints the line without a traceback and exits with 2.
    """
