"""What clients may send to a processed signature: random files and Examples, and real ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from artifact.golden import GoldenCase
from exporter.model.processed import ImageFile
from exporter.signatures.plan import EXAMPLES_INPUT, Input, ProcessingPlan
from exporter.signatures.reference import Arrays, Run, clear_rows, function_inputs, results
from wire import serving_pb2 as pb

# Two scores of a checked request differ by more than this, so that rounding can't swap them.
_MARGIN = 1e-4
_TRIES = 20
_BLOCKS = 8  # random images have up to so many fields a side: contrast, in few bytes
_KINDS = (("PNG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("JPEG", "L"), ("JPEG", "RGB"))


def random_case(
    plan: ProcessingPlan,
    draw: Callable[[int], Arrays],
    run: Run,
    batch_size: int,
    rng: np.random.Generator,
) -> GoldenCase:
    """Returns a random request with the answer that the independent path gives to it.

    Rows whose classes are too close to rank are drawn again, some times.

    Args:
        plan: The signature.
        draw: Random inputs of the function in the middle, other ones for each number it is given.
        run: That function.
        batch_size: Of the request.
        rng: Decides the images.
    """
    rows: list[Arrays] = []
    count = 0
    for attempt in range(_TRIES):
        arrays = draw(attempt)
        sent = _columns(plan, arrays, lambda entry, _: _random_file(entry.shape, rng))
        outputs = run(function_inputs(plan, _request(plan, sent)))
        clear = clear_rows(plan, outputs, _MARGIN)
        if attempt == _TRIES - 1:
            clear[:] = True
        rows.append({name: column[clear] for name, column in sent.items()})
        count += int(clear.sum())
        if count >= batch_size:
            break
    sent = {name: np.concatenate([r[name] for r in rows])[:batch_size] for name in rows[0]}
    return answered(plan, _request(plan, sent), run)


def example_case(plan: ProcessingPlan, real: GoldenCase, run: Run) -> GoldenCase | None:
    """Returns a model's real inputs as clients send them, with the independent path's answers.

    Rows whose classes are too close to rank are left out; None where that leaves none.
    """
    sent = _columns(plan, real.inputs, _as_file)
    outputs = run(function_inputs(plan, _request(plan, sent)))
    clear = clear_rows(plan, outputs, _MARGIN)
    if not clear.any():
        return None
    sent = {name: column[clear] for name, column in sent.items()}
    labels = None if real.labels is None else real.labels[clear]
    return answered(plan, _request(plan, sent), run, labels)


def answered(
    plan: ProcessingPlan, request: Arrays, run: Run, labels: np.ndarray | None = None
) -> GoldenCase:
    """Returns a request with the answer that the independent path gives to it."""
    return GoldenCase(request, results(plan, run(function_inputs(plan, request))), labels)


def _columns(
    plan: ProcessingPlan, arrays: Arrays, file: Callable[[Input, np.ndarray], bytes]
) -> dict[str, np.ndarray]:
    """What clients send for some inputs of the function in the middle, by their names."""
    return {
        entry.name: _strings([file(entry, row) for row in arrays[entry.target]])
        if isinstance(entry.source, ImageFile)
        else arrays[entry.target]
        for entry in plan.inputs
    }


def _request(plan: ProcessingPlan, columns: Arrays) -> Arrays:
    if not plan.takes_examples:
        return columns
    rows = zip(*columns.values(), strict=True)
    names = list(columns)
    return {EXAMPLES_INPUT: _strings([_example(dict(zip(names, r, strict=True))) for r in rows])}


def _example(values: Mapping[str, Any]) -> bytes:
    example = pb.Example()
    for name, value in values.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif value.dtype.kind in "biu":
            feature.int64_list.value.extend(value.astype(np.int64).ravel().tolist())
        else:
            feature.float_list.value.extend(value.astype(np.float32).ravel().tolist())
    return example.SerializeToString(deterministic=True)


def _random_file(shape: Sequence[int], rng: np.random.Generator) -> bytes:
    """An image file of random fields, of about the size that the model takes."""
    height, width = (int(rng.integers(max(size // 2, 1), 2 * size + 2)) for size in shape[:2])
    form, mode = _KINDS[rng.integers(len(_KINDS))]
    fields = rng.integers(0, 256, (*rng.integers(1, _BLOCKS + 1, 2), len(mode)), np.uint8)
    image = Image.fromarray(fields[..., 0] if mode == "L" else fields)
    return _encoded(image.resize((width, height), Image.Resampling.NEAREST), form)


def _as_file(entry: Input, row: np.ndarray) -> bytes:
    """The PNG file that comes closest to an input of the model."""
    assert isinstance(entry.source, ImageFile)
    pixels = (row.astype(np.float64) * entry.source.std + entry.source.mean) / entry.source.scale
    image = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return _encoded(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), "PNG")


def _encoded(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def _strings(values: Sequence[bytes]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array
