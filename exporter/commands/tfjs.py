"""Write a published model for TensorFlow.js, compared with JAX in Node before it appears.

DIR gets model.json and its weights in shards, whole and checked, or isn't made at all.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.commands.flags import FlagParser, listed

if TYPE_CHECKING:
    from exporter.formats.tfjs import TfjsResult

EXAMPLES = """\
examples:
  python -m exporter --model mnist_flax                              # train and publish it first
  python -m exporter tfjs --model mnist_flax --out web/models/mnist
  python -m exporter tfjs --model mnist_flax --out mnist16 --weights float16
  python -m exporter tfjs --model my_model --out my_model       # published from pkg.module:build
  python -m exporter tfjs --model mnist_flax --out mnist --backends wasm,webgl --noverify_in_node
"""


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    add = parser.add_argument
    parser.add_published_model()
    add("--out", type=Path, required=True, metavar="DIR", help="the directory to make")
    add(
        "--weights",
        default="float32",
        choices=("float32", "float16", "uint8"),
        help="how large weights are stored (default: %(default)s)",
    )
    add(
        "--bound",
        type=float,
        metavar="SHARE",
        help="how far outputs of quantised weights may be from JAX's, of their largest number "
        "(default: 0.01 for float16, 0.1 for uint8)",
    )
    add(
        "--backends",
        type=listed(str),
        default=("cpu", "wasm", "webgl"),
        metavar="cpu,wasm,webgl",
        help="what must be able to run it (default: all three)",
    )
    parser.add_boolean(
        "verify_in_node",
        default=True,
        help="compare TensorFlow.js, installed by npm once, with JAX in Node",
    )
    parser.add_boolean("overwrite", default=False, help="replace DIR if it holds a model")
    parser.add_boolean("json", default=False, help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Writes one model."""
    from dataclasses import asdict

    from exporter.commands.progress import Progress
    from exporter.commands.quiet import import_tensorflow
    from exporter.publish import reading

    version_dir = reading.find(args.model_path, args.model, args.model_version)
    stages = Progress()
    with stages("start TensorFlow"):
        import_tensorflow()
    from exporter.formats import tfjs

    options = tfjs.TfjsOptions(
        weights=args.weights,
        bound=args.bound,
        backends=args.backends,
        verify_in_node=args.verify_in_node,
        overwrite=args.overwrite,
        metadata={"version": int(version_dir.name)},
    )
    tfjs.check_target(args.out, options)
    with stages(f"read {version_dir}"):
        model = reading.read_model(version_dir)
    result = tfjs.export(model, args.out, options, stage=stages)
    stages.note(f"wrote {result.directory}: {result.num_bytes / 1e6:.2f} MB of weights")
    if args.json:
        found = asdict(result) | {"directory": str(result.directory)}
        for difference in found["differences"]:
            # JSON has no infinity: where one number is NaN and the other isn't.
            for key in ("from_graph", "from_jax"):
                difference[key] = difference[key] if math.isfinite(difference[key]) else None
        print(json.dumps(found))
    else:
        _print(result, args.weights, args.backends)
    return 0


def _print(result: TfjsResult, weights: str, backends: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"largest differences, {weights} weights")
    for column in ("runtime", "output", "inputs"):
        table.add_column(column)
    for column in ("batch", "from the graph in TensorFlow", "from JAX"):
        table.add_column(column, justify="right")
    for d in result.differences:
        table.add_row(
            d.runtime,
            d.output,
            d.inputs,
            str(d.batch_size),
            f"{d.from_graph:.1e}",
            f"{d.from_jax:.1e}",
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{result.num_nodes} nodes: {', '.join(result.ops)}")
    unrun = [backend for backend in backends if backend not in result.ran_in_node]
    if unrun:
        console.print(f"not run on {', '.join(unrun)}, where only the kernels were looked up")
