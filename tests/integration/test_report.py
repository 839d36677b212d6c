"""The report says what is there, and what is wrong."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.support import needs

needs.package("jax", "exporter")
needs.package("tensorflow", "exporter")

from artifact import golden
from artifact.manifest import Manifest
from exporter.inspect.report import collect, page, runtimes
from tests.support.servers import ROOT, ServerProcess

RUNTIMES = ("JAX program", "TensorFlow signature", "TensorFlow __call__")


@pytest.fixture(scope="module")
def version_dir(published):
    return published / "mnist_pure_jax" / "1"


@pytest.fixture(scope="module")
def server(version_dir, tmp_path_factory):
    flags = ["--model_name=digits", f"--model_base_path={version_dir.parent}"]
    with ServerProcess(tmp_path_factory.mktemp("server") / "log", *flags) as process:
        yield process


@pytest.fixture(scope="module")
def report(version_dir, server):
    addresses = [f"127.0.0.1:{port}" for port in (server.rest_port, server.grpc_port)]
    served = [runtimes.served(version_dir, address, "digits") for address in addresses]
    return collect(version_dir, [*runtimes.local(version_dir), *served])


def test_every_runtime_agrees_at_every_batch_size(version_dir, report):
    sizes = {
        int(name.removeprefix("batch_"))
        for _, name in golden.read(version_dir)
        if name.startswith("batch_")
    }
    assert report.runtimes == [*RUNTIMES, "server, REST", "server, gRPC"]
    for runtime in report.runtimes:
        cells = report.find(runtime, "serving_default")
        assert {cell.batch_size for cell in cells} == sizes
        assert all(cell.agrees and cell.max_abs_err <= 1e-5 for cell in cells)
        assert all(cell.milliseconds > 0 for cell in cells)
    assert report.ok


def test_rows_are_the_same_alone_and_in_company(report):
    assert {row.runtime for row in report.company} == set(report.runtimes)
    assert all(row.is_proven and row.agrees for row in report.company)
    assert all(row.max_abs_diff < 1e-5 and row.batch_size > 1 for row in report.company)
    assert "Alone and in company" in page.render(report)


def a_runtime(answer):
    """A runtime of one's own: `answer(signature, inputs)`."""
    return runtimes.Runtime("mine", answer)


def test_rows_that_differ_in_company_are_shown(version_dir):
    (real, *_) = runtimes.local(version_dir)

    def mixed(signature, inputs):
        outputs = real.run(signature, inputs)
        return {name: array + np.float32(len(array) > 1) for name, array in outputs.items()}

    found = collect(version_dir, [a_runtime(mixed)])
    (row,) = found.company
    assert row.max_abs_diff == pytest.approx(1, abs=1e-5)
    assert not row.agrees
    assert not found.ok


def test_a_refusal_is_no_agreement(version_dir):
    (real, *_) = runtimes.local(version_dir)

    def picky(signature, inputs):
        if len(next(iter(inputs.values()))) > 1:
            raise runtimes.Refused("one row at a time")
        return real.run(signature, inputs)

    found = collect(version_dir, [real, a_runtime(picky)])
    assert any(cell.agrees for cell in found.find("mine", "serving_default"))
    assert not found.ok
    assert "is not compared with JAX everywhere" in page.render(found)

    def other(signature, inputs):
        raise runtimes.NotOffered("another signature's")

    assert collect(version_dir, [real, a_runtime(other)]).ok
    assert not collect(version_dir, [a_runtime(other)]).ok


def test_a_defect_is_no_refusal(version_dir):
    def broken(signature, inputs):
        raise TypeError("a mistake in this code")

    with pytest.raises(TypeError):
        collect(version_dir, [a_runtime(broken)])


def test_the_accuracy_is_that_of_the_examples(version_dir, report):
    case = golden.read(version_dir)["serving_default", "examples"]
    (scores,) = case.outputs.values()
    assert report.accuracy == np.mean(scores.argmax(1) == case.labels)


def test_the_page_needs_nothing_else(report):
    html = page.render(report)
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "<script" not in html
    for text in ("mnist_pure_jax/1", "agrees with JAX", "dense1/kernel", "saved_model.pb"):
        assert text in html
    assert html.count("<img") == 5  # errors, latencies, images, confusion, parameters


def test_names_are_text_and_no_markup(report):
    from dataclasses import replace

    manifest = replace(report.manifest, model="<b>&", metrics={"<i>": 1.0})
    html = page.render(replace(report, manifest=manifest))
    assert "<b>&/1" not in html
    assert "&lt;b&gt;&amp;/1" in html
    assert "<i>" not in html


def test_a_page_in_chromium_is_wide_enough_and_shows_its_pictures(report, tmp_path):
    sync_api = needs.package("playwright.sync_api")
    chromium = needs.chromium()
    path = tmp_path / "report.html"
    path.write_text(page.render(report), encoding="utf-8")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 420, "height": 800})
        tab.goto(path.as_uri())
        widths = tab.evaluate("[...document.images].map(image => image.naturalWidth)")
        overflow = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        browser.close()
    assert all(width > 0 for width in widths)
    assert overflow <= 0


def test_a_version_that_answers_otherwise(version_dir, tmp_path):
    """Golden examples that aren't the parameters' answers: the command says so and exits with 1."""
    broken = shutil.copytree(version_dir, tmp_path / "mnist_pure_jax" / "1")
    cases = golden.read(broken)
    (output,) = Manifest.read(broken).signatures["serving_default"].outputs
    case = cases["serving_default", "batch_3"]
    case.outputs[output][1, 2] += 0.5
    golden.write(broken, cases)
    command = [sys.executable, "-m", "exporter", "report", str(broken.parent), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert not found["ok"]
    assert {c["batch_size"] for c in found["cells"] if not c["agrees"]} == {3}
    assert found["max_abs_err"] == pytest.approx(0.5, abs=1e-3)
    assert "differs from JAX" in (broken.parent / "report-1.html").read_text()


def test_a_directory_without_a_version(tmp_path):
    command = [sys.executable, "-m", "exporter", "report", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no version that was exported here" in done.stderr
    assert not list(tmp_path.iterdir())
