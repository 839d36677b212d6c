"""Models of many kinds in a real Chromium: on wasm and on webgl, TensorFlow.js answers as JAX."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from exporter.commands.progress import Progress
from exporter.formats.tfjs import TfjsOptions, export
from tests import models
from tests.browser.conftest import ROOT, launch
from tests.support import needs

BATCHES = (1, 3, 17)
RUN = (Path(__file__).parent / "run_model.js").read_text()
PACKAGES = ROOT / "web" / "node_modules" / "@tensorflow"
SCRIPTS = [
    PACKAGES / f"tfjs-{part}/dist/tf-{part}.min.js"
    for part in ("core", "converter", "backend-cpu", "backend-wasm", "backend-webgl")
]
SITE = "http://localhost/"
# No GPU is needed: SwiftShader draws on the processor, in float32 as a desktop's GPU does.
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@pytest.fixture(scope="module")
def browser():
    needs.page()
    yield from launch(*WEBGL)


@pytest.fixture(scope="module", params=models.NAMES)
def exported(request, tmp_path_factory):
    """A model's graph model and its cases: named inputs, and JAX's outputs in order."""
    model = models.build(request.param)
    directory = tmp_path_factory.mktemp("tfjs") / model.name
    options = TfjsOptions(batch_sizes=(1,), backends=("wasm", "webgl"), verify_in_node=False)
    export(model, directory, options, stage=Progress())
    cases = [models.inputs(model, size) for size in BATCHES]
    answers = [jax.tree.leaves(jax.jit(model.func)(model.params, case)) for case in cases]
    return directory, [jax.tree.leaves(case) for case in cases], answers


@pytest.mark.parametrize("backend", ["wasm", "webgl"])
def test_chromium_is_jax(browser, exported, backend):
    directory, inputs, expected = exported
    signature = json.loads((directory / "model.json").read_text())["signature"]
    cases = [dict(zip(signature["inputs"], map(tensor, case), strict=True)) for case in inputs]
    names = list(signature["outputs"])
    page = browser.new_page()
    page.route(f"{SITE}**", lambda route: answer(route, directory))
    page.goto(SITE)
    for script in SCRIPTS:
        page.add_script_tag(path=script)
    found = page.evaluate(RUN, {"backend": backend, "cases": cases, "names": names})
    page.close()
    for answers, wanted in zip(found, expected, strict=True):
        for name, value in zip(names, wanted, strict=True):
            got = np.array(answers[name]["values"]).reshape(answers[name]["shape"])
            np.testing.assert_allclose(got, value, rtol=1e-5, atol=1e-5)


def tensor(value):
    value = np.asarray(value)
    dtype = {"f": "float32", "i": "int32", "u": "int32", "b": "bool"}[value.dtype.kind]
    return {"dtype": dtype, "shape": value.shape, "values": value.ravel().tolist()}


def answer(route, directory):
    """The site: an empty page, the model and the programs of the wasm backend."""
    kind, _, name = route.request.url.removeprefix(SITE).partition("/")
    folder = {"model": directory, "wasm": PACKAGES / "tfjs-backend-wasm" / "dist"}.get(kind)
    if folder is None:
        route.fulfill(body="<!doctype html><title>models</title>", content_type="text/html")
    else:
        route.fulfill(path=folder / name)
