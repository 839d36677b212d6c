"""Compiled programs come from this user's own directory, and whole, or are compiled again."""

import logging
import os
import random
import subprocess
import sys

import pytest

from artifact import compilation_cache
from artifact.compilation_cache import Cache, UnsafeCacheError, make
from tests.support import exports
from tests.support.servers import ROOT

KEY = "jit_f-0123"


@pytest.fixture
def cache(tmp_path):
    make(tmp_path / "cache")
    return Cache(tmp_path / "cache")


def test_what_is_put_is_got(cache):
    assert cache.get(KEY) is None
    for content in (b"program", b"", os.urandom(100_000), b"another"):
        cache.put(KEY, content)
        assert cache.get(KEY) == content
    (file,) = cache._path.iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_no_damaged_entry_is_given_out(cache, caplog):
    rng = random.Random(0)
    content = rng.randbytes(2000)
    cache.put(KEY, content)
    file = cache._file(KEY)
    whole = file.read_bytes()
    damaged = [whole[:n] for n in (0, 1, 31, 32, 33, len(whole) - 1)]
    damaged += [whole + b"\0", b"\0" * len(whole), rng.randbytes(len(whole))]
    for _ in range(500):
        place, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        damaged.append(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
    for data in damaged:
        file.write_bytes(data)
        assert cache.get(KEY) is None
    assert "is damaged, and compiled again" in caplog.text
    cache.put(KEY, content)
    assert cache.get(KEY) == content


def test_an_entry_is_no_other_entry(cache):
    cache.put(KEY, b"program")
    cache._file(KEY).rename(cache._file("other"))
    assert cache.get("other") is None


def test_an_entry_that_others_may_have_written_is_not_given_out(cache, tmp_path):
    cache.put(KEY, b"program")
    cache._file(KEY).chmod(0o620)
    assert cache.get(KEY) is None
    cache._file(KEY).rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o600)
    cache._file(KEY).symlink_to(tmp_path / "elsewhere")
    assert cache.get(KEY) is None


def test_a_disk_that_takes_nothing_is_complained_of_once(cache, caplog, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for _ in range(3):
        cache.put(KEY, b"program")
    assert caplog.text.count("compiled programs aren't kept") == 1
    assert list(cache._path.iterdir()) == []


def test_a_directory_is_made_for_its_user_alone(tmp_path):
    old = os.umask(0)
    try:
        make(tmp_path / "new" / "cache")
    finally:
        os.umask(old)
    for path in (tmp_path / "new", tmp_path / "new" / "cache"):
        assert path.stat().st_mode & 0o777 == 0o700
    make(tmp_path / "new" / "cache")


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_directory_that_others_may_write_is_refused(tmp_path, mode):
    (tmp_path / "above" / "cache").mkdir(parents=True)
    (tmp_path / "above" / "cache").chmod(mode)
    with pytest.raises(UnsafeCacheError, match="may be written by others: its mode is"):
        make(tmp_path / "above" / "cache")


def test_so_is_one_below_such_a_directory(tmp_path, monkeypatch):
    above = tmp_path / "above"
    make(above / "cache")
    make(tmp_path / "safe")
    (tmp_path / "safe" / "link").symlink_to(above / "cache")
    assert make(tmp_path / "safe" / "link") == above / "cache"
    above.chmod(0o777)
    for path in (above / "cache", tmp_path / "safe" / "link"):
        if os.geteuid():
            with pytest.raises(UnsafeCacheError, match="above it, may be written by others"):
                make(path)
        else:  # of root's directories, those that all may write
            with pytest.raises(UnsafeCacheError, match="above"):
                make(path)
    above.chmod(0o1777)
    if os.geteuid() == 0:
        make(above / "cache")  # as below /tmp


def test_another_users_directory_is_refused(tmp_path, monkeypatch):
    make(tmp_path / "cache")
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(UnsafeCacheError, match=f"belongs to user {owner}, not to {owner + 1}"):
        make(tmp_path / "cache")


SCRIPT = """
import logging, sys
from pathlib import Path
import jax
import numpy as np
logging.basicConfig(stream=sys.stdout)
from server.engines.engine import EngineOptions
from server.engines.xla import XlaEngine
from tests.support import exports

engine = XlaEngine(Path(sys.argv[1]), EngineOptions(compilation_cache=Path(sys.argv[2])))
x = np.ones((3, 4), np.float32)
answer = engine.run("serving_default", {"inputs": x}, ["output_0"])["output_0"]
np.testing.assert_allclose(answer, exports.scaled_answer(x, 1), rtol=1e-5)
print("right")
"""


def run(version, cache):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(version), str(cache)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert result.returncode == 0, result.stderr
    assert "right" in result.stdout
    return result.stdout + result.stderr


def written(cache):
    return {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}


@pytest.mark.slow
def test_jax_reads_what_it_kept_and_compiles_again_what_is_damaged(tmp_path):
    version = exports.scaled(tmp_path, 1)
    cache = tmp_path / "cache"
    run(version, cache)
    first = written(cache)
    assert first
    run(version, cache)
    assert written(cache) == first  # all of it was read, nothing compiled
    for path in cache.iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    damaged = written(cache)
    assert "is damaged, and compiled again" in run(version, cache)
    again = written(cache)
    assert again.keys() == first.keys()
    assert all(again[name] != damaged[name] for name in again)
    cache.chmod(0o777)
    output = run(version, cache)
    assert "compiled programs are neither kept nor read" in output
    assert "its mode is 777" in output
    assert written(cache) == again


def test_the_cache_is_given_up_where_jax_takes_none(tmp_path, monkeypatch, caplog):
    from artifact import _compat
    from server.engines import xla

    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(_compat, "set_compilation_cache", lambda path, cache: False)
    with pytest.raises(UnsafeCacheError, match="can't be given a cache"):
        compilation_cache.use(tmp_path / "cache")
    xla._use_cache(tmp_path / "another")
    xla._use_cache(tmp_path / "another")
    assert caplog.text.count("compiled programs are neither kept nor read") == 1
