"""Serve with one JAX what another one has exported.

python scripts/crossing.py export DIRECTORY    # with one environment's Python
python scripts/crossing.py serve DIRECTORY     # with another's

`serve` loads all versions below the directory in the embedded server's xla engine, compares its
answers with the golden examples, which are those of the JAX that exported them, and prints the
largest difference. `make test-versions` runs it both ways between the oldest JAX and the newest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

TOLERANCE = 1e-5


def main() -> int:
    """Returns 0 if all answers agree, 1 if not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["export", "serve"])
    parser.add_argument("directory", type=Path)
    args = parser.parse_args()
    if args.what == "serve":
        return serve(args.directory)
    export(args.directory)
    return 0


def models() -> Mapping[str, Callable[[Any, Any], Any]]:
    """Returns functions of weights [4, 3] and x [b, 4], of operations that differ by release."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    def dense(weights: Any, x: Any) -> Any:
        return jax.nn.softmax(jnp.tanh(x @ weights))

    def pictures(weights: Any, x: Any) -> Any:
        dimensions = ("NHWC", "HWIO", "NHWC")
        kernel = weights.reshape(2, 2, 1, 3)
        images = x.reshape(-1, 2, 2, 1)
        found = lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=dimensions
        )
        values, places = lax.top_k(found.reshape(-1, 12), 3)
        return {"values": values, "places": places, "rows": weights[places % 4]}

    def special(weights: Any, x: Any) -> Any:
        return jax.nn.gelu(x, approximate=False), jnp.asinh(x), lax.erfc(x), jnp.sort(x @ weights)

    def loop(weights: Any, x: Any) -> Any:
        def step(carry: Any, row: Any) -> Any:
            return jnp.tanh(carry @ weights @ weights.T + row), carry.sum(-1)

        return lax.scan(step, x, jnp.ones((5, 4)))[0]

    def process(weights: Any, x: Any) -> Any:
        """A Gaussian process: Cholesky factors, triangular solves."""
        points = jnp.concatenate([weights, weights[:, :1]], 1)

        def kernel(a: Any, b: Any) -> Any:
            return jnp.exp(-((a[:, None] - b[None]) ** 2).sum(-1))

        factor = jnp.linalg.cholesky(kernel(points, points) + 0.1 * jnp.eye(4))
        across = kernel(x, points)
        half = jax.scipy.linalg.solve_triangular(factor, across.T, lower=True)
        mean = across @ jax.scipy.linalg.cho_solve((factor, True), weights[:, 0])
        return {"mean": mean, "variance": 1 - (half**2).sum(0)}

    return {f.__name__: f for f in (dense, pictures, special, loop, process)}


def export(directory: Path) -> None:
    """Exports each model for any batch size and for fixed ones."""
    from exporter import ExportOptions, TensorSpec, export

    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    for name, function in models().items():
        for batch_size in (-1, 2):
            options = ExportOptions(
                serving_batch_size=batch_size, check_batch_sizes=(1, 3), verify=False
            )
            suffix = "any" if batch_size == -1 else "fixed"
            target = directory / f"{name}_{suffix}"
            print("exported", export(function, weights, TensorSpec(("b", 4)), target, options))


def serve(directory: Path) -> int:
    """Returns 0 if each answer is within `TOLERANCE`, absolute and relative, of the golden one."""
    import jax

    from artifact import golden, manifest, versions
    from server.engines.engine import EngineOptions
    from server.loading.loader import Loader

    load, worst, failed = Loader(EngineOptions(engine="xla")), 0.0, 0
    models = sorted(path for path in directory.iterdir() if versions.find(path))
    if not models:
        print(f"{directory}: no models in it", file=sys.stderr)
        return 1
    for model in models:
        path = versions.latest(model)
        record = manifest.Manifest.read(path)
        servable = load(model.name, int(path.name), path)
        for (signature, case), example in golden.read(path).items():
            outputs = list(example.outputs)
            found = servable.engine.run(signature, example.inputs, outputs)
            for name, wanted in example.outputs.items():
                error = np.abs(found[name].astype(np.float64) - wanted)
                worst = max(worst, float(error.max()))
                if (
                    found[name].dtype != wanted.dtype
                    or (error > TOLERANCE * (1 + np.abs(wanted.astype(np.float64)))).any()
                ):
                    failed += 1
                    print(f"{model.name} {case}: {name} differs by {error.max():.1e}")
        writer, written = record.versions["jax"], record.signatures["serving_default"].program
        print(f"{model.name}: JAX {writer}, StableHLO {written.files[0].module.stablehlo}")
    print(f"JAX {jax.__version__} serves {len(models)} models, largest difference {worst:.1e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
