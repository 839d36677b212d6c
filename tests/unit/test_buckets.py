"""Addresses of buckets, what a listing shows, and what may become a file."""

import subprocess
import sys

import pytest

from artifact import versions
from artifact.buckets import listing
from artifact.buckets.address import Address, is_address, is_safe
from artifact.buckets.errors import AddressError, MissingPackage
from artifact.buckets.store import Entry, check_installed


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://bucket", Address("s3", "bucket")),
        ("s3://bucket/", Address("s3", "bucket")),
        ("gs://my.bucket_1/nets/digits/", Address("gs", "my.bucket_1", "nets/digits")),
        ("hf://owner/name", Address("hf", "owner/name")),
        ("hf://owner/name@v1.0/digits", Address("hf", "owner/name", "digits", "v1.0")),
    ],
)
def test_addresses_are_read_and_written(text, address):
    assert is_address(text)
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3:///path",
        "s3://key:secret@bucket/path",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bucket/a/./b",
        "s3://bucket/a\\b",
        "s3://bucket/a\nb",
        "s3://bucket/" + "a" * 900,
        "hf://owner",
        "hf://owner/name@/x",
        "hf://owner/na me",
        "ftp://bucket/x",
        "bucket/x",
    ],
)
def test_what_is_no_address_is_refused_and_secrets_are_not_repeated(text):
    with pytest.raises(AddressError) as caught:
        Address.parse(text)
    assert "secret" not in str(caught.value)


def test_a_folder_below_an_address():
    model = Address.parse("s3://bucket/nets") / "digits"
    assert (str(model), model.name, str(model / 3)) == (
        "s3://bucket/nets/digits", "digits", "s3://bucket/nets/digits/3",
    )  # fmt: skip
    assert (model / 3).parent == model
    for name in ("..", "a//b", "a\\b"):
        with pytest.raises(AddressError):
            _ = Address.parse("s3://bucket") / name


def test_names_that_lead_elsewhere_are_no_files():
    assert is_safe("variables/variables.index")
    for name in ("", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\\b", "a\0b"):
        assert not is_safe(name), name


def test_a_version_is_there_once_its_manifest_is():
    entries = [
        Entry("1/saved_model.pb", 1, "a"),
        Entry(f"1/{versions.MANIFEST}", 1, "b"),
        Entry("2/saved_model.pb", 1, "c"),  # still being uploaded
        Entry("003/saved_model.pb", 1, "c"),
        Entry(f"003/{versions.MANIFEST}", 1, "e"),
        Entry("3/saved_model.pb", 1, "d"),  # of the same number, and not whole
        Entry(f"latest/{versions.MANIFEST}", 1, "f"),
        Entry(f"9999999999999999999999/{versions.MANIFEST}", 1, "f"),
        Entry("README.md", 1, "g"),
        Entry("4", 1, "g"),
    ]
    assert {n: remote.folder for n, remote in listing.whole(entries).items()} == {1: "1", 3: "003"}
    assert listing.group(entries).keys() == {1, 2, 3}


def test_another_manifest_is_another_version_under_the_same_number():
    def key(tag):
        return listing.whole([Entry(f"1/{versions.MANIFEST}", 10, tag)])[1].key

    assert key("a") == key("a") != key("b")


def test_a_missing_library_is_told_with_what_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"pip install 'jax-serving-stack\[buckets\]'"):
        check_installed(Address.parse("s3://bucket/x"))
    with pytest.raises(MissingPackage, match=r"pip install 'jax-serving-stack\[hub\]'"):
        check_installed(Address.parse("hf://owner/name"))


def test_without_buckets_nothing_of_them_is_imported():
    code = (
        "import sys, server.launch.process, server.launch.settings, exporter.commands.export\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('obstore', 'huggingface_hub') or "
        "n in ('artifact.buckets.cache', 'artifact.buckets.upload', 'artifact.buckets.download')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
