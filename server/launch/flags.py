"""The command line: flags of TensorFlow Serving's form to `ServerOptions`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence

from server.launch.options import UNSUPPORTED, ServerOptions

_EXAMPLES = """\
examples:
  python -m server --rest_api_port=8501 --model_name=mnist_flax --model_base_path=models/mnist_flax
  python -m server --rest_api_port=8501 --model_config_file=models.config
  curl -d '{"instances": [1.0, 2.0, 5.0]}' localhost:8501/v1/models/half_plus_two:predict
"""


def parse(arguments: Sequence[str]) -> tuple[ServerOptions, list[str]]:
    """Returns the options and the warnings to give; ends the process for wrong flags."""
    parser = argparse.ArgumentParser(
        "python -m server",
        usage="python -m server --model_base_path=DIR [--flag=value …]",
        description="Serve SavedModels with TensorFlow Serving's REST and gRPC APIs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    official = parser.add_argument_group("flags of TensorFlow Serving")
    own = parser.add_argument_group("flags of this server")
    for option in dataclasses.fields(ServerOptions):
        kind = type(option.default)
        is_flag = kind is bool
        (own if option.metadata["is_own"] else official).add_argument(
            f"--{option.name}",
            *(f"--{alias}" for alias in option.metadata["aliases"]),
            dest=option.name,
            default=option.default,
            type=_boolean if is_flag else float if kind is float else kind,
            nargs="?" if is_flag else None,
            const=True if is_flag else None,
            choices=option.metadata["choices"] or None,
            metavar="BOOL" if is_flag else kind.__name__.upper(),
            help=f"{option.metadata['help']} (default: {_show(option.default)})",
        )
    for name in UNSUPPORTED:
        parser.add_argument(f"--{name}", nargs="?", const="true", help=argparse.SUPPRESS)
    found = vars(parser.parse_args(arguments))
    warnings = [
        f"--{name} has no effect here: {why}"
        for name, why in UNSUPPORTED.items()
        if found.pop(name) is not None
    ]
    options = ServerOptions(**found)
    if not (options.version or options.model_base_path or options.model_config_file):
        parser.error("name a model: --model_base_path=DIR, or --model_config_file=FILE")
    return options, warnings


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
