"""A published version as a model again, to export it in another form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax

from artifact import golden, versions
from artifact.comparison import difference
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import Manifest, ManifestError
from artifact.variables import Bundle
from exporter.errors import CheckFailed, UserError
from exporter.model import SERVING_DEFAULT, Examples, Model, PyTree, build, naming, user_frame
from exporter.model.entry import default_entry
from exporter.verify.answers import answer


def find(base_path: Path, model: str, version: int | None = None) -> Path:
    """Returns the directory of a model's version, the latest where None.

    Raises:
        UserError: there is none.
    """
    published = versions.find(base_path / model)
    wanted = max(published, default=None) if version is None else version
    if wanted is None or wanted not in published:
        which = "no version" if wanted is None else f"no version {wanted}"
        raise UserError(
            f"{base_path / model}: {which} published; export it with `python -m exporter --model "
            f"{model}`, or one of your own with `python -m exporter export pkg.module:build`"
        )
    return published[wanted]


def read_model(version_dir: Path) -> Model:
    """Returns the model that a version was exported from: its parameters and real inputs.

    The function is the one that `pkg.module:build`, which the version names, gives now; that it
    still gives the version's answers is checked at a golden example.

    Args:
        version_dir: `<base>/<model>/<version>`.

    Raises:
        UserError: it is no version that this exporter published, doesn't say what gives its
            function, or is of a model that has other parameters now.
        CheckFailed: the function gives other answers now.
    """
    try:
        manifest = Manifest.read(version_dir)
    except (OSError, ManifestError) as error:
        raise UserError(f"{version_dir}: {error}") from None
    model = _current(version_dir, manifest)
    cases = {
        name: case
        for (signature, name), case in golden.read(version_dir).items()
        if signature == SERVING_DEFAULT
    }
    model = replace(
        model,
        params=_parameters(version_dir, manifest, model.params),
        examples=_examples(cases, model.inputs),
        metrics=manifest.metrics,
    )
    _check_answers(version_dir, manifest, model, next(iter(cases.values())))
    return model


def _current(version_dir: Path, manifest: Manifest) -> Model:
    """The model as the code has it now, with parameters of its own."""
    if manifest.source is None:
        raise UserError(
            f"{version_dir} was exported from Python and doesn't say what gives its function; "
            "name that as pkg.module:build"
        )
    try:
        return build.load(manifest.source, manifest.model)
    except UserError as error:
        raise UserError(f"{version_dir} is from {manifest.source}: {error}") from error


def _parameters(version_dir: Path, manifest: Manifest, like: PyTree) -> PyTree:
    stored = {parameter.path: parameter.key for parameter in manifest.parameters}
    paths = ["/".join(path) for path in naming.parameter_paths(like)]
    if set(paths) != set(stored):
        raise UserError(
            f"{version_dir}: its parameters aren't those that {manifest.source} has now;"
            " export it again"
        )
    bundle = Bundle(version_dir / versions.VARIABLES)
    # JAX's arrays, as a user's function expects them, not the files' own.
    arrays = [jax.numpy.asarray(bundle.read(stored[path])) for path in paths]
    return jax.tree.structure(like).unflatten(arrays)


def _examples(cases: dict[str, GoldenCase], inputs: PyTree) -> Examples | None:
    found = cases.get(EXAMPLES)
    if found is None:
        return None
    arrays = [found.inputs[name] for name in naming.input_names(inputs)]
    return Examples(jax.tree.structure(inputs).unflatten(arrays), found.labels)


def _check_answers(version_dir: Path, manifest: Manifest, model: Model, case: GoldenCase) -> None:
    try:
        found = answer(default_entry(model), case.inputs)
    except Exception as error:
        raise UserError(
            f"{version_dir}: {manifest.source} no longer takes what it was exported for; export "
            f"it again ({user_frame.describe(error)})"
        ) from error
    for name, expected in case.outputs.items():
        tolerance = manifest.tolerance_of(SERVING_DEFAULT, name)
        if name not in found or not difference(found[name], expected, tolerance).agrees:
            raise CheckFailed(
                f"{version_dir}: {manifest.source} gives another {name} now than when it was "
                "exported; export it again, or go back to the code of then"
            )
