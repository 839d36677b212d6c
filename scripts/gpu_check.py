"""Export, verify, report and serve on a GPU, and print what differs from JAX by how much.

python scripts/gpu_check.py [DIRECTORY]

It needs an NVIDIA GPU with its driver, JAX's build for it (`pip install 'jax[cuda12]'`) and
TensorFlow's (`pip install 'tensorflow[and-cuda]'`); without a GPU in JAX it ends with 2. CI has
none, so it is run by hand. Three versions of one model are made: for CUDA, for the CPU and CUDA,
and for the CPU alone, which must run on the CPU although JAX's default is the GPU. There a float32
product has the digits of TF32, hence the tolerance.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

PLATFORMS = (("cuda",), ("cpu", "cuda"), ("cpu",))
TOLERANCE = 5e-3


@dataclass(frozen=True)
class Row:
    """One way to run one version."""

    version: str
    way: str
    where: str
    seconds: float
    max_abs_err: float

    @property
    def agrees(self) -> bool:
        """Whether its answers are JAX's."""
        return self.max_abs_err <= TOLERANCE


def main() -> int:
    """Returns 0 if all answers agree, 1 if not, 2 without a GPU."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, help="for the models (default: none kept)"
    )
    directory = parser.parse_args().directory
    import jax

    if jax.default_backend() != "gpu":
        print(
            f"JAX {jax.__version__} finds no GPU here, only {jax.default_backend()}; this check "
            "needs an NVIDIA GPU, its driver and pip install 'jax[cuda12]'",
            file=sys.stderr,
        )
        return 2
    print(f"JAX {jax.__version__} on {jax.devices()[0].device_kind}")
    with tempfile.TemporaryDirectory() as temporary:
        rows = []
        for platforms in PLATFORMS:
            for row in check(directory or Path(temporary), platforms):
                rows.append(row)
                verdict = "" if row.agrees else "  DIFFERS"
                print(
                    f"{row.version:<12} {row.way:<36} {row.where:<8} {row.seconds:8.2f} s "
                    f"{row.max_abs_err:.1e}{verdict}",
                    flush=True,
                )
    return 0 if all(row.agrees for row in rows) else 1


def model(params: Any, x: Any) -> Any:
    """A convolution, two products and a softmax."""
    import jax
    from jax import lax

    dimensions = ("NHWC", "HWIO", "NHWC")
    found = lax.conv_general_dilated(
        x, params["kernel"], (1, 1), "SAME", dimension_numbers=dimensions
    )
    hidden = jax.nn.relu(found).reshape(x.shape[0], -1) @ params["dense"]
    return jax.nn.softmax(hidden @ params["out"])


def parameters() -> dict[str, np.ndarray]:
    """Returns its parameters."""
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 3, 1, 8), "dense": (14 * 14 * 8, 64), "out": (64, 10)}
    return {
        name: (rng.normal(size=shape) * 0.05).astype(np.float32) for name, shape in shapes.items()
    }


def check(directory: Path, platforms: tuple[str, ...]) -> Iterator[Row]:
    """Yields the ways to run a version for some platforms."""
    from artifact.manifest import Manifest, Tolerance
    from exporter import ExportOptions, TensorSpec, export
    from exporter.publish.export import no_stage
    from exporter.verify.published import recheck

    label = "+".join(platforms)
    options = ExportOptions(platforms=platforms, tolerance=Tolerance(TOLERANCE, TOLERANCE))
    start = time.monotonic()
    path = export(
        model,
        parameters(),
        TensorSpec(("b", 14, 14, 1)),
        directory / label.replace("+", "_"),
        options,
    )
    seconds = time.monotonic() - start
    parity = Manifest.read(path).parity
    yield Row(label, "export and compare", "tf", seconds, max(p.max_abs_err for p in parity))
    start = time.monotonic()
    again = recheck(path, stage=no_stage)
    seconds = time.monotonic() - start
    yield Row(label, "verify", "tf", seconds, max(p.max_abs_err for p in again.parity))
    yield program_row(label, path, platforms)
    yield from served(label, path)


def program_row(label: str, path: Path, platforms: tuple[str, ...]) -> Row:
    """Runs the version's own program where `device_for` puts it."""
    import jax

    from artifact import golden, program

    device = program.device_for(platforms) or jax.devices()[0]
    wanted = "gpu" if "cuda" in platforms else "cpu"
    if device.platform != wanted:
        raise SystemExit(f"a version for {label} runs on {device.platform}, not on the {wanted}")
    loaded, worst = program.load(path), 0.0
    start = time.monotonic()
    for case in golden.read(path).values():
        for name, answer in loaded.run(case.inputs).items():
            worst = max(worst, float(np.abs(answer - case.outputs[name]).max()))
    return Row(label, "JAX program", device.platform, time.monotonic() - start, worst)


def served(label: str, path: Path) -> Iterator[Row]:
    """Yields the report's runtimes: JAX, TensorFlow, and the embedded server's two engines."""
    from exporter.inspect.report import collect, runtimes
    from tests.support.servers import ServerProcess

    name, base = path.parent.name, path.parent.absolute()
    for engine in ("xla", "tensorflow"):
        flags = [f"--model_name={name}", f"--model_base_path={base}", f"--engine={engine}"]
        flags += ["--xla_cpu_compilation_enabled"]
        log = path.parent / f"server-{engine}.log"
        with ServerProcess(log, *flags, wait_s=600, env={"JAX_PLATFORMS": ""}) as server:
            address = f"localhost:{server.grpc_port}"
            ways = [runtimes.served(path, address, name)]
            if engine == "xla":
                ways = [*runtimes.local(path), *ways]
            start = time.monotonic()
            report = collect(path, ways)
            seconds = time.monotonic() - start
        for runtime in report.runtimes:
            errors = [c.max_abs_err for c in report.cells if c.runtime == runtime]
            known = [error for error in errors if error is not None]
            worst = max(known, default=float("inf"))
            yield Row(label, f"report: {runtime}", engine, seconds, worst)


if __name__ == "__main__":
    sys.exit(main())
