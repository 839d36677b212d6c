"""What a model declares about a signature with processing around its function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wire.methods import PREDICT


@dataclass(frozen=True)
class ImageFile:
    """An input that clients send as the content of a PNG or JPEG file.

    The image is decoded, made gray where the model takes one channel (ITU-R BT.601), resized to
    the model's height and width (bilinear, antialiased) and becomes
    `(pixel * scale - mean) / std`, the pixels being 0 to 255.

    Attributes:
        name: What clients call it; the input's own name where None.
        scale: What pixels are multiplied with.
        mean: One for all channels, or one a channel.
        std: Likewise.
    """

    name: str | None = None
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Feature:
    """An input that clients send as numbers; in a tf.Example, as the feature of that name.

    Attributes:
        name: What clients call it; the input's own name where None.
        default: What each number is in a tf.Example without the feature; None: it must be there.
    """

    name: str | None = None
    default: float | None = None


@dataclass(frozen=True)
class Classes:
    """Turns scores, [B, classes], into the names of the best classes.

    The outputs are `classes` (string) and `scores` (float32), [B, count], best first; for
    `PREDICT` also `class_ids` (int64), whose first column is the argmax.

    Attributes:
        vocabulary: The names by class number, or a text file of them, one a line; their numbers
            where None. The version keeps it as an asset.
        count: How many classes to give; all where None.
        output: The function's output with the scores; None where it has only one.
        softmax: Make probabilities of logits or log-probabilities; False gives scores as they are.
    """

    vocabulary: Sequence[str] | Path | None = None
    count: int | None = None
    output: str | None = None
    softmax: bool = True


@dataclass(frozen=True)
class Value:
    """Gives one of the function's outputs, [B] or [B, 1], as the float32 `outputs` of a regression.

    Attributes:
        output: Which; None where there is only one.
    """

    output: str | None = None


@dataclass(frozen=True)
class ProcessedSignature:
    """A signature that is one of the model's own with processing around it.

    Attributes:
        inputs: How clients send an input, by the function's own name for it; `Feature()` for
            those that aren't here.
        outputs: What becomes of the function's outputs; None: nothing.
        method: `PREDICT`; or `CLASSIFY` or `REGRESS`, which take serialized tf.Examples and want
            `Classes` or a `Value`.
        entry: The signature in the middle.
    """

    inputs: Mapping[str, ImageFile | Feature] = field(default_factory=dict)
    outputs: Classes | Value | None = None
    method: str = PREDICT
    entry: str = "serving_default"
