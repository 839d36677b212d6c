"""Checkpoints of a training run, by orbax: saved whole after each epoch or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from exporter.errors import UserError
from exporter.training.history import Epoch
from exporter.training.step import State


class CheckpointError(UserError):
    """A checkpoint that can't be read, or is of another run; the message names it."""


class Checkpoints:
    """The checkpoints of one run in a directory.

    Args:
        directory: Created where it is missing.
        run: What decides the parameters: model, seed and so on, values that JSON knows. A
            checkpoint is only ever continued by the same run, so that a resumed run ends with the
            same parameters as one that was never stopped.

    Raises:
        CheckpointError: The directory can't be used.
    """

    def __init__(self, directory: Path, run: Mapping[str, str | int | float]) -> None:
        self._directory, self._run = directory.expanduser().resolve(), dict(run)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self._directory,
                item_names=("state", "run"),
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=2, enable_async_checkpointing=False
                ),
            )
        except OSError as error:
            raise CheckpointError(f"{directory}: {error.strerror or error}") from error

    def save(self, state: State, history: Sequence[Epoch]) -> None:
        """Save the state after the last epoch of the history.

        Raises:
            CheckpointError: It can't be written.
        """
        run = {**self._run, "history": [asdict(epoch) for epoch in history]}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state._asdict()), run=ocp.args.JsonSave(run)
        )
        try:
            self._manager.save(len(history), args=items)
        except OSError as error:
            raise CheckpointError(f"{self._directory}: {error.strerror or error}") from error

    def restore(self, like: State) -> tuple[State, list[Epoch]] | None:
        """Load the last checkpoint, or None where there is none.

        Args:
            like: A state of the right structure, shapes and dtypes.

        Raises:
            CheckpointError: It is of another run or can't be read.
        """
        epoch = self._manager.latest_step()
        if epoch is None:
            return None
        place = self._directory / str(epoch)
        try:
            run = self._manager.restore(epoch, args=ocp.args.Composite(run=ocp.args.JsonRestore()))
            saved = dict(run["run"])
            history = [Epoch(**figures) for figures in saved.pop("history")]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unreadable(place, error) from error
        for name, value in self._run.items():
            if saved.get(name) != value:
                raise CheckpointError(
                    f"{place}: a checkpoint of a run with {name} {saved.get(name)}, not {value}; "
                    "train with the same settings or choose another checkpoint directory"
                )
        try:
            shapes = jax.tree.map(ocp.utils.to_shape_dtype_struct, like._asdict())
            restored = self._manager.restore(
                epoch, args=ocp.args.Composite(state=ocp.args.StandardRestore(shapes))
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unreadable(place, error) from error
        return State(**restored["state"]), history

    def close(self) -> None:
        """Let go of the directory."""
        self._manager.close()

    def _unreadable(self, place: Path, error: Exception) -> CheckpointError:
        reason = str(error).partition("\n")[0]
        return CheckpointError(f"{place}: can't be read ({reason}); delete it to go on without it")
