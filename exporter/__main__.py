"""The command line: `python -m exporter [command] --flags`; see `exporter.commands`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from exporter.commands import COMMANDS, DEFAULT
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
    parser = argparse.ArgumentParser(
        prog=f"python -m exporter {name}" if named else "python -m exporter",
        description=module.__doc__,
        epilog=None if named else _command_list(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    args = parser.parse_args(arguments)
    try:
        return module.run(args)
    except UserError as error:
        print(f"exporter: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("exporter: interrupted; nothing was published", file=sys.stderr)
        return _INTERRUPTED


def _command_list() -> str:
    lines = [f"  {name:<10} {text}" for name, text in COMMANDS.items()]
    return "\n".join(["commands (python -m exporter COMMAND --help):", *lines])


if __name__ == "__main__":
    sys.exit(main())
