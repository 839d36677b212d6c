"""Publishing in stores of each kind and fetching from there, and what may come between."""

import itertools
import os
import threading
import time
from datetime import timedelta

import pytest

from artifact import versions
from artifact.buckets import cache as caches
from artifact.buckets import listing
from artifact.buckets.address import Address
from artifact.buckets.errors import AlreadyThere, BucketError, Damaged, NotThere
from artifact.manifest import Manifest, damaged_files
from tests.support import buckets, needs
from tests.support.buckets import tiny

needs.package("obstore")
from artifact.buckets import upload


@pytest.fixture(params=["s3", "gs", "hf"])
def stand(request):
    with buckets.stand(request.param) as found:
        yield found


@pytest.fixture
def s3():
    with buckets.stand("s3") as found:
        yield found


@pytest.fixture
def cache(tmp_path):
    return caches.Cache(tmp_path / "cache")


def _remote(stand, number=1):
    return listing.whole(stand.store().entries())[number]


def test_a_version_comes_back_as_it_was_published(stand, cache, tmp_path):
    files, seal = tiny(tmp_path / "files")
    store = stand.store()
    assert store.entries() == []
    assert [store.publish(None, files, seal), store.publish(None, files, seal)] == [1, 2]
    assert store.publish(7, files, seal) == 7
    assert listing.whole(store.entries()).keys() == {1, 2, 7}
    with pytest.raises(AlreadyThere, match="scaled/2 exists"):
        store.publish(2, files, seal)
    with cache.held(store, stand.model, _remote(stand, 2)) as path:
        assert path.name == "2"
        assert path.parent.name == "scaled"
        assert Manifest.read(path).version == 2
        assert damaged_files(path, Manifest.read(path)) == []
        assert (path / "saved_model.pb").read_bytes() == b"content"


def test_a_large_file_goes_in_parts_both_ways(s3, cache, tmp_path):
    content = os.urandom(40 * 2**20 + 1)
    s3.store().publish(None, *tiny(tmp_path / "files", content=content))
    assert len({request for request in s3.requests if "partNumber=" in str(request)}) == 3
    with cache.held(s3.store(), s3.model, _remote(s3)) as path:
        assert (path / "saved_model.pb").read_bytes() == content


def test_a_restart_fetches_nothing_again(stand, tmp_path):
    stand.store().publish(None, *tiny(tmp_path / "files"))
    remote = _remote(stand)
    with caches.Cache(tmp_path / "cache").held(stand.store(), stand.model, remote):
        before = len(stand.requests)
    with caches.Cache(tmp_path / "cache").held(stand.store(), stand.model, remote):
        pass
    assert len(stand.requests) == before


def test_of_several_who_publish_at_once_each_has_a_number_of_its_own(stand, cache, tmp_path):
    numbers, errors = [], []

    def publish(content):
        try:
            files, seal = tiny(tmp_path / str(content), content=b"%d" % content)
            numbers.append((stand.store().publish(None, files, seal), content))
        except BucketError as error:
            errors.append(error)

    threads = [threading.Thread(target=publish, args=(content,)) for content in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(dict(numbers)) == 4
    for number, content in numbers:
        with cache.held(stand.store(), stand.model, _remote(stand, number)) as path:
            assert (path / "saved_model.pb").read_bytes() == b"%d" % content


def test_of_several_who_publish_the_same_number_one_does(stand, cache, tmp_path):
    results = []

    def publish(content):
        files, seal = tiny(tmp_path / str(content), content=b"%d" % content)
        try:
            stand.store().publish(5, files, seal)
            results.append(content)
        except AlreadyThere:
            results.append(None)

    threads = [threading.Thread(target=publish, args=(content,)) for content in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [content for content in results if content is not None]
    with cache.held(stand.store(), stand.model, _remote(stand, 5)) as path:
        assert (path / "saved_model.pb").read_bytes() == b"%d" % winner


def test_files_of_others_are_left_alone(s3, tmp_path):
    store = s3.store()
    store.create("3/saved_model.pb", b"of somebody else")
    files, seal = tiny(tmp_path / "files")
    with pytest.raises(AlreadyThere, match="files without a manifest"):
        store.publish(3, files, seal)
    assert store.publish(None, files, seal) == 4
    assert store.read("3/saved_model.pb") == b"of somebody else"


def test_an_upload_that_never_ends_is_no_version_and_its_number_stays_taken(
    s3, tmp_path, monkeypatch
):
    store = s3.store()
    store.create("1/.uploading", b"somebody")
    store.create("1/saved_model.pb", b"half")
    files, seal = tiny(tmp_path / "files")
    assert listing.whole(store.entries()) == {}
    with pytest.raises(AlreadyThere, match="being uploaded"):
        store.publish(1, files, seal)
    assert store.publish(None, files, seal) == 2
    assert "1/saved_model.pb" in {entry.name for entry in store.entries()}
    # Once nothing was written for long, whoever publishes next clears it away.
    monkeypatch.setattr(upload, "_STALE", timedelta(0))
    time.sleep(1.1)  # the store's clock counts seconds
    assert store.publish(None, files, seal) == 3
    assert {entry.name.split("/")[0] for entry in store.entries()} == {"2", "3"}


def test_an_upload_that_fails_leaves_nothing(s3, tmp_path):
    files, seal = tiny(tmp_path / "files")
    for refused in ("saved_model.pb", "variables.data", "manifest.json"):
        s3.proxy.fault = lambda method, path, name=refused: (
            "403" if method == "PUT" and name in path else None
        )
        with pytest.raises(BucketError, match="refused"):
            s3.store().publish(None, files, seal)
        s3.proxy.fault = lambda method, path: None
        assert s3.store().entries() == []


def test_a_store_without_conditions_lets_one_of_two_win(s3, cache, tmp_path):
    """Some stores ignore `If-None-Match`: the last writer has the claim, and he alone goes on."""
    s3.proxy.drops = "if-none-match"
    store = s3.store()
    files, seal = tiny(tmp_path / "files")
    came = itertools.count()

    def steal(method, path):
        if method == "PUT" and path.endswith("1/.uploading") and next(came) == 0:
            return lambda: s3.proxy.after_next(
                lambda: s3.store().create("1/.uploading", b"another one's")
            )
        return None

    s3.proxy.fault = steal
    assert store.publish(None, files, seal) == 2
    assert store.read("1/.uploading") == b"another one's"


@pytest.mark.parametrize(
    "name",
    ["../../../escaped", "/tmp/escaped", "a/../../b", "assets.extra/manifest.json", "", "a//b"],
)
def test_a_manifest_that_names_files_elsewhere_is_refused(s3, cache, tmp_path, name):
    files, seal = tiny(tmp_path / "files", digests={name: "sha256:00", "saved_model.pb": "x"})
    s3.store().publish(None, files, seal)
    with pytest.raises(Damaged, match="no file of a version"):
        with cache.held(s3.store(), s3.model, _remote(s3)):
            pass
    assert [p for p in (tmp_path / "cache").rglob("*") if p.suffix != ".lock"] == []


def test_what_differs_from_the_manifest_is_not_kept(stand, cache, tmp_path):
    files, seal = tiny(tmp_path / "files")
    (files / "saved_model.pb").write_bytes(b"other")  # after the manifest's digests were taken
    stand.store().publish(None, files, seal)
    with pytest.raises(Damaged, match=r"1/saved_model.pb: not what the manifest says"):
        with cache.held(stand.store(), stand.model, _remote(stand)):
            pass
    assert [p for p in (tmp_path / "cache").rglob("*") if p.suffix != ".lock"] == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 99}', "\xff", "[" * 100_000]
)
def test_a_manifest_that_is_none_is_refused(s3, cache, tmp_path, text):
    store = s3.store()
    store.create("1/saved_model.pb", b"x")
    store.create(f"1/{versions.MANIFEST}", text.encode("latin-1"))
    with pytest.raises(Damaged):
        with cache.held(store, s3.model, _remote(s3)):
            pass


def test_a_version_that_is_deleted_while_it_is_fetched_is_gone(s3, cache, tmp_path):
    s3.store().publish(None, *tiny(tmp_path / "files"))
    remote = _remote(s3)
    came = itertools.count()
    s3.proxy.fault = lambda method, path: (
        (lambda: s3.delete(1)) if method == "GET" and "manifest" not in path and next(came) == 0
        else None
    )  # fmt: skip
    with pytest.raises((NotThere, Damaged)):
        with cache.held(s3.store(), s3.model, remote):
            pass
    assert listing.whole(s3.store().entries()) == {}


def test_a_file_that_the_disk_has_damaged_is_fetched_again(stand, tmp_path):
    stand.store().publish(None, *tiny(tmp_path / "files"))
    remote = _remote(stand)
    with caches.Cache(tmp_path / "cache").held(stand.store(), stand.model, remote) as path:
        pass
    (path / "saved_model.pb").write_bytes(b"CONTENT")
    with caches.Cache(tmp_path / "cache").held(stand.store(), stand.model, remote) as path:
        assert (path / "saved_model.pb").read_bytes() == b"content"


def test_the_cache_is_bounded_and_what_is_in_use_stays(s3, tmp_path):
    files, seal = tiny(tmp_path / "files")
    for _ in range(3):
        s3.store().publish(None, files, seal)
    found = listing.whole(s3.store().entries())
    size = found[1].size
    cache = caches.Cache(tmp_path / "cache", limit=2 * size + size // 2)
    with cache.held(s3.store(), s3.model, found[1]) as first:
        with cache.held(s3.store(), s3.model, found[2]) as second:
            with pytest.raises(BucketError, match="don't fit"):
                with cache.held(s3.store(), s3.model, found[3]):
                    pass
        os.utime(next((tmp_path / "cache").glob("*-2-*.lock")), (0, 0))
        with cache.held(s3.store(), s3.model, found[3]) as third:
            assert (first.exists(), second.exists(), third.exists()) == (True, False, True)
    with pytest.raises(BucketError, match="is what may be kept"):
        with caches.Cache(tmp_path / "small", limit=10).held(s3.store(), s3.model, found[1]):
            pass


def test_a_full_disk_is_told_and_leaves_nothing_half(s3, tmp_path, monkeypatch):
    s3.store().publish(None, *tiny(tmp_path / "files"))
    cache = caches.Cache(tmp_path / "cache")
    full = "/dev/full"
    opened = type(tmp_path).open

    def open_(path, mode="r", *args, **more):
        return opened(type(tmp_path)(full) if mode == "xb" else path, mode.replace("x", "w"))

    monkeypatch.setattr(type(tmp_path), "open", open_)
    with pytest.raises(BucketError, match="the disk is full"):
        with cache.held(s3.store(), s3.model, _remote(s3)):
            pass
    monkeypatch.undo()
    with buckets.mock.patch.dict(os.environ, s3.environment):
        with cache.held(s3.store(), s3.model, _remote(s3)) as path:
            assert path.exists()


def test_what_is_gone_from_the_bucket_goes_from_the_cache(s3, cache, tmp_path):
    files, seal = tiny(tmp_path / "files")
    s3.store().publish(None, files, seal)
    with cache.held(s3.store(), s3.model, _remote(s3)) as path:
        cache.clean(s3.model, [])
        assert path.exists()  # for it is in use
    cache.clean(Address("s3", "other", "nets/scaled"), [])
    assert path.exists()
    cache.clean(s3.model, [])
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_others_may_write_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(BucketError, match="may be written by others"):
        caches.Cache(tmp_path / "open")


def test_errors_tell_no_credentials(s3, cache, tmp_path, caplog):
    """A store's answer may repeat the session's token; see S3's ExpiredToken."""
    s3.store().publish(None, *tiny(tmp_path / "files"))
    remote = _remote(s3)
    s3.proxy.body = f"<Error><Code>ExpiredToken</Code><Token-0>{buckets.SECRET}</Token-0></Error>"
    for fault in ("400", "401", "403", "404", "409", "412", "500", "503"):
        s3.proxy.fault = lambda method, path, fault=fault: fault
        store = s3.store()
        for act in (
            store.entries,
            lambda store=store: store.read("1/saved_model.pb"),
            lambda store=store: store.create("9/x", b""),
            lambda store=store: cache._fetch(store, s3.model, remote, tmp_path / "slot"),
        ):
            with pytest.raises(BucketError) as caught:
                act()
            assert buckets.SECRET not in str(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__
    assert buckets.SECRET not in caplog.text


def test_a_listing_without_end_is_broken_off(s3, monkeypatch):
    monkeypatch.setattr("artifact.buckets.objects.MAX_OBJECTS", 3)
    for number in range(5):
        s3.store().create(f"x/{number}", b"")
    with pytest.raises(BucketError, match="no model's folder"):
        s3.store().entries()


def test_a_listing_costs_one_request(stand, tmp_path):
    store = stand.store()
    store.publish(None, *tiny(tmp_path / "files"))
    store.entries()
    before = len(stand.requests)
    store.entries()
    assert len(stand.requests) == before + 1


def test_a_replaced_version_is_another_one(s3, cache, tmp_path):
    store = s3.store()
    store.publish(1, *tiny(tmp_path / "first", content=b"first"))
    first = _remote(s3)
    s3.delete(1)
    store.publish(1, *tiny(tmp_path / "second", content=b"second"))
    second = _remote(s3)
    assert cache.path(s3.model, first) != cache.path(s3.model, second)
    with cache.held(store, s3.model, second) as path:
        assert (path / "saved_model.pb").read_bytes() == b"second"
