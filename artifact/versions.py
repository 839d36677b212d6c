"""Version directories: which there are, and where things stand in one."""

from __future__ import annotations

import re
from pathlib import Path

# TensorFlow Serving takes any directory whose name parses as an int64 for a version.
# https://www.tensorflow.org/tfx/serving/serving_config
# As absl::SimpleAtoi does: blanks around it, a sign and any number of zeros before it.
# Source: tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]{1,19})[ \t\n\v\f\r]*", re.ASCII)
_INT64 = range(-(2**63), 2**63)

EXTRA = "assets.extra"
MANIFEST = f"{EXTRA}/manifest.json"
GOLDEN = f"{EXTRA}/golden.npz"
WARMUP = f"{EXTRA}/tf_serving_warmup_requests"
SAVED_MODEL = "saved_model.pb"
VARIABLES = "variables/variables"


def parse(name: str) -> int | None:
    """Returns the version that a directory's name stands for; None where it is no version."""
    found = _NUMBER.fullmatch(name)
    if found is None:
        return None
    version = int(found[1] + found[2])
    return version if version in _INT64 else None


def find(model_dir: Path) -> dict[int, Path]:
    """Returns the version directories under `model_dir` by version, ascending; none where absent.

    Two names of the same number (`1` and `001`) give one entry, the shorter name's.
    """
    try:
        names = sorted((entry.name for entry in model_dir.iterdir()), key=len, reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found = {
        version: model_dir / name
        for name in names
        if (version := parse(name)) is not None and (model_dir / name).is_dir()
    }
    return dict(sorted(found.items()))


def latest(model_dir: Path) -> Path:
    """Returns the directory of the highest version.

    Raises:
        FileNotFoundError: there is no version.
    """
    found = find(model_dir)
    if not found:
        raise FileNotFoundError(f"{model_dir}: no version directory in it")
    return found[max(found)]


def resolve(directory: Path) -> Path:
    """Returns the version that a directory stands for: itself, or the latest of a model's."""
    if parse(directory.name) is None and find(directory):
        return latest(directory)
    return directory
