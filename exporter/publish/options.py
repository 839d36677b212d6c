"""What an export can be told."""

from __future__ import annotations

from dataclasses import dataclass

from artifact.manifest import Tolerance
from exporter.errors import UserError

# The batch size that stands for any, and the version that stands for the next.
POLYMORPHIC = -1
AUTO = "auto"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


@dataclass(frozen=True)
class ExportOptions:
    """How to export, verify and publish.

    Attributes:
        version: A number, or `"auto"` for the one after the highest.
        serving_batch_size: N gives graphs for batches of N (the signature), 16 and 128; -1 one
            for any batch size.
        compile_model: Mark the functions for XLA as a whole (`jit_compile`).
        with_gradient: Keep JAX's first-order gradients, for training in TensorFlow.
        xla: Write the model as an XLA module; else as plain TensorFlow operations, for runtimes
            without XLA. What `compile_model` and `target` say doesn't matter then.
        platforms: What the model runs on: `"cpu"`, `"cuda"`, `"tpu"`, `"rocm"`.
        target: The oldest runtime that must be able to load it; a name in `convert.xla.target`.
        overwrite: Replace the version if it exists.
        verify: Compare with JAX in a fresh process before publishing.
        tolerance: How far an output may be from JAX's; as the model's dtypes allow where None.
        check_batch_sizes: Batch sizes of the random inputs, kept as golden examples; a fixed
            export is checked at its own.
        warmup_batch_sizes: Batch sizes of the warm-up records; a fixed export's is its own.
        allow_non_finite: Publish a model although an output is NaN or infinite at all inputs
            that were tried, so that nothing was compared there but that it is.
        seed: Decides the random inputs.
    """

    version: int | str = AUTO
    serving_batch_size: int = POLYMORPHIC
    compile_model: bool = True
    with_gradient: bool = False
    xla: bool = True
    platforms: tuple[str, ...] = ("cpu",)
    target: str = "serving-2.19"
    overwrite: bool = False
    verify: bool = True
    tolerance: Tolerance | None = None
    check_batch_sizes: tuple[int, ...] = (1, 3, 16, 128)
    warmup_batch_sizes: tuple[int, ...] = (1, 16, 128)
    allow_non_finite: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.serving_batch_size < 1 and self.serving_batch_size != POLYMORPHIC:
            size = self.serving_batch_size
            raise UserError(f"serving_batch_size is {size}; it must be positive, or -1 for any")
        unknown = [name for name in self.platforms if name not in PLATFORMS]
        if unknown or not self.platforms:
            raise UserError(f"platforms {unknown or 'missing'}: choose of {', '.join(PLATFORMS)}")
