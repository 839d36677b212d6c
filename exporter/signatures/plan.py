"""A declared signature with all that the model itself settles: names, shapes, classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artifact.manifest import Tensor
from exporter.errors import UserError
from exporter.model import Model, TensorSpec
from exporter.model.processed import (
    Classes,
    Feature,
    ImageFile,
    ProcessedSignature,
    Value,
)
from exporter.trace.traced import TracedSignature
from wire.methods import CLASSIFY, PREDICT, REGRESS

# The input of classify and regress signatures.
# Source: tensorflow/cc/saved_model/signature_constants.h
EXAMPLES_INPUT = "inputs"
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class Input:
    """One input of the function in the middle, and what it is made of.

    Attributes:
        target: Its name in the function's signature.
        name: What clients call it.
        shape: Of one sample, without the batch.
        dtype: NumPy's name.
        source: How clients send it.
    """

    target: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    source: ImageFile | Feature


@dataclass(frozen=True)
class Ranking:
    """How scores become classes.

    Attributes:
        output: The output with the scores.
        count: How many classes are given.
        softmax: Whether the scores become probabilities.
        names: The classes', by number.
        asset: File of the names, relative to the version's directory.
    """

    output: str
    count: int
    softmax: bool
    names: tuple[str, ...]
    asset: str


@dataclass(frozen=True)
class ProcessingPlan:
    """A processed signature, ready to be written and checked.

    Attributes:
        method: The signature's method name.
        entry: The signature in the middle.
        inputs: In the order of its function's flat inputs.
        ranking: For `Classes`.
        value: The output that is the value, for `Value`.
        batch_size: What the signature takes; None: any.
        outputs: The outputs, by name.
    """

    method: str
    entry: str
    inputs: tuple[Input, ...]
    ranking: Ranking | None
    value: str | None
    batch_size: int | None
    outputs: Mapping[str, Tensor]

    @property
    def takes_examples(self) -> bool:
        """Whether clients send serialized tf.Examples."""
        return self.method != PREDICT

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What clients send, by name."""
        if self.takes_examples:
            return {EXAMPLES_INPUT: Tensor((self.batch_size,), "string")}
        return {
            entry.name: Tensor((self.batch_size,), "string")
            if isinstance(entry.source, ImageFile)
            else Tensor((self.batch_size, *entry.shape), entry.dtype)
            for entry in self.inputs
        }

    def to_json(self) -> dict[str, Any]:
        """Returns what a manifest keeps of it; `from_json` reads it back."""
        data = asdict(self)
        for entry, kept in zip(self.inputs, data["inputs"], strict=True):
            kept["kind"] = "image" if isinstance(entry.source, ImageFile) else "feature"
        if data["ranking"]:
            del data["ranking"]["names"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], version_dir: Path) -> ProcessingPlan:
        """Reads a plan from a version's manifest, and its vocabulary from the asset."""
        ranking = data["ranking"]
        if ranking:
            text = (version_dir / ranking["asset"]).read_text(encoding="utf-8")
            ranking = Ranking(**ranking, names=tuple(text.splitlines()))
        outputs = {k: Tensor(tuple(v["shape"]), v["dtype"]) for k, v in data["outputs"].items()}
        inputs = tuple(_input_from_json(dict(entry)) for entry in data["inputs"])
        return cls(**{**data, "inputs": inputs, "ranking": ranking, "outputs": outputs})


def plans(model: Model, traced: Mapping[str, TracedSignature]) -> dict[str, ProcessingPlan]:
    """Settles a model's processed signatures.

    Args:
        model: Whose they are.
        traced: Its signatures' programs, by name.

    Raises:
        UserError: a declaration doesn't fit the function in the middle.
    """
    found: dict[str, ProcessingPlan] = {}
    for name, signature in model.processed.items():
        label = f"{model.name}: signature {name}"
        if name in traced:
            raise UserError(f"{label}: there is another one of that name; rename it")
        if signature.entry not in traced:
            raise UserError(
                f"{label}: its entry {signature.entry!r} is none of {', '.join(traced)}"
            )
        found[name] = _plan(label, signature, traced[signature.entry], found)
    return found


def _plan(
    label: str,
    signature: ProcessedSignature,
    traced: TracedSignature,
    others: Mapping[str, ProcessingPlan],
) -> ProcessingPlan:
    specs, batch_symbol = traced.entry.specs, traced.entry.batch_symbol
    unknown = signature.inputs.keys() - specs.keys()
    if unknown:
        raise UserError(
            f"{label}: the function has no input {sorted(unknown)[0]!r}, it has {', '.join(specs)}"
        )
    inputs = tuple(
        _input(label, name, spec, signature.inputs.get(name, Feature()), batch_symbol)
        for name, spec in specs.items()
    )
    names = [entry.name for entry in inputs]
    if len(set(names)) < len(names):
        raise UserError(f"{label}: two of its inputs have the same name ({', '.join(names)})")
    kind = {PREDICT: None, CLASSIFY: Classes, REGRESS: Value}.get(signature.method, ...)
    if kind is ...:
        raise UserError(f"{label}: method {signature.method!r} is no method of TensorFlow Serving")
    if isinstance(kind, type) and not isinstance(signature.outputs, kind):
        raise UserError(f"{label}: {signature.method} needs outputs={kind.__name__}(…)")
    ranking, value = None, None
    if isinstance(signature.outputs, Classes):
        ranking = _ranking(label, signature.outputs, traced, others)
    elif isinstance(signature.outputs, Value):
        value = _value(label, signature.outputs, traced)
    size = traced.serving.batch_size
    outputs = _outputs(signature.method, traced, ranking, value)
    return ProcessingPlan(signature.method, signature.entry, inputs, ranking, value, size, outputs)


def _input(
    label: str, name: str, spec: TensorSpec, source: ImageFile | Feature, batch: str | None
) -> Input:
    label = f"{label}: input {name}"
    shape = spec.shape[1:]
    if batch is None or spec.shape[:1] != (batch,) or any(isinstance(n, str) for n in shape):
        raise UserError(
            f"{label} has shape {spec.shape}; processing takes inputs whose leading dimension is "
            "the batch and open, and whose other dimensions are fixed"
        )
    sizes = tuple(int(size) for size in shape)
    if isinstance(source, ImageFile):
        if len(sizes) != 3 or sizes[-1] not in _CHANNELS or not spec.dtype.startswith("float"):
            raise UserError(
                f"{label} is {spec.dtype} {spec.shape}; an image file is decoded to a float of "
                "[batch, height, width, 1 or 3]"
            )
        for numbers in (source.mean, source.std):
            if len(numbers) not in (1, sizes[-1]):
                raise UserError(f"{label}: mean and std have one number, or one a channel")
    elif np.dtype(spec.dtype if spec.dtype != "bfloat16" else "float32").kind == "c":
        raise UserError(f"{label} is {spec.dtype}, which no tf.Example holds; split it into two")
    return Input(name, source.name or name, sizes, spec.dtype, source)


def _ranking(
    label: str, classes: Classes, traced: TracedSignature, others: Mapping[str, ProcessingPlan]
) -> Ranking:
    output, shape = _chosen(label, classes.output, traced)
    if len(shape) != 2 or not isinstance(shape[1], int):
        raise UserError(f"{label}: {output} has shape {shape}; scores are [batch, classes]")
    names = _names(label, classes.vocabulary, shape[1])
    if len(names) != shape[1]:
        raise UserError(
            f"{label}: the vocabulary has {len(names)} names, {output} has {shape[1]} classes"
        )
    count = shape[1] if classes.count is None else classes.count
    if not 1 <= count <= shape[1]:
        raise UserError(f"{label}: count is {count}, there are {shape[1]} classes")
    known = {plan.ranking.asset: plan.ranking.names for plan in others.values() if plan.ranking}
    stem = classes.vocabulary.stem if isinstance(classes.vocabulary, Path) else "classes"
    candidates = (f"assets/{stem}{f'_{i}' if i else ''}.txt" for i in range(len(known) + 1))
    asset = next(path for path in candidates if known.get(path, names) == names)
    return Ranking(output, count, classes.softmax, names, asset)


def _names(label: str, vocabulary: Any, count: int) -> tuple[str, ...]:
    if vocabulary is None:
        return tuple(map(str, range(count)))
    if isinstance(vocabulary, str):
        raise UserError(f"{label}: the vocabulary is a str; give a pathlib.Path or a list of names")
    if isinstance(vocabulary, Path):
        try:
            return tuple(vocabulary.read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{label}: the vocabulary can't be read: {error}") from None
    names = tuple(map(str, vocabulary))
    bad = next((name for name in names if name.splitlines() != [name]), None)
    if bad is not None:
        raise UserError(f"{label}: the class name {bad!r} is no line of a vocabulary file")
    return names


def _value(label: str, value: Value, traced: TracedSignature) -> str:
    output, shape = _chosen(label, value.output, traced)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        raise UserError(f"{label}: {output} has shape {shape}; a value is [batch] or [batch, 1]")
    return output


def _chosen(label: str, name: str | None, traced: TracedSignature) -> tuple[str, tuple[Any, ...]]:
    """The output of that name, or the only one, with its shape."""
    shapes = {key: output.shape for key, output in traced.output_shapes.items()}
    if name is None and len(shapes) > 1:
        raise UserError(f"{label}: say which output it is, of {', '.join(shapes)}")
    name = next(iter(shapes)) if name is None else name
    if name not in shapes:
        raise UserError(f"{label}: the function has no output {name!r}, but {', '.join(shapes)}")
    return name, shapes[name]


def _outputs(
    method: str, traced: TracedSignature, ranking: Ranking | None, value: str | None
) -> dict[str, Tensor]:
    size = traced.serving.batch_size
    if ranking is not None:
        shape: tuple[int | None, ...] = (size, ranking.count)
        found = {"classes": Tensor(shape, "string"), "scores": Tensor(shape, "float32")}
        # Classify results have no place for more.
        return found if method == CLASSIFY else {"class_ids": Tensor(shape, "int64"), **found}
    if value is not None:
        shape = served_shape(traced.output_shapes[value].shape)
        return {"outputs": Tensor(shape, "float32")}
    return {
        name: Tensor(served_shape(output.shape), output.dtype.name)
        for name, output in traced.output_shapes.items()
    }


def served_shape(shape: tuple[Any, ...]) -> tuple[int | None, ...]:
    """Returns a shape as signatures have it: None for each open dimension."""
    return tuple(size if isinstance(size, int) else None for size in shape)


def _input_from_json(data: dict[str, Any]) -> Input:
    source = data.pop("source")
    if data.pop("kind") == "image":
        source |= {"mean": tuple(source["mean"]), "std": tuple(source["std"])}
        return Input(**data | {"shape": tuple(data["shape"]), "source": ImageFile(**source)})
    return Input(**data | {"shape": tuple(data["shape"]), "source": Feature(**source)})
