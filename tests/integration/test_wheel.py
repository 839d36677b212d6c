"""The wheel, in an environment that never saw the checkout: it holds all that it should, and works.

Needs about 3 GB of disk while it runs.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.support.servers import ServerProcess

ROOT = Path(__file__).parents[2]
PACKAGES = ("artifact", "client", "exporter", "server", "wire")
COMMANDS = ("exporter", "server", "predict", "load")
MODEL = """\
import jax, jax.numpy as jnp


def build():
    params = {
        "dense": {"kernel": jax.random.normal(jax.random.key(0), (8, 3)), "bias": jnp.zeros(3)}
    }

    def func(params, inputs):
        dense = params["dense"]
        return {"scores": jax.nn.softmax(inputs["x"] @ dense["kernel"] + dense["bias"])}

    return func, params, {"x": jax.ShapeDtypeStruct((1, 8), jnp.float32)}
"""

pytestmark = pytest.mark.slow


def run(*command, cwd=None):
    """Returns what a command prints to standard output."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def no_way_back():
    """Takes out of the environment what could lead to this Python's packages or to the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("PYTHON") or name == "VIRTUAL_ENV":
                patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def folder():
    """A folder that goes with its gigabytes; somebody's repository is around the environment."""
    folder = Path(tempfile.mkdtemp(prefix="wheel-"))
    if shutil.which("git"):
        run("git", "init", "--quiet", folder)
        identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        run("git", "-C", folder, *identity, "commit", "--quiet", "--allow-empty", "-m", "1")
    yield folder
    # 40,000 files: minutes on some disks, for which no test need wait.
    subprocess.Popen(["rm", "-rf", str(folder)], start_new_session=True)


@pytest.fixture(scope="module")
def wheel(folder):
    """The wheel, built of a copy: setuptools leaves its things beside the sources."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*PACKAGES, "bench", "docker", "scripts", "tests", "web"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules")
        )
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "dist", source)
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def programs(wheel, folder):
    """The folder of programs of an environment with nothing but the wheel and what it requires."""
    run(sys.executable, "-m", "venv", folder / "env")
    programs = folder / "env" / "bin"
    run(
        *(programs / "python", "-m", "pip", "install", "--quiet", "--no-compile"),
        *("--constraint", ROOT / "constraints.txt", f"{wheel}[exporter,server,client]"),
    )
    return programs


@pytest.fixture(scope="module")
def work(folder):
    """An empty directory, with the user's model in it."""
    work = folder / "work"
    work.mkdir()
    (work / "my_model.py").write_text(MODEL)
    return work


@pytest.fixture(scope="module")
def models(programs, work):
    """The directory of published models: relative, as a user names it."""
    exporter = (programs / "jax-serving-exporter", "export", "my_model:build")
    run(*exporter, "--serving_batch_size=-1", "--noshow_model", cwd=work)
    return Path("models")


def test_it_holds_the_packages_with_their_data_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__" and not path.name.startswith(".")
    }
    assert names == expected
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_its_requirements_fit_together(programs):
    assert run(programs / "python", "-m", "pip", "check") == "No broken requirements found.\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_say_how_to_call_them(programs, work, command):
    assert run(programs / f"jax-serving-{command}", "--help", cwd=work).startswith("usage: ")


def test_what_is_imported_is_installed(programs, work):
    code = f"import {', '.join(PACKAGES)}; print({', '.join(f'{p}.__file__' for p in PACKAGES)})"
    for file in run(programs / "python", "-c", code, cwd=work).split():
        assert Path(file).is_relative_to(programs.parent)


def test_a_version_says_no_commit_of_somebody_elses(models, work):
    (manifest,) = (work / models / "my_model" / "1" / "assets.extra").glob("manifest.json")
    assert json.loads(manifest.read_text())["git_commit"] is None


def test_a_published_version_is_verified_again(programs, work, models):
    said = run(programs / "python", "-m", "exporter", "verify", models / "my_model", cwd=work)
    assert "my_model/1: differences from JAX" in said


def test_a_served_model_answers_as_jax(programs, work, models):
    flags = ("--model_name=my_model", f"--model_base_path={work / models / 'my_model'}")
    command = (programs / "jax-serving-server",)
    with ServerProcess(work.parent / "server.log", *flags, command=command, cwd=work) as server:
        ask = (programs / "jax-serving-predict", "--model=my_model", "--model_dir", models)
        for api in (["--port", server.rest_port], ["--port", server.grpc_port, "--grpc"]):
            answer = json.loads(run(*ask, *api, "--against=jax", "--json", cwd=work))
            assert (answer["ok"], answer["version"], answer["count"]) == (True, 1, 16)


def test_it_writes_for_tensorflow_js(programs, work, models, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(work.parent / "cache"))
    node = bool(shutil.which("node") and shutil.which("npm"))
    assert node or not os.environ.get("CI")
    tfjs = (programs / "jax-serving-exporter", "tfjs", "--model=my_model", "--out=js", "--json")
    result = json.loads(run(*tfjs, f"--verify_in_node={node}", cwd=work))
    assert result["ran_in_node"] == (["cpu", "wasm"] if node else [])
    assert {d["runtime"] for d in result["differences"]} == {"tensorflow", *result["ran_in_node"]}
    assert (work / "js" / "model.json").is_file()
