"""How the page comes to the browser: strictly, offline, in one file."""

import gzip

import pytest


def test_content_security_policy(open_page, address):
    page = open_page(errors=("Content Security Policy", "Content-Security-Policy"))
    policy = page.page.request.get(address).headers["content-security-policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert "unsafe-inline" not in policy
    blocked = page.page.evaluate(
        """async () => {
            const violations = [];
            // The browser's debugger lets what it evaluates evaluate more; a timer's code is free.
            await new Promise((done) => setTimeout(done));
            document.addEventListener("securitypolicyviolation",
                (event) => violations.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "globalThis.wasRun = true";
            document.body.append(script);
            try { new Function("globalThis.wasRun = true")(); } catch {}
            await fetch("https://example.com/").catch(() => {});
            await new Promise((done) => setTimeout(done, 100));
            return [globalThis.wasRun ?? false, violations.sort()];
        }"""
    )
    assert blocked == [False, ["connect-src", "script-src", "script-src-elem"]]
    # Chromium may or may not report a request that the policy stopped before it was sent.
    page.requested[:] = [url for url in page.requested if url != "https://example.com/"]


def test_works_offline_after_the_first_load(open_page, own_address):
    url, stop = own_address
    page = open_page(url, errors=("net::ERR_",))
    page.page.evaluate("navigator.serviceWorker.ready.then(() => {})")
    stop()
    page.page.reload()
    page.wait_for("quickdraw")
    page.draw("star")
    assert page.best == "star"
    page.choose("Digits", "mnist_flax")  # was never opened while online
    page.draw("7")
    assert page.best == "7"


def test_single_file_works_from_a_disk(open_page, built):
    page = open_page((built / "draw.html").as_uri())
    page.draw("umbrella")
    assert page.best == "umbrella"
    page.choose("Digits", "mnist_flax")
    page.draw("3")
    assert page.best == "3"
    assert {url.partition(":")[0] for url in page.requested} <= {"file", "data", "blob"}


def test_weight_of_the_page(open_page, built):
    """At most 900 KB over the wire up to the first answer, were the weights float16."""
    page = open_page(service_workers="block", errors=("Service Worker registration blocked",))
    site = built / "site"
    total = 0
    for url in {url.split("?")[0] for url in page.requested}:
        path = site / (url.partition("://")[2].partition("/")[2] or "index.html")
        packed = path.with_name(path.name + ".gz")
        total += (packed if packed.exists() else path).stat().st_size
    # The weights' shards are float32 here; as float16 they have half the bytes.
    shards = [
        path for path in (site / "models" / "quickdraw").glob("*.bin") if "shard" in path.name
    ]
    assert shards
    packed = sum(len(gzip.compress(path.read_bytes())) for path in shards)
    assert total - packed / 2 < 900_000


@pytest.mark.parametrize("accepts", ["gzip", "identity"])
def test_compressed_copies(address, accepts, built):
    import urllib.request

    request = urllib.request.Request(address + "page.js", headers={"Accept-Encoding": accepts})
    with urllib.request.urlopen(request) as response:
        content = response.read()
        encoding = response.headers.get("Content-Encoding", "identity")
    assert encoding == accepts
    unpacked = gzip.decompress(content) if encoding == "gzip" else content
    assert unpacked == (built / "site" / "page.js").read_bytes()
