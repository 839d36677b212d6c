"""Write programs as a JAX of the past did, for tests/unit/test_old_versions.py.

python scripts/old_versions.py tests/data/old_versions

Run it with a Python that has the JAX whose programs are wanted, and NumPy; 0.4.31 is the oldest
that has `jax.export`. Before JAX 0.9 nothing else of this project is imported, so that it runs
there.

Each program is written in both forms: `program.jax_export`, as versions had it at first, and
`program.stablehlo` with `program.json`, the record that the manifest has of it. `golden.npz` has
parameters, inputs and this JAX's answers.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax import lax


def dense(weights, x):
    """Two layers and a softmax."""
    return [jax.nn.softmax(jnp.tanh(x @ weights) @ weights.T)]


def pictures(weights, x):
    """A convolution, the largest values, and the rows that their places name."""
    dimensions = ("NHWC", "HWIO", "NHWC")
    kernel = weights.reshape(2, 2, 1, 3)
    images = x.reshape(x.shape[0], 2, 2, 1)
    found = lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
    values, places = lax.top_k(found.reshape(x.shape[0], 12), 3)
    return [values, places, weights[places % 4]]


def process(weights, x):
    """A Gaussian process: a Cholesky factor and a triangular solve, by LAPACK."""
    points = jnp.concatenate([weights, weights[:, :1]], 1)

    def kernel(a, b):
        return jnp.exp(-((a[:, None] - b[None]) ** 2).sum(-1))

    factor = jnp.linalg.cholesky(kernel(points, points) + 0.1 * jnp.eye(4))
    half = jax.scipy.linalg.solve_triangular(factor, kernel(x, points).T, lower=True)
    return [1 - (half**2).sum(0)]


def main():
    """Writes the programs of this JAX."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory / f"jax-{jax.__version__}"
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 3)).astype(np.float32)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    for function in (dense, pictures, process):
        write(function, weights, x, directory / function.__name__)


def write(function, weights, x, directory):
    """Writes one program, for any batch size, with the answers to x."""

    def flat(params, inputs):
        return function(*params, *inputs)

    (batch,) = jax.export.symbolic_shape("b")
    exported = jax.export.export(jax.jit(flat), platforms=("cpu",))(
        [jax.ShapeDtypeStruct(weights.shape, weights.dtype)],
        [jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)],
    )
    serialized, record = portable(exported)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "program.jax_export").write_bytes(exported.serialize())
    (directory / "program.stablehlo").write_bytes(serialized)
    (directory / "program.json").write_text(json.dumps(record, indent=2) + "\n")
    answers = {f"output_{i}": answer for i, answer in enumerate(jax.jit(flat)([weights], [x]))}
    np.savez(directory / "golden.npz", weights=weights, x=x, **answers)
    print(directory, record["stablehlo"], len(serialized), "bytes")


def portable(exported):
    """Returns a program as a portable artefact, with its record.

    What JAX before 0.9 has in an export is one already, for a StableHLO that 0.9 reads.
    """
    if jax.__version_info__ >= (0, 9, 0):
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from dataclasses import asdict

        from artifact import portable

        serialized, record = portable.write(exported, 1)
        return serialized, asdict(record)
    serialized = exported.mlir_module_serialized
    record = {
        "stablehlo": re.match(rb"ML\xefR.StableHLO_v([0-9.]+)", serialized, re.DOTALL)[1].decode(),
        "platforms": exported.platforms,
        "inputs": [text(aval) for aval in exported.in_avals[1:]],
        "outputs": [text(aval) for aval in exported.out_avals],
        "kept": exported.module_kept_var_idx,
    }
    return serialized, record


def text(aval):
    """Returns an array's dtype and shape, as the manifest has them."""
    return f"{aval.dtype.name}[{','.join(map(str, aval.shape))}]"


if __name__ == "__main__":
    main()
