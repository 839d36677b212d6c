"""What a doctor says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at, in a word or two: `files`, `XLA`, `port`.
        ok: Whether it is as it should be.
        text: What was found, and where.
        fix: What to do; empty where nothing is wrong.
    """

    check: str
    ok: bool
    text: str
    fix: str = ""


def fine(check: str, text: str) -> Finding:
    """Returns a finding that nothing is wrong."""
    return Finding(check, True, text)


def wrong(check: str, text: str, fix: str) -> Finding:
    """Returns a finding with its fix."""
    return Finding(check, False, text, fix)
