"""The command line: `python -m exporter [command] --flags`; see `exporter.commands`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from exporter.commands import COMMANDS, DEFAULT
from exporter.commands.flags import FlagParser
from exporter.errors import UserError

_INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Returns:
        0 when all went well, 1 when a check failed, 2 for bad input, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    named = bool(arguments) and not arguments[0].startswith("-")
    name = arguments.pop(0) if named else DEFAULT
    if name not in COMMANDS:
        print(f"exporter: no command {name!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return UserError.exit_code
    module = importlib.import_module(f"exporter.commands.{name}")
    parser = FlagParser(
        prog=f"python -m exporter {name}" if named else "python -m exporter",
        description=module.__doc__,
        epilog=_epilog(module, with_commands=not named),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    args = parser.parse_args(arguments)
    try:
        return module.run(args)
    except UserError as error:
        print(f"exporter: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("exporter: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _epilog(module: ModuleType, *, with_commands: bool) -> str:
    """A command's examples, its module's `EXAMPLES`, and the list of commands."""
    parts = [str(module.EXAMPLES).rstrip()] if hasattr(module, "EXAMPLES") else []
    if with_commands:
        lines = [f"  {name:<10} {text}" for name, text in COMMANDS.items()]
        parts.append("\n".join(["commands (python -m exporter COMMAND --help):", *lines]))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
