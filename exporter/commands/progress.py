"""The stages of a long command, shown one after the other with the time that each took."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console


class Progress:
    """Prints to standard error, so that results on standard output stay clean.

    Attributes:
        seconds: What each stage took, by its text.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, text: str) -> Iterator[None]:
        """Shows that a stage goes on (on a terminal), and a line at its end."""
        start = time.monotonic()
        with self._console.status(text):
            yield
        self.seconds[text] = time.monotonic() - start
        self.note(f"{text}  [dim]{self.seconds[text]:.1f} s[/dim]")

    def note(self, text: str) -> None:
        """Shows a line."""
        self._console.print(f"[green]✓[/green] {text}", soft_wrap=True)
