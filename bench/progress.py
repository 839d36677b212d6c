"""How far a run is: a bar on a terminal, a line for each step elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


class Meter:
    """Counts guessed seconds down, and corrects the guess by what steps have really taken."""

    def __init__(self, guess_s: float) -> None:
        """Takes the guess for the whole."""
        self._guess, self._done, self._real = max(guess_s, 1.0), 0.0, 0.0
        self._console = Console(stderr=True, highlight=False)
        self._is_shown = self._console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description:60.60}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
            disable=not self._is_shown,
        )
        self._task = self._bar.add_task("", total=self._guess, left="")
        self._began = time.monotonic()

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def tell(self, text: str) -> None:
        """Shows what is being done."""
        if self._is_shown:
            self._bar.update(self._task, description=text)
        else:
            share = min(self._done / self._guess, 1.0)
            self._console.print(f"{share:4.0%} {text}{self._left()}", soft_wrap=True)

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        self._console.print(text, soft_wrap=True, markup=False)

    def done(self, guess_s: float, real_s: float | None = None) -> None:
        """Counts a step: its guessed seconds, and the real ones; None: it was skipped."""
        self._done += guess_s
        if real_s is not None:
            self._real += real_s
        self._bar.update(self._task, completed=self._done, left=self._left())

    def _left(self) -> str:
        if self._done <= 0:
            return ""
        ratio = self._real / self._done if self._real else 1.0
        left = max(self._guess - self._done, 0.0) * ratio
        return f", {spoken(left)} left"


def spoken(seconds: float) -> str:
    """Returns a duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
