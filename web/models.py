"""The page's models: published by the exporter, written for TensorFlow.js, listed for the page.

They are the very versions that a model server serves from the same directory, so that the page can
compare the browser's answers with the server's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artifact import golden, versions
from web.errors import BuildError

EXAMPLES = 20  # shown for each model, two of each class where there are ten


@dataclass(frozen=True)
class PageModel:
    """A model that the page offers.

    Attributes:
        name: Its name in the exporter and in the server.
        title: What one draws for it.
        preparation: How a drawing becomes its input, a key of `web/src/prepare/index.ts`.
        num_epochs: How long it is trained where it isn't published yet; None: as the exporter does.
    """

    name: str
    title: str
    preparation: str
    num_epochs: int | None = None

    def labels(self, num_classes: int) -> tuple[str, ...]:
        """Names of its classes."""
        if self.preparation == "mnist":
            return tuple(str(digit) for digit in range(num_classes))
        from exporter.training.datasets.quickdraw import choose

        return choose(num_classes)


@dataclass(frozen=True)
class ModelOptions:
    """Where models come from and how they are written.

    Attributes:
        model_path: Directory of published models; those that are missing are trained into it.
        weights: How the browser gets their weights: `float32`, `float16` or `uint8`.
        models: Which, the page's first choice first.
        verify_in_node: Whether TensorFlow.js' answers are compared with JAX in Node beforehand.
    """

    model_path: Path = Path("models")
    weights: str = "float16"
    models: Sequence[PageModel] = (
        PageModel("quickdraw", "Drawings", "quickdraw_sample"),
        PageModel("mnist_flax", "Digits", "mnist", num_epochs=6),
    )
    verify_in_node: bool = True


def write(options: ModelOptions, site: Path) -> None:
    """Write `models/<name>/` and `catalogue.json` into a directory.

    Raises:
        BuildError: The exporter failed; it has said why.
    """
    entries = []
    for model in options.models:
        if not versions.find(options.model_path / model.name):
            _exporter(
                *("--model", model.name, "--model_path", str(options.model_path)),
                *("--model_version", "auto", "--serving_batch_size=-1", "--noshow_model"),
                *(() if model.num_epochs is None else ("--num_epochs", str(model.num_epochs))),
            )
        out = site / "models" / model.name
        out.parent.mkdir(parents=True, exist_ok=True)
        _exporter(
            *("tfjs", "--model", model.name, "--model_path", str(options.model_path)),
            *("--out", str(out), "--weights", options.weights, "--backends", "wasm"),
            *(() if options.verify_in_node else ("--noverify_in_node",)),
        )
        entries.append(_entry(model, options.model_path, site))
    (site / "catalogue.json").write_text(json.dumps({"models": entries}))


def _entry(model: PageModel, model_path: Path, site: Path) -> dict[str, object]:
    """What the page must know of a model; writes its examples."""
    published = versions.find(model_path / model.name)
    version_dir = published[max(published)]
    real = [case for (_, name), case in golden.read(version_dir).items() if name == golden.EXAMPLES]
    if not real or real[0].labels is None:
        raise BuildError(f"{version_dir}: holds no examples to show; export the model again")
    (images,), (scores,), labels = real[0].inputs.values(), real[0].outputs.values(), real[0].labels
    chosen = _varied(labels, EXAMPLES)
    path = f"models/{model.name}/examples.bin"
    (site / path).write_bytes(np.rint(images[chosen] * 255).astype(np.uint8).tobytes())
    return {
        "name": model.name,
        "title": model.title,
        "labels": model.labels(scores.shape[-1]),
        "preparation": model.preparation,
        "model": f"models/{model.name}/model.json",
        "examples": path,
        "exampleLabels": labels[chosen].tolist(),
    }


def _varied(labels: np.ndarray, count: int) -> list[int]:
    """Indices of so many examples, by turns of the classes."""
    seen: dict[int, int] = {}
    turns = []
    for index, label in enumerate(labels.tolist()):
        seen[label] = seen.get(label, 0) + 1
        turns.append((seen[label], label, index))
    return [index for _, _, index in sorted(turns)[:count]]


def _exporter(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "exporter", *arguments], check=False)
    if done.returncode:
        shown = " ".join(arguments)
        raise BuildError(f"`python -m exporter {shown}` failed ({done.returncode})")
