"""Write a model for TensorFlow Lite, float and quantised, compared with JAX in LiteRT.

DIR gets a file a kind: float32 (as exact as the server), float16 and dynamic (weights as float16
or int8), and int8 (weights and activations, as far as there are kernels).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.commands.flags import FlagParser, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.commands.progress import Progress
    from exporter.formats.tflite import TfliteFile
    from exporter.model import Model

EXAMPLES = """\
examples:
  python -m exporter --model mnist_flax                              # train and publish it first
  python -m exporter tflite --model mnist_flax --out mobile
  python -m exporter tflite --model my_model --out mobile      # published from pkg.module:build
  python -m exporter tflite my_package.model:build --out mobile --kinds float32,int8
"""


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    add = parser.add_argument
    add(
        "build",
        nargs="?",
        metavar="pkg.module:build",
        help="function that gives a model of one's own, in place of a published one",
    )
    add("--name", help="what that model is called (default: its module's name)")
    add("--params", type=Path, metavar="PATH", help="its parameters (default: build's)")
    parser.add_published_model()
    add("--out", type=Path, required=True, metavar="DIR", help="where to write the files")
    add(
        "--kinds",
        type=listed(str),
        default=("float32", "float16", "dynamic", "int8"),
        metavar="float32,int8",
        help="which files to write (default: all four kinds)",
    )
    add("--batch_size", type=int, default=1, help="the only one it takes (default: %(default)s)")
    add(
        "--bound",
        type=float,
        metavar="SHARE",
        help="how far outputs of quantised files may be from JAX's, of their largest number "
        "(default: 0.01 for float16, 0.1 for dynamic, 0.2 for int8)",
    )
    parser.add_boolean("overwrite", default=False, help="replace files that exist")
    parser.add_boolean("json", default=False, help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Writes the files of one model."""
    from dataclasses import asdict

    from exporter.commands.progress import Progress
    from exporter.commands.quiet import import_tensorflow, without_native_output
    from exporter.errors import UserError

    if args.batch_size < 1:
        raise UserError(f"--batch_size {args.batch_size}: it must be positive")
    stages = Progress()
    with stages("start TensorFlow"):
        import_tensorflow()
    from exporter.formats import tflite

    model = _model(args, stages)
    with stages("convert and compare with JAX"), without_native_output():
        results = list(
            tflite.write(
                model,
                args.out,
                kinds=args.kinds,
                batch_size=args.batch_size,
                overwrite=args.overwrite,
                bound=args.bound,
            )
        )
    if args.json:
        found = [asdict(result) | {"path": str(result.path)} for result in results]
        print(json.dumps({"model": model.name, "files": found}))
    else:
        _print(model.name, results)
    return 0


def _model(args: argparse.Namespace, stages: Progress) -> Model:
    from exporter.errors import UserError
    from exporter.model import build, checks
    from exporter.publish import reading

    if args.build:
        model = build.load(args.build, args.name, args.params)
        checks.check(model)
        return model
    if args.name or args.params:
        raise UserError("--params and --name are for a model of one's own: pkg.module:build")
    version_dir = reading.find(args.model_path, args.model, args.model_version)
    with stages(f"read {version_dir}"):
        return reading.read_model(version_dir)


def _print(name: str, results: Sequence[TfliteFile]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{name} for TensorFlow Lite, in {results[0].path.parent}", title_justify="left"
    )
    for column in ("kind", "file"):
        table.add_column(column, overflow="fold")
    for column in ("bytes", "max |difference| from JAX", "of the largest"):
        table.add_column(column, justify="right")
    for r in results:
        error, relative = f"{r.max_abs_err:.1e}", f"{r.relative_err:.2%}"
        table.add_row(r.kind, r.path.name, f"{r.num_bytes:,}", error, relative)
    console = Console(highlight=False)
    console.print(table)
    unlike = dict.fromkeys(name for r in results for name in r.unlike_at_extremes)
    if unlike:
        console.print(
            f"not JAX's at the largest floats, infinities or NaN: {', '.join(unlike)} (the "
            "interpreter's own kernels)"
        )
