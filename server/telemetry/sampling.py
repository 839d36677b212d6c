"""Which requests are traced, decided by a look at one header."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import NamedTuple

from server.errors import invalid

# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may append fields.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_ROOTS = 0.01  # the share of requests without a trace that begin one, unless told otherwise


class Sampling(NamedTuple):
    """What is sampled.

    Attributes:
        roots: The share of requests without a trace of their own.
        follows_parent: Requests with one are sampled where their caller has sampled it; else they
            are drawn by the trace's number, so that all who draw by it draw alike.
    """

    roots: float = _ROOTS
    follows_parent: bool = True

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Sampling:
        """Reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.

        https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

        Raises:
            ServingError: they name a sampler or a share that there isn't.
        """
        name = environment.get("OTEL_TRACES_SAMPLER") or ""
        if not name:
            return cls()
        kind = name.removeprefix("parentbased_")
        text = environment.get("OTEL_TRACES_SAMPLER_ARG") or "1"
        try:
            share = {"always_on": 1.0, "always_off": 0.0, "traceidratio": float(text)}[kind]
        except KeyError:
            raise invalid(
                f"OTEL_TRACES_SAMPLER={name}: there are always_on, always_off and traceidratio, "
                "each also with parentbased_ before it"
            ) from None
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise invalid(f"OTEL_TRACES_SAMPLER_ARG={text} is no share between 0 and 1")
        return cls(share, follows_parent=kind != name)

    def takes(self, traceparent: str) -> bool:
        """Tells whether a request with this header is sampled; an empty one for none."""
        parent = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if parent is None:
            return self.roots > 0 and random.random() < self.roots
        if self.follows_parent:
            return bool(int(parent[3], 16) & 1)
        return int(parent[1][16:], 16) < self.roots * 2**64


def number(traceparent: str) -> str | None:
    """Returns the trace's number in a `traceparent` header; None where there is none."""
    parent = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return parent[1] if parent is not None else None
