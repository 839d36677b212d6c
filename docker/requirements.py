"""Print what an image installs: one extra of pyproject.toml, without what an image has no use for.

python3 docker/requirements.py server >requirements.txt
"""

import sys
import tomllib
from pathlib import Path

LEFT_OUT = {
    "docker": "an image talks to no Docker engine",
    "PyYAML": "reads compose.yaml for that engine",
    "tensorflow-datasets": "240 MB, mostly of pyarrow; the images train on the sample or IDX files",
    "tensorflow-serving-api": "wants TensorFlow with CUDA; wire/ has the same messages",
}
# tensorflow-cpu has wheels for amd64 alone; elsewhere tensorflow itself comes without CUDA.
SWAPPED = {
    "tensorflow": [
        'tensorflow-cpu; platform_machine == "x86_64"',
        'tensorflow; platform_machine != "x86_64"',
    ],
}


def requirements(extra: str, pyproject: Path) -> list[str]:
    """The requirement lines of one extra for an image."""
    project = tomllib.loads(pyproject.read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"][extra]
    return [line for name in wanted if name not in LEFT_OUT for line in SWAPPED.get(name, [name])]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1], Path("pyproject.toml"))))
