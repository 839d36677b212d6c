"""From a model to a published version: what is checked, what is refused, what is left behind."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
needs.package("tensorflow", "exporter")

from artifact import golden, versions
from artifact.manifest import Manifest, damaged_files, digest_files
from artifact.variables import Bundle
from exporter import ExportOptions, Model, TensorSpec
from exporter.__main__ import main
from exporter.errors import CheckFailed
from tests.support.exports import publish

jnp = jax.numpy
MODELS = ("mnist_flax", "mnist_pure_jax")


def linear(function=lambda w, x: x @ w, name="linear"):
    params = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    return Model(name, function, params, TensorSpec(("b", 4)))


@pytest.fixture
def copied(published, tmp_path):
    """A copy of a published version, to be damaged."""
    shutil.copytree(published / "mnist_pure_jax", tmp_path / "mnist_pure_jax")
    return tmp_path / "mnist_pure_jax" / "1"


@pytest.mark.parametrize("name", MODELS)
def test_a_published_version_is_complete(published, name):
    version_dir = published / name / "1"
    manifest = Manifest.read(version_dir)
    assert (manifest.model, manifest.version) == (name, 1)
    assert damaged_files(version_dir, manifest) == []
    assert {p.through for p in manifest.parity} == {"signature", "call", "program"}
    assert {p.inputs for p in manifest.parity} == {"random", "examples", "edges", "extremes"}
    assert {1, 3, 16, 128} <= {parity.batch_size for parity in manifest.parity}
    assert manifest.metrics["test_accuracy"] > 0.5
    case = golden.read(version_dir)["serving_default", "examples"]
    assert len(case.labels) == len(case.outputs["output_0"]) == 256
    right = case.outputs["output_0"].argmax(axis=-1) == case.labels
    assert right.mean() > 0.5


def test_the_python_api_publishes_version_after_version(tmp_path):
    options = ExportOptions("auto", check_batch_sizes=(2,))
    assert publish(linear(), tmp_path, options) == tmp_path / "linear" / "1"
    assert publish(linear(), str(tmp_path), options) == tmp_path / "linear" / "2"
    assert sorted(path.name for path in (tmp_path / "linear").iterdir()) == ["1", "2"]


def differs_under_tracing(w, x):
    return x @ w + (0.0 if not isinstance(x, jax.core.Tracer) else 0.031)


def differs_at_a_batch_size(w, x):
    known = isinstance(x.shape[0], int) and x.shape[0] == 16
    return x @ w + (0.031 if known else 0.0)


@pytest.mark.parametrize(
    ("function", "batch"), [(differs_under_tracing, 1), (differs_at_a_batch_size, 16)]
)
def test_a_wrong_export_is_not_published(function, batch, tmp_path):
    with pytest.raises(CheckFailed) as failed:
        publish(linear(function), tmp_path, ExportOptions(3, serving_batch_size=-1))
    assert str(failed.value).startswith(
        "linear/3: output_0 differs from JAX by 3.1e-02 (rtol 1e-05, atol 1e-05) at batch "
        f"{batch} of random inputs"
    )
    assert str(failed.value).endswith("; nothing was published")
    assert list((tmp_path / "linear").iterdir()) == []


def test_an_unchecked_export_is_published_unchecked(tmp_path):
    options = ExportOptions(check_batch_sizes=(2,), verify=False)
    version_dir = publish(linear(differs_under_tracing), tmp_path, options)
    assert Manifest.read(version_dir).parity == ()


def test_verify_finds_a_published_version_sound(published, capsys):
    assert main(["verify", str(published / "mnist_flax"), "--json", "--seed=5"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert answer["version"] == 1
    manifest = Manifest.read(published / "mnist_flax" / "1")
    cases = golden.read(published / "mnist_flax" / "1").values()
    largest = max(np.abs(array).max() for case in cases for array in case.outputs.values())
    tolerance = manifest.tolerance
    assert 0 < answer["max_abs_err"] < tolerance.atol + tolerance.rtol * largest


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.data-00000-of-00001", versions.GOLDEN]
)
def test_verify_names_a_damaged_file(copied, name, capsys):
    path = copied / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert main(["verify", str(copied)]) == 1
    assert f"mnist_pure_jax/1: {name}: " in capsys.readouterr().err


def test_verify_names_missing_and_added_files(copied, capsys):
    (copied / versions.WARMUP).unlink()
    (copied / "added").touch()
    assert main(["verify", str(copied)]) == 1
    error = capsys.readouterr().err
    assert "added" in error
    assert "tf_serving_warmup_requests" in error


def test_verify_finds_other_parameters_behind_right_digests(copied, capsys):
    manifest = Manifest.read(copied)
    key = next(p.key for p in manifest.parameters if p.path == "dense3/bias")
    path = copied / "variables" / "variables.data-00000-of-00001"
    old = Bundle(copied / versions.VARIABLES).read(key).tobytes()
    new = (np.frombuffer(old, np.float32) + np.arange(10, dtype=np.float32)).tobytes()
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    dataclasses.replace(manifest, digests=digest_files(copied)).write(copied)
    assert main(["verify", str(copied)]) == 1
    assert "mnist_pure_jax/1: output_0 differs from JAX by" in capsys.readouterr().err


def test_nogenerate_model_tests_the_published_version(published, capsys):
    flags = ["--model=mnist_pure_jax", f"--model_path={published}", "--nogenerate_model", "--json"]
    assert main(flags) == 0
    answer = json.loads(capsys.readouterr().out)
    metrics = Manifest.read(published / "mnist_pure_jax" / "1").metrics
    assert answer["test_accuracy"] == metrics["test_accuracy"]
    assert answer["ok"] is True


def test_the_command_exports_untrained_features_and_shows_them(tmp_path, capsys):
    flags = ["--model=mnist_flax", f"--model-path={tmp_path}", "--num_epochs=0"]
    assert main([*flags, "--no-model-classifier-layer", "--with_gradient"]) == 0
    shown = capsys.readouterr().out
    for text in ("serving_default", "[1, 28, 28, 1]", "[1, 256]", "dense1/kernel", "XlaCallModule"):
        assert text in shown
    assert "dense2" not in shown
    assert main([*flags, "--show_images", "--noshow_model"]) == 0
    assert (tmp_path / "mnist_flax" / "images-1.png").read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == ""
    assert main([*flags, "--no-model-classifier-layer"]) == 2
    assert "mnist_flax_features/1 exists" in capsys.readouterr().err


def test_verify_finds_another_graph_behind_right_digests(tmp_path, capsys):
    options = ExportOptions(serving_batch_size=1, check_batch_sizes=(2,), verify=False)
    version_dir = publish(linear(), tmp_path, options)
    other = publish(linear(lambda w, x: x @ w + 0.5, "other"), tmp_path, options)
    shutil.copy(other / versions.SAVED_MODEL, version_dir / versions.SAVED_MODEL)
    manifest = Manifest.read(version_dir)
    dataclasses.replace(manifest, digests=digest_files(version_dir)).write(version_dir)
    assert main(["verify", str(version_dir)]) == 1
    error = capsys.readouterr().err
    assert (
        "linear/1: output_0 differs from JAX by 5.0e-01 (rtol 1e-05, atol 1e-05) at batch 1 "
        in error
    )
    assert "through the SavedModel's signature" in error
