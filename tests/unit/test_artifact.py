"""A version's parts are read back as they were written."""

import contextlib
import dataclasses
import json

import ml_dtypes
import numpy as np
import pytest

from artifact import golden, manifest, program, variables, versions
from tests.support import needs


@pytest.fixture
def version_dir(tmp_path):
    (tmp_path / "1" / versions.EXTRA).mkdir(parents=True)
    return tmp_path / "1"


@pytest.fixture
def written(version_dir):
    found = manifest.Manifest(
        model="m",
        version=1,
        created="2026-01-01T00:00:00Z",
        signatures={
            "serving_default": manifest.SignatureRecord(
                inputs={"x": manifest.Tensor((None, 3), "float32")},
                outputs={"y": manifest.Tensor((None,), "float32")},
                program=manifest.ProgramRecord(("x",), ("y",), (manifest.ProgramFile("p", None),)),
            ),
            "plain": manifest.SignatureRecord(inputs={}, outputs={}),
        },
        parameters=(manifest.Parameter("dense/kernel", "k", (3, 2), "float32"),),
        parity=(manifest.Parity("serving_default", "y", 16, "call", 1e-7),),
        metrics={"test_accuracy": 0.5},
    )
    found.write(version_dir)
    return found


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint that TensorFlow wrote, and what it holds."""
    tf = needs.package("tensorflow", "exporter")
    rng = np.random.default_rng(0)
    arrays = {
        f"v{i}": rng.normal(size=shape).astype(dtype)
        for i, (shape, dtype) in enumerate(
            [((3, 4), "float32"), ((), "float64"), ((0, 2), "float32"), ((300, 50), "float16")]
            + [((5,), "int64"), ((2, 2), ml_dtypes.bfloat16)]
            + [((7,), "float32")] * 200  # more than one block of the index
        )
    }
    root = tf.Module()
    root.variables_by_name = {name: tf.Variable(array) for name, array in arrays.items()}
    prefix = tmp_path_factory.mktemp("checkpoint") / "variables"
    tf.train.Checkpoint(root=root).write(str(prefix))
    return prefix, arrays


def test_every_variable_is_read_as_tensorflow_wrote_it(checkpoint):
    prefix, arrays = checkpoint
    bundle = variables.Bundle(prefix)
    for name, array in arrays.items():
        key = f"variables_by_name/{name}/.ATTRIBUTES/VARIABLE_VALUE"
        assert key in bundle.names
        read = bundle.read(key)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def test_a_truncated_data_file_is_refused(checkpoint, tmp_path):
    prefix, _ = checkpoint
    for path in prefix.parent.iterdir():
        data = path.read_bytes()
        cut = data[: len(data) // 2] if "data" in path.name else data
        (tmp_path / path.name).write_bytes(cut)
    bundle = variables.Bundle(tmp_path / "variables")
    numeric = [key for key in bundle.names if key.endswith("VARIABLE_VALUE")]
    with pytest.raises(variables.BundleError, match="truncated"):
        [bundle.read(key) for key in numeric]


@pytest.mark.parametrize("damage", [b"", b"x" * 47, b"x" * 4096])
def test_a_damaged_index_is_refused(tmp_path, damage):
    (tmp_path / "variables.index").write_bytes(damage)
    with pytest.raises(variables.BundleError, match="damaged"):
        variables.Bundle(tmp_path / "variables")


def test_random_damage_to_an_index_is_refused_or_read(checkpoint, tmp_path):
    prefix, _ = checkpoint
    data = prefix.with_name("variables.index").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(300):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            damaged[position] = rng.integers(0, 256)
        (tmp_path / "variables.index").write_bytes(damaged)
        with contextlib.suppress(variables.BundleError):
            variables.Bundle(tmp_path / "variables")


def test_the_manifest_is_read_as_written(written, version_dir):
    assert manifest.Manifest.read(version_dir) == written


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 1, "model": 3}'])
def test_a_damaged_manifest_is_refused(version_dir, text):
    (version_dir / versions.MANIFEST).write_text(text)
    with pytest.raises(manifest.ManifestError, match="damaged"):
        manifest.Manifest.read(version_dir)


def test_a_manifest_of_another_format_is_refused(written, version_dir):
    path = version_dir / versions.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(manifest.ManifestError, match="format 99"):
        manifest.Manifest.read(version_dir)


def test_damaged_missing_and_added_files_are_named(written, version_dir):
    for name in ("kept", "changed", "removed"):
        (version_dir / name).write_text(name)
    digests = manifest.digest_files(version_dir)
    found = dataclasses.replace(written, digests=digests)
    assert manifest.damaged_files(version_dir, found) == []
    (version_dir / "changed").write_text("other")
    (version_dir / "removed").unlink()
    (version_dir / "added").write_text("new")
    assert manifest.damaged_files(version_dir, found) == ["added", "changed", "removed"]


def test_golden_examples_are_read_as_written(version_dir):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 3)).astype(np.float32)
    cases = {
        ("serving_default", "batch_4"): golden.GoldenCase({"a/b": x}, {"y": x[:, 0]}),
        ("serving_default", golden.EXAMPLES): golden.GoldenCase(
            {"x": x.astype(ml_dtypes.bfloat16)}, {"y": x}, np.arange(4)
        ),
    }
    golden.write(version_dir, cases)
    read = golden.read(version_dir)
    assert read.keys() == cases.keys()
    for key, case in cases.items():
        for ours, theirs in ((read[key].inputs, case.inputs), (read[key].outputs, case.outputs)):
            assert ours.keys() == theirs.keys()
            for name, array in theirs.items():
                assert ours[name].dtype == array.dtype
                np.testing.assert_array_equal(ours[name], array)
    assert read["serving_default", "batch_4"].labels is None
    assert read["serving_default", golden.EXAMPLES].labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "version"),
    [("1", 1), ("00000123", 123), ("9223372036854775807", 2**63 - 1), ("9223372036854775808", None)]
    + [(".staging-1", None), ("1a", None), ("", None), ("1.0", None), ("٣", None), ("1_0", None)]
    + [("-1", -1), ("+7", 7), (" 8\n", 8), ("0" * 30 + "9", 9), ("- 1", None), ("--1", None)]
    + [("-9223372036854775808", -(2**63)), ("-9223372036854775809", None)],
)
def test_a_version_is_what_tensorflow_serving_takes_for_one(name, version):
    assert versions.parse(name) == version


def test_versions_are_found_in_order(tmp_path):
    for name in ("10", "9", ".staging-11", "11.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file")
    assert list(versions.find(tmp_path)) == [9, 10]
    assert versions.latest(tmp_path) == tmp_path / "10"
    assert versions.find(tmp_path / "absent") == {}
    with pytest.raises(FileNotFoundError):
        versions.latest(tmp_path / "absent")


def test_a_signature_without_a_program_is_refused(written, version_dir):
    with pytest.raises(program.ProgramError, match="plain"):
        program.load(version_dir, "plain")
