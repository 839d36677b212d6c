"""What load to put on a server."""

from __future__ import annotations

from dataclasses import dataclass

from client.endpoint import Endpoint
from client.model_spec import ModelSpec


@dataclass(frozen=True)
class LoadPlan:
    """One run.

    In the closed loop (`rate` None) each of `concurrency` clients sends its next request when the
    last is answered. In the open loop requests start when the schedule says, whatever the server
    does; `concurrency` bounds how many are in flight, and one that must wait for that keeps its
    place in the schedule: its latency runs from its intended start.

    Attributes:
        concurrency: Requests in flight, at most.
        batch_size: Examples a request.
        duration: Seconds measured, at most where `answers` is given.
        answers: The closed loop's measured time ends with so many answers, so that a slow server
            is measured as well as a fast one. Where `duration` comes first, what is in flight
            then is still waited for and counted, with the time that it takes.
        warmup: Seconds before them, under the same load.
        rate: Requests per second of the open loop, or None.
        poisson: Whether the open loop's gaps are exponentially distributed rather than equal.
        connections: gRPC connections that share the requests; REST has one a request in flight.
        timeout: Seconds after which a request counts as DEADLINE_EXCEEDED.
        verify: Whether every answer is decoded and compared.
    """

    endpoint: Endpoint
    spec: ModelSpec
    signature: str = "serving_default"
    concurrency: int = 8
    batch_size: int = 1
    duration: float = 10.0
    warmup: float = 1.0
    rate: float | None = None
    poisson: bool = False
    connections: int | None = None
    timeout: float = 10.0
    verify: bool = False
    answers: int | None = None

    def __post_init__(self) -> None:
        if not self.endpoint.host:
            raise ValueError(
                f"{self.endpoint.address}: load goes to one host and port, or to dns:///HOST:PORT"
            )
        if self.answers is not None and self.rate is not None:
            raise ValueError("the open loop ends by its schedule, not by a number of answers")
        if self.connections is None:
            return
        if self.connections > self.concurrency:
            raise ValueError(
                f"{self.connections} connections for {self.concurrency} requests in flight: "
                "some would never be used"
            )
        if self.endpoint.kind.carrier == "http" and self.connections < self.concurrency:
            raise ValueError(
                "over REST a connection carries one request at a time: "
                f"{self.concurrency} in flight need as many connections, not {self.connections}"
            )
