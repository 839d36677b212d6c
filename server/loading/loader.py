"""Loading a version: signatures, engine, warm-up."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from artifact import program
from artifact.manifest import Manifest, ManifestError
from server.engines import choice
from server.engines.engine import Engine, EngineOptions
from server.engines.sizes import Sizes
from server.inference.batching import exact
from server.inference.batching.preparation import Preparation
from server.loading import warmup
from server.models.servable import Servable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loader:
    """Makes servables of version directories; called on threads off the request path.

    Attributes:
        engine: How the engine is chosen and set up.
        enable_warmup: Run a version's warm-up records before it is available.
        warmup_iterations: How often each of them is run.
        batch_sizes: Of calls that are merged where that changes no answer, in engines that
            compile a program a size; None: no calls are merged.
        is_exact: Merge and execute in sizes alone that give a row the same bits.
        preparation_s: Longest time to compile batch sizes, after the first of each signature,
            before a version is available; the others follow when it is.
        check_method_names: Insist on the signatures' method names.
        functions: The compiled programs of the versions that are loaded.
    """

    engine: EngineOptions
    enable_warmup: bool = True
    warmup_iterations: int = 1
    batch_sizes: Sizes | None = None
    is_exact: bool = False
    preparation_s: float = 10.0
    check_method_names: bool = False
    functions: program.Functions = field(default_factory=program.Functions)

    def __call__(self, name: str, version: int, path: Path) -> Servable:
        """Loads and warms up one version.

        Raises:
            ServingError: it can't be read, loaded or warmed up.
        """
        start = time.monotonic()
        manifest = _manifest(path)
        engine, found = choice.load(path, self.engine, self.functions, manifest)
        servable = Servable(
            name, version, found, engine, checks_method_names=self.check_method_names
        )
        records = 0
        if self.enable_warmup:
            records = warmup.run(path, servable, iterations=self.warmup_iterations)
        self._prepare(servable, path, manifest)
        logger.info(
            "%s version %d loaded by engine %s in %.2f s, %d warm-up records",
            name, version, servable.engine.name, time.monotonic() - start, records,
        )  # fmt: skip
        return servable

    def _prepare(self, servable: Servable, path: Path, manifest: Manifest | None) -> None:
        """Finds out which calls may be merged, and in which sizes."""
        if self.batch_sizes is None:
            return
        engine, signatures = servable.engine, servable.signatures
        row_wise = _row_wise(engine, manifest)
        if self.is_exact:
            servable.batches = exact.sizes(engine, signatures, row_wise, self.batch_sizes, path)
            return
        if not engine.compiles_sizes:
            return
        preparation = Preparation(engine, signatures, row_wise, self.batch_sizes)
        is_done = preparation.run(self.preparation_s)
        servable.batches = dict(preparation.sizes)
        if is_done:
            return

        def tell(sizes: Mapping[str, Sizes]) -> None:
            servable.batches = sizes

        def rest() -> None:
            start = time.monotonic()
            preparation.finish(lambda: not servable.is_retired, tell)
            logger.info(
                "%s version %d: the rest of its batch sizes prepared in %.2f s",
                servable.name, servable.version, time.monotonic() - start,
            )  # fmt: skip

        servable.prepare = rest


def _manifest(path: Path) -> Manifest | None:
    """The version's manifest, read once; None where there is none, or it is damaged."""
    try:
        return Manifest.read(path)
    except (OSError, ManifestError):
        return None


def _row_wise(engine: Engine, manifest: Manifest | None) -> frozenset[str]:
    """The signatures whose rows are proven to be independent, and are counted by one axis.

    None where there is no manifest: of other people's models nothing is known.
    """
    if manifest is None:
        return frozenset()
    proven = [name for name, entry in manifest.signatures.items() if entry.row_wise]
    return frozenset(filter(engine.has_one_batch, proven))
