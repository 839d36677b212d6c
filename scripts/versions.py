"""Run the core tests with the oldest and with the newest packages that pyproject.toml allows.

python3 scripts/versions.py            # both pairs of JAX and TensorFlow
python3 scripts/versions.py oldest

Each pair has a Python and an environment of its own, `.venv-oldest` and `.venv-newest`. Its pins
are constraints.txt; the oldest pair's own ones, in constraints-oldest.txt, take the place of these.

Where both are tested, each serves what the other has exported, too (scripts/crossing.py).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Exports of both kinds, their check, both engines, both APIs and the client.
TESTS = (
    "tests/unit",
    "tests/integration/test_export_saved_model.py",
    "tests/integration/test_export_publish.py",
    "tests/integration/test_lowering.py",
    "tests/integration/test_no_xla.py",
    "tests/integration/test_parity.py",
    "tests/integration/test_other_jax.py",
    "tests/integration/test_processed_signatures.py",
    "tests/integration/test_server_predict.py",
    "tests/integration/test_server_security.py",
    "tests/integration/test_server_xla.py",
    "tests/integration/test_rpc_aio.py",
    "tests/integration/test_client_predict.py",
    # Of other packages, which they need.
    "--ignore=tests/unit/test_api_reference.py",
    "--ignore=tests/unit/deploy",
)
SHOWN = ("jax", "jaxlib", "flax", "tensorflow", "protobuf", "grpcio", "numpy")
EXTRAS = "exporter,reuse,server,client,test"


@dataclass(frozen=True)
class Pair:
    """A JAX and a TensorFlow that are tested together.

    Attributes:
        python: The Python that they run on.
        pins: A file whose pins take the place of those in constraints.txt.
    """

    python: str
    pins: str | None = None


PAIRS = {"oldest": Pair("3.11", "constraints-oldest.txt"), "newest": Pair("3.13")}


def main() -> int:
    """Returns 0 if the tests of all pairs pass, 1 if not, 2 if a Python is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", nargs="*", metavar="pair", help=f"of {', '.join(PAIRS)}")
    names = parser.parse_args().pairs or list(PAIRS)
    if unknown := [name for name in names if name not in PAIRS]:
        parser.error(f"{unknown[0]} is none of {', '.join(PAIRS)}")
    pythons = {name: find_python(PAIRS[name].python) for name in names}
    for name, python in pythons.items():
        if python is None:
            wanted = PAIRS[name].python
            print(
                f"Python {wanted} is missing, with which the {name} pair is tested:"
                f" `pyenv install {wanted}`, or https://www.python.org",
                file=sys.stderr,
            )
    if None in pythons.values():
        return 2
    verdicts = [run(name, str(python)) for name, python in pythons.items()]
    if len(names) > 1:
        verdicts += [cross(one, other) for one in names for other in names if one != other]
    print("\n".join(["", *(verdict for _, verdict in verdicts)]))
    return 0 if all(passed for passed, _ in verdicts) else 1


def find_python(version: str) -> str | None:
    """Returns a Python of that version: from PATH, or one that pyenv has."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = shutil.which(f"python{version}")
    for python in [found, *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]:
        if python is None:
            continue
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        # A shim of pyenv is there for versions that aren't switched on, too; it fails.
        asked = subprocess.run([python, "-c", code], capture_output=True, text=True)
        if asked.stdout.strip() == version:
            return python
    return None


def constraints(pins: str | None) -> str:
    """Returns the text of a constraints file: a pair's own pins in place of the usual ones."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    if pins is None:
        return "\n".join(lines)
    own = [line for line in (ROOT / pins).read_text().splitlines() if line[:1] not in ("", "#")]
    names = {_name(line) for line in own}
    return "\n".join([line for line in lines if _name(line) not in names] + own)


def _name(requirement: str) -> str:
    """A requirement's package; https://packaging.python.org/specifications/name-normalization."""
    matched = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", matched[0] if matched else "").lower()


def run(name: str, python: str) -> tuple[bool, str]:
    """Tests one pair; returns whether all passed, and a line that says so."""
    environment = ROOT / f".venv-{name}"
    print(f"\n== {name}: {python} in {environment.name}", flush=True)
    try:
        install(environment, python, constraints(PAIRS[name].pins))
    except subprocess.CalledProcessError as error:
        return False, f"{name}: FAILED to install (exit {error.returncode})"
    print(shown := _versions(environment), flush=True)
    start = time.monotonic()
    tests = subprocess.run(
        [
            *(environment / "bin/python", "-m", "pytest", "-q", "-n", "logical"),
            *("--maxprocesses=4", "-m", "not slow and not long", *TESTS),
        ],
        cwd=ROOT,
    )
    verdict = "passed" if tests.returncode == 0 else f"FAILED (exit {tests.returncode})"
    return tests.returncode == 0, f"{name}: {verdict} in {time.monotonic() - start:.0f} s: {shown}"


def cross(exporting: str, serving: str) -> tuple[bool, str]:
    """Serves with one pair what another exports; returns whether it answers so, and a line."""
    print(f"\n== {serving} serves what {exporting} exports", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        for name, what in ((exporting, "export"), (serving, "serve")):
            python = ROOT / f".venv-{name}" / "bin/python"
            command = [python, "scripts/crossing.py", what, directory]
            if subprocess.run(command, cwd=ROOT).returncode != 0:
                return False, f"{serving} serves what {exporting} exports: FAILED to {what}"
    return True, f"{serving} serves what {exporting} exports: passed"


def install(environment: Path, python: str, pins: str) -> None:
    """Makes an environment, unless it is there with these pins and requirements.

    Raises:
        subprocess.CalledProcessError: pip fails; it has said why.
    """
    requirements = (ROOT / "pyproject.toml").read_text()
    digest = hashlib.sha256("\n".join([python, pins, requirements]).encode()).hexdigest()
    stamp = environment / ".installed"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    subprocess.run([python, "-m", "venv", "--clear", environment], check=True)
    (environment / "constraints.txt").write_text(pins)
    pip = [environment / "bin/python", "-m", "pip", "--disable-pip-version-check", "install"]
    subprocess.run(
        [*pip, "--quiet", "--constraint", environment / "constraints.txt", "-e", f".[{EXTRAS}]"],
        cwd=ROOT,
        check=True,
    )
    subprocess.run([*pip[:-1], "check"], check=True)
    stamp.write_text(digest)


def _versions(environment: Path) -> str:
    code = (
        "import platform, sys; from importlib.metadata import version as v;"
        "names = [f'{name} {v(name)}' for name in sys.argv[1:]];"
        "print(f'Python {platform.python_version()}', *names, sep=', ')"
    )
    command = [environment / "bin/python", "-c", code, *SHOWN]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
