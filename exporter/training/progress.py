"""How far the training is, for a person at a terminal or a log."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from exporter.training.history import Epoch
from exporter.training.step import Figures


class TrainingProgress:
    """A bar on a terminal and a line an epoch anywhere, on standard error."""

    def __init__(self, name: str, *, epochs: int, steps: int, enabled: bool = True) -> None:
        self._name, self._epochs, self._steps = name, epochs, steps
        self._console = Console(stderr=True, quiet=not enabled, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            disable=not (enabled and self._console.is_terminal),
            transient=True,
        )
        self._task = self._bar.add_task(name, total=epochs * steps, figures="compiling")

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def resumed(self, epochs: int) -> None:
        """Say that the first epochs come from a checkpoint."""
        self._console.print(f"{self._name}  resumed after epoch {epochs}/{self._epochs}")
        self._bar.update(self._task, completed=epochs * self._steps)

    def step(self, epoch: int, step: int, figures: Figures) -> None:
        """Show the epoch's figures after so many of its steps."""
        self._bar.update(
            self._task,
            completed=(epoch - 1) * self._steps + step,
            description=f"{self._name}  epoch {epoch}/{self._epochs}",
            figures=f"loss {figures.loss:.4f}  accuracy {figures.accuracy:.2%}  "
            f"{figures.examples_per_second:,.0f} examples/s",
        )

    def epoch(self, epoch: Epoch) -> None:
        """Leave a line for a finished epoch."""
        self._console.print(
            f"{self._name}  epoch {epoch.epoch}/{self._epochs}  loss {epoch.loss:.4f}  "
            f"accuracy: train {epoch.train_accuracy:.2%}, test {epoch.test_accuracy:.2%}  "
            f"{epoch.seconds:.1f} s  {epoch.examples_per_second:,.0f} examples/s",
            soft_wrap=True,
        )
