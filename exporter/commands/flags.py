"""Flags in the spellings that people type: `--flag`, `--noflag`, `--no-flag`, `--flag=false`.

Words may be joined by `_` or `-`, as with absl's flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from artifact.buckets.address import Address, is_address
from artifact.buckets.errors import AddressError

_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")


class FlagParser(argparse.ArgumentParser):
    """An argument parser that also knows the other spellings of its flags."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def add_boolean(self, name: str, *, default: bool, help: str) -> None:
        """Adds `--name` and `--noname`."""
        self.add_argument(
            f"--{name}",
            f"--no{name}",
            dest=name,
            action=_Boolean,
            default=default,
            help=f"{help} (default: %(default)s)",
        )

    def add_version_dir(self, kind: Callable[[str], Any] = Path) -> None:
        """Adds the place of a published version, to be read by `artifact.versions.resolve`."""
        self.add_argument(
            "version_dir",
            type=kind,
            metavar="DIR",
            help="<base>/<model>/<version>, or <base>/<model> for its latest version",
        )

    def add_published_model(self) -> None:
        """Adds the name, place and version of a published model, for `publish.reading.find`."""
        self.add_argument(
            "--model", default="mnist_flax", help="a published model (default: %(default)s)"
        )
        self.add_argument(
            "--model_path",
            type=Path,
            default=Path("models"),
            metavar="DIR",
            help="directory of all published models (default: %(default)s)",
        )
        self.add_argument(
            "--model_version", type=int, metavar="N", help="which (default: the latest)"
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses after turning each flag into the spelling that was declared."""
        if args is not None:
            args = [self._declared(arg) for arg in args]
        return super().parse_known_args(args, namespace)

    def _declared(self, argument: str) -> str:
        if not argument.startswith("--") or argument == "--":
            return argument
        flag, equals, value = argument.partition("=")
        known = self._option_string_actions
        flag = next((spelling for spelling in _spellings(flag) if spelling in known), flag)
        action = known.get(flag)
        if not equals or action is None or action.nargs != 0:
            return flag + equals + value
        positive, negative = action.option_strings[0], action.option_strings[-1]
        if value.lower() not in _TRUE + _FALSE:
            self.error(f"argument {positive}: {value!r} is neither true nor false")
        is_on = (value.lower() in _TRUE) == (flag == positive)
        return positive if is_on else negative


class _Boolean(argparse.Action):
    """On for the first spelling, off for the `no` one."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, option_string == self.option_strings[0])


def directory_or_address(text: str) -> Path | Address:
    """A flag's type: a directory, or an address in a bucket."""
    try:
        return Address.parse(text) if is_address(text) else Path(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def listed(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """Returns a flag type for values separated by commas."""

    def parse(text: str) -> tuple[Any, ...]:
        return tuple(kind(part.strip()) for part in text.split(",") if part.strip())

    parse.__name__ = f"list of {kind.__name__}"
    return parse


def _spellings(flag: str) -> list[str]:
    """The ways in which the same flag may have been declared, the given one first."""
    words = flag[2:]
    snake, kebab = words.replace("-", "_"), words.replace("_", "-")
    spellings = [words, snake, kebab]
    if snake.startswith("no_"):
        spellings += ["no" + snake[3:], "no" + kebab[3:]]
    return [f"--{spelling}" for spelling in spellings]
