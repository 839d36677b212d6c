"""What a run has measured so far, on the disk, so that a run that was broken off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Journal:
    """One line of JSON a measurement, written as soon as it is made.

    Attributes:
        kept: How many an earlier run has left.
        was_other: Whether an earlier run of something else was there, which is given up.
    """

    def __init__(self, path: Path, run: dict[str, Any]) -> None:
        """Opens or makes the file.

        Args:
            path: Its name.
            run: What is measured, where and how: what an earlier run has measured counts only if
                this was the same.
        """
        self._path = path
        self._found: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
        header = json.dumps({"run": run}, sort_keys=True) + "\n"
        self.was_other = bool(lines) and lines[0] != header
        if not lines or self.was_other:
            path.write_text(header)
            lines = []
        whole = [line for line in lines[1:] if line.endswith("\n")]
        for line in whole:
            one = json.loads(line)
            self._found[one["key"]] = one["value"]
        if len(whole) != len(lines[1:]):  # the last line was cut off
            path.write_text(header + "".join(whole))
        self.kept = len(self._found)

    def once(self, key: str, measure: Callable[[], Any]) -> Any:
        """Returns what was measured by that name, or measures and keeps it."""
        if key not in self._found:
            self.keep(key, measure())
        return self._found[key]

    def keep(self, key: str, value: Any) -> None:
        """Writes a measurement."""
        value = json.loads(json.dumps(value))  # the same, measured now or read
        with self._path.open("a") as file:
            file.write(json.dumps({"key": key, "value": value}) + "\n")
        self._found[key] = value

    def has(self, key: str) -> bool:
        """Tells whether something was measured by that name."""
        return key in self._found

    def end(self) -> None:
        """Removes the file: its contents are in the results."""
        self._path.unlink(missing_ok=True)
