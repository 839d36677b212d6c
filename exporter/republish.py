"""A published version as a model again, to export it in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from artifact import golden, versions
from artifact.golden import EXAMPLES
from artifact.manifest import Manifest, ManifestError
from artifact.variables import Bundle
from exporter import models, naming
from exporter.errors import UserError
from exporter.model import Examples, Model


def read_model(version_dir: Path) -> Model:
    """Returns the model that a version was exported from: its parameters and real inputs.

    Args:
        version_dir: `<base>/<model>/<version>`, with the classifier.

    Raises:
        UserError: it is no version that this exporter published, or not of a model it knows.
    """
    try:
        manifest = Manifest.read(version_dir)
    except (OSError, ManifestError) as error:
        raise UserError(f"{version_dir}: {error}") from None
    definition = models.get(manifest.model)
    shapes = jax.eval_shape(definition.init, jax.random.key(0))
    bundle = Bundle(version_dir / versions.VARIABLES)
    stored = {parameter.path: bundle.read(parameter.key) for parameter in manifest.parameters}
    paths = ["/".join(path) for path in naming.parameter_paths(shapes)]
    if set(paths) != set(stored):
        raise UserError(
            f"{version_dir}: its parameters aren't those that {manifest.model} has now;"
            " export it again"
        )
    params = jax.tree.structure(shapes).unflatten([stored[path] for path in paths])
    return definition.model(
        params, examples=_examples(version_dir, definition.inputs), metrics=manifest.metrics
    )


def _examples(version_dir: Path, inputs: Any) -> Examples | None:
    cases = golden.read(version_dir)
    found = next((case for (_, name), case in cases.items() if name == EXAMPLES), None)
    if found is None:
        return None
    arrays = [found.inputs[name] for name in naming.input_names(inputs)]
    return Examples(jax.tree.structure(inputs).unflatten(arrays), found.labels)
