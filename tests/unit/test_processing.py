"""Declarations of processed signatures that don't fit their model are refused in one line."""

import io
from dataclasses import replace

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
Image = needs.package("PIL.Image", "exporter")

from artifact import golden
from artifact.golden import GoldenCase
from exporter import CLASSIFY, REGRESS, Classes, Feature, ImageFile, ProcessedSignature, Value
from exporter.errors import UserError
from exporter.model import Model, TensorSpec
from exporter.model.entry import entries
from exporter.signatures import reference
from exporter.signatures.plan import Input, ProcessingPlan, plans
from exporter.trace.trace import trace
from tests import models


def settled(model):
    return plans(model, {name: trace(entry) for name, entry in entries(model).items()})


def with_signature(signature, **changes):
    return replace(models.build("image_and_size"), processed={"new": signature}, **changes)


LOGITS = Classes(output="logits")


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (ProcessedSignature({"picture": ImageFile()}), "no input 'picture', it has image, legs, s"),
        (ProcessedSignature({"size": ImageFile()}), "an image file is decoded to a float of"),
        (ProcessedSignature({"image": ImageFile(mean=(0.5, 0.5))}), "one number, or one a channel"),
        (ProcessedSignature({"image": ImageFile("size")}), "two of its inputs have the same name"),
        (ProcessedSignature(entry="other"), "its entry 'other' is none of serving_default"),
        (ProcessedSignature(method="rank"), "no method of TensorFlow Serving"),
        (ProcessedSignature(method=CLASSIFY), "needs outputs=Classes"),
        (ProcessedSignature(method=REGRESS, outputs=LOGITS), "needs outputs=Value"),
        (ProcessedSignature(outputs=Classes()), "say which output it is, of logits, weight"),
        (ProcessedSignature(outputs=Value("height")), "no output 'height', but logits, weight"),
        (ProcessedSignature(outputs=Value("logits")), r"a value is \[batch\] or \[batch, 1\]"),
        (ProcessedSignature(outputs=replace(LOGITS, vocabulary=("a",))), "1 names, logits has 5"),
        (ProcessedSignature(outputs=replace(LOGITS, vocabulary="a.txt")), "give a pathlib.Path"),
        (ProcessedSignature(outputs=replace(LOGITS, vocabulary=["a\nb"] * 5)), "no line of a vo"),
        (ProcessedSignature(outputs=replace(LOGITS, count=6)), "count is 6, there are 5 classes"),
    ],
)
def test_declarations_that_do_not_fit(signature, message):
    with pytest.raises(UserError, match=message):
        settled(with_signature(signature))


def test_a_missing_vocabulary_file(tmp_path):
    outputs = replace(LOGITS, vocabulary=tmp_path / "names.txt")
    with pytest.raises(UserError, match=r"names\.txt"):
        settled(with_signature(ProcessedSignature(outputs=outputs)))


def test_inputs_that_no_request_can_be_made_of():
    def func(params, x):
        return x

    for spec, message in (
        (TensorSpec(("b", "s")), "whose leading dimension is the batch"),
        (TensorSpec((3, 2)), "whose leading dimension is the batch"),
        (TensorSpec(("b", 2), "complex64"), "which no tf.Example holds"),
    ):
        model = Model("m", func, {}, spec, processed={"new": ProcessedSignature()})
        with pytest.raises(UserError, match=message):
            settled(model)


def test_a_name_that_is_taken():
    with pytest.raises(UserError, match="another one of that name"):
        settled(replace(with_signature(None), processed={"serving_default": ProcessedSignature()}))


def test_plans_come_back_from_json(tmp_path):
    (tmp_path / "assets").mkdir()
    for plan in settled(models.build("image_and_size")).values():
        if plan.ranking:
            names = "".join(f"{name}\n" for name in plan.ranking.names)
            (tmp_path / plan.ranking.asset).write_text(names, encoding="utf-8")
        assert ProcessingPlan.from_json(plan.to_json(), tmp_path) == plan


def test_two_vocabularies_are_two_assets():
    first, second = tuple("abcde"), tuple("fghij")
    found = settled(
        replace(
            with_signature(None),
            processed={
                name: ProcessedSignature(outputs=replace(LOGITS, vocabulary=names))
                for name, names in (("one", first), ("two", second), ("three", first))
            },
        )
    )
    assets = [plan.ranking.asset for plan in found.values()]
    assert assets == ["assets/classes.txt", "assets/classes_1.txt", "assets/classes.txt"]


def test_an_image_of_the_right_size_is_only_normalised():
    pixels = np.random.default_rng().integers(0, 256, (6, 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    source = ImageFile(scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    plan = ProcessingPlan(
        "", "", (Input("x", "x", (6, 5, 3), "float32", source),), None, None, None, {}
    )
    image = reference.function_inputs(
        replace(plan, method="tensorflow/serving/predict"),
        {"x": np.array([file.getvalue()], object)},
    )
    expected = (pixels / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(image["x"][0], expected, rtol=1e-6, atol=1e-6)


def test_golden_examples_keep_strings_of_any_bytes(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    strings = np.array([[b"", b"\0\xff\0"], [b"a\0", "ä".encode()]], object)
    number = np.arange(2.0)
    golden.write(tmp_path, {("s", "c"): GoldenCase({"x": strings, "y": number}, {"z": strings})})
    case = golden.read(tmp_path)["s", "c"]
    assert case.inputs["x"].tolist() == case.outputs["z"].tolist() == strings.tolist()
    assert case.inputs["y"].tolist() == [0, 1]


def test_features_keep_their_default():
    plan = settled(models.build("image_and_size"))["classify"]
    assert {entry.name: entry.source for entry in plan.inputs}["legs"] == Feature("legs", default=6)
