"""Loading a version: signatures, engine, warm-up."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from artifact import program
from server.engines import choice
from server.engines.engine import EngineOptions
from server.engines.sizes import Sizes
from server.inference.batching import exact, preparation
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
        check_method_names: Insist on the signatures' method names.
        functions: The compiled programs of the versions that are loaded.
    """

    engine: EngineOptions
    enable_warmup: bool = True
    warmup_iterations: int = 1
    batch_sizes: Sizes | None = None
    is_exact: bool = False
    check_method_names: bool = False
    functions: program.Functions = field(default_factory=program.Functions)

    def __call__(self, name: str, version: int, path: Path) -> Servable:
        """Loads and warms up one version.

        Raises:
            ServingError: it can't be read, loaded or warmed up.
        """
        start = time.monotonic()
        engine, found = choice.load(path, self.engine, self.functions)
        servable = Servable(
            name, version, found, engine, checks_method_names=self.check_method_names
        )
        records = 0
        if self.enable_warmup:
            records = warmup.run(path, servable, iterations=self.warmup_iterations)
        # A merged call has one leading axis, which all inputs share.
        row_wise = frozenset(filter(engine.has_one_batch, preparation.proven(path)))
        if self.batch_sizes is not None and self.is_exact:
            servable.batches = exact.sizes(
                servable.engine, servable.signatures, row_wise, self.batch_sizes, path
            )
        elif self.batch_sizes is not None and servable.engine.compiles_sizes:
            servable.batches = preparation.sizes(
                servable.engine, servable.signatures, row_wise, self.batch_sizes
            )
        logger.info(
            "%s version %d loaded by engine %s in %.2f s, %d warm-up records",
            name, version, servable.engine.name, time.monotonic() - start, records,
        )  # fmt: skip
        return servable
