"""What is sent to a model, and where JAX's answers to it come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from artifact import golden, program, versions
from artifact.manifest import Manifest, ManifestError, Tolerance
from client.results import UNVERSIONED

BUNDLED = Path(__file__).parent / "data" / "mnist_test.npz"
MNIST_CLASSES = 10

# Batch inputs by name, and the samples' indices in it, to outputs by name.
Reference = Callable[[Mapping[str, np.ndarray], np.ndarray], Mapping[str, np.ndarray]]


class SampleError(ValueError):
    """The version that is to be compared isn't there, or has nothing to compare with."""


@dataclass(frozen=True)
class Samples:
    """Inputs for one version of a model.

    Attributes:
        inputs: Arrays by input name, N samples each. The bundled images have no name: `""`.
        labels: int64 [N], the right classes, or None.
        is_classifier: Whether the outputs are scores of the labels' classes.
        reference: JAX's answers, or None where there is nothing to compare with.
        origin: Where the answers come from, in words.
        tolerance: What counts as equal.
        tolerances: What does for outputs of other dtypes, by name.
    """

    inputs: Mapping[str, np.ndarray]
    labels: np.ndarray | None
    is_classifier: bool
    reference: Reference | None
    origin: str
    tolerance: Tolerance = field(default_factory=Tolerance)
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


def bundled() -> Samples:
    """Returns 128 images of MNIST's test set, float32 [128, 28, 28, 1] from 0 to 1."""
    with np.load(BUNDLED) as arrays:
        images = arrays["images"][..., None] / np.float32(255)
        labels = arrays["labels"].astype(np.int64)
    return Samples({"": images}, labels, True, None, "nothing to compare with")


def published(version_dir: Path, signature: str, *, live: bool) -> Samples:
    """Returns the golden examples of a published version.

    Args:
        version_dir: `<model_dir>/<model>/<version>`.
        signature: Name of the signature.
        live: Answers come from JAX, run now, rather than from the golden examples.

    Raises:
        SampleError: the version, its golden examples or its program are missing or damaged.
    """
    try:
        manifest = Manifest.read(version_dir)
        cases = golden.read(version_dir)
    except FileNotFoundError as missing:
        raise SampleError(f"{missing.filename}: not there; is {version_dir} a version?") from None
    except (ManifestError, ValueError, OSError, KeyError) as error:
        raise SampleError(f"{version_dir}: {error}") from None
    case = _largest_case(cases, signature)
    if case is None:
        known = ", ".join(sorted({name for name, _ in cases})) or "none"
        raise SampleError(f"{version_dir}: no golden examples of {signature} (there: {known})")
    return Samples(
        case.inputs,
        case.labels,
        "test_accuracy" in manifest.metrics and case.labels is not None,
        live_reference(version_dir, signature) if live else _recorded(case),
        "JAX, run now" if live else "JAX's golden examples",
        manifest.tolerance,
        manifest.signatures[signature].tolerances,
    )


def find(
    model: str, version: int, signature: str, *, model_dir: Path | None, against: str | None
) -> Samples:
    """Returns a version's own samples, or the bundled images where no models are at hand.

    Args:
        model: Name of the model.
        version: The version that is served, or `UNVERSIONED`.
        signature: Name of the signature.
        model_dir: Directory of the published models, or None.
        against: `"golden"` or `"jax"`: compare or raise; None compares with the golden examples
            where there is a `model_dir`.

    Raises:
        SampleError: a comparison is asked for that can't be made.
    """
    if model_dir is None:
        if against:
            raise SampleError(f"--against {against} needs --model_dir")
        return bundled()
    return published(directory(model_dir, model, version), signature, live=against == "jax")


def directory(model_dir: Path, model: str, version: int) -> Path:
    """Returns where a served version was published.

    Of a server without versions it is the newest one that there is.

    Raises:
        SampleError: there is none.
    """
    if version != UNVERSIONED:
        return model_dir / model / str(version)
    try:
        return versions.latest(model_dir / model)
    except FileNotFoundError as error:
        raise SampleError(str(error)) from None


def _largest_case(
    cases: Mapping[tuple[str, str], golden.GoldenCase], signature: str
) -> golden.GoldenCase | None:
    if (signature, golden.EXAMPLES) in cases:
        return cases[signature, golden.EXAMPLES]
    random_cases = [case for (name, _), case in cases.items() if name == signature]
    return max(random_cases, key=lambda c: len(next(iter(c.inputs.values()))), default=None)


def _recorded(case: golden.GoldenCase) -> Reference:
    return lambda _, indices: {name: array[indices] for name, array in case.outputs.items()}


def live_reference(version_dir: Path, signature: str) -> Reference:
    """Returns the answers of a version's own JAX program, run now.

    Raises:
        SampleError: jax isn't installed, or the version has no program for the signature.
    """
    try:
        loaded = program.load(version_dir, signature)
    except ImportError as error:
        raise SampleError(f"live JAX needs jax ({error}): pip install jax") from None
    except (ValueError, OSError) as error:
        raise SampleError(str(error)) from None
    return lambda inputs, _: loaded.run(inputs)
