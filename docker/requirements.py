"""Print what an image installs: extras of pyproject.toml, without what an image has no use for.

python3 docker/requirements.py server tracing >requirements.txt
python3 docker/requirements.py exporter:tensorflow    # of that extra, this alone
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

LEFT_OUT = {
    "docker": "an image talks to no Docker engine",
    "importlib_resources": "tensorflow-datasets imports it",
    "PyYAML": "reads compose.yaml for that engine",
    "tensorflow-datasets": "240 MB, mostly of pyarrow; the images train on the sample or IDX files",
    "tensorflow-serving-api": "wants TensorFlow with CUDA; wire/ has the same messages",
}
# tensorflow-cpu has wheels for amd64 alone; elsewhere tensorflow itself comes without CUDA.
SWAPPED = {
    "tensorflow": [
        'tensorflow-cpu{bounds}; platform_machine == "x86_64"',
        'tensorflow{bounds}; platform_machine != "x86_64"',
    ],
}


def requirements(extras: Sequence[str], pyproject: Path) -> list[str]:
    """The requirement lines of some extras for an image, or of one package in an extra."""
    project = tomllib.loads(pyproject.read_text())["project"]
    lines = []
    wanted = list(project["dependencies"])
    for extra, _, package in (name.partition(":") for name in extras):
        of_extra = project["optional-dependencies"][extra]
        wanted += [line for line in of_extra if not package or _name(line) == package]
    for line in wanted:
        name = _name(line)
        if name not in LEFT_OUT:
            bounds = line.removeprefix(name)
            lines += [form.format(bounds=bounds) for form in SWAPPED.get(name, [line])]
    return lines


def _name(line: str) -> str:
    return re.match(r"[\w.-]+", line)[0]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:], Path("pyproject.toml"))))
