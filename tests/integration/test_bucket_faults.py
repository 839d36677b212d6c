"""Random faults between a bucket and those who publish and read: nothing half, nothing lost."""

import itertools
import threading
from datetime import timedelta

import pytest

from artifact.buckets import cache as caches
from artifact.buckets import listing
from artifact.buckets.errors import BucketError, Unsettled
from artifact.manifest import Manifest, damaged_files
from tests.support import buckets, needs
from tests.support.buckets import tiny
from tests.support.object_servers import random_faults

needs.package("obstore")
from artifact.buckets import objects

FAULTS = 200
SHARE = 0.25  # of the requests that a fault befalls
WRITERS = 2


@pytest.fixture
def impatient(monkeypatch):
    """The library's retries, but sooner and fewer, so that some of what is done fails for good."""
    backoff = {"init_backoff": timedelta(milliseconds=2), "max_backoff": timedelta(milliseconds=9)}
    monkeypatch.setitem(objects._RETRIES, "backoff", {**backoff, "base": 2})
    monkeypatch.setitem(objects._RETRIES, "max_retries", 1)
    monkeypatch.setitem(objects._CLIENT, "read_timeout", timedelta(seconds=2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "gs"])
@pytest.mark.timeout(300)
def test_no_version_is_half_and_none_is_lost(kind, impatient, tmp_path):
    with buckets.stand(kind) as stand:
        fault, faults = random_faults(kind, SHARE)
        stand.proxy.fault = fault
        published, unsettled, refused, read = {}, set(), [], []
        half, crashes = [], []
        counter = itertools.count()

        def publish():
            while len(faults) < FAULTS:
                content = b"%d" % next(counter)
                files, seal = tiny(tmp_path / "files" / content.decode(), content)
                try:
                    published[stand.store().publish(None, files, seal)] = content
                except Unsettled:
                    unsettled.add(content)
                except BucketError as error:
                    refused.append((content, error))

        def check(number, path):
            content = (path / "saved_model.pb").read_bytes()
            manifest = Manifest.read(path)
            if damaged_files(path, manifest) or manifest.version != number:
                half.append(number)
            return content

        def look():
            while len(faults) < FAULTS:
                cache = caches.Cache(tmp_path / "cache", limit=100_000)
                try:
                    found = listing.whole(stand.store().entries())
                    for number in sorted(found)[-2:]:
                        with cache.held(stand.store(), stand.model, found[number]) as path:
                            read.append((number, check(number, path)))
                except BucketError:
                    continue

        def run(work):
            try:
                work()
            except BaseException as error:
                crashes.append(error)
                raise

        threads = [
            threading.Thread(target=run, args=(work,)) for work in [publish] * WRITERS + [look]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stand.proxy.fault = lambda method, path: None
        assert not crashes

        cache = caches.Cache(tmp_path / "cache")
        found = listing.whole(stand.store().entries())
        there = {}
        for number, remote in found.items():
            with cache.held(stand.store(), stand.model, remote) as path:
                there[number] = check(number, path)
        print(
            f"{kind}: {len(faults)} faults in {len(stand.requests)} requests; {len(published)} "
            f"published, {len(refused)} refused, {len(unsettled)} unsettled, {len(read)} read"
        )
        assert not half
        assert len(faults) >= FAULTS
        assert published
        assert refused
        assert read
        lost = {n: c for n, c in published.items() if there.get(n) != c}
        assert not lost
        # What was said not to be published isn't there.
        assert not {content for content, _ in refused} & set(there.values())
        assert set(there.values()) <= set(published.values()) | unsettled
        assert all(there[number] == content for number, content in read)
