"""What a call does, step by step, and how a thread does it.

A call is a generator that yields its steps and returns its result; it is written once and carried
out by a thread (`run`) or on an event loop (`run_async`). A step's answer is sent into it, and a
refusal thrown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from client.codec import Exchange, UnlikeSignature
from client.deadline import Deadline
from client.errors import ServingError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Send:
    """Carry out an exchange, once; the answer is what it reads."""

    exchange: Exchange[Any]
    deadline: Deadline


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Compute:
    """Call a function that takes its time; the answer is what it returns."""

    function: Callable[[], Any]


Step = Send | Pause | Compute
Steps = Generator[Step, Any, Result]
# What a step throws into its call; everything else ends the call.
_THROWN = (ServingError, UnlikeSignature)


class Carrier(Protocol):
    """What carries out exchanges for a thread."""

    def send(self, exchange: Any, deadline: Deadline) -> Any:
        """Makes one try; raises ServingError."""

    def close(self) -> None:
        """Closes the connections."""


class AsyncCarrier(Protocol):
    """What carries out exchanges on an event loop."""

    async def send(self, exchange: Any, deadline: Deadline) -> Any:
        """Makes one try; raises ServingError."""

    async def compute(self, function: Callable[[], Any]) -> Any:
        """Calls a function where it keeps nobody waiting."""

    async def close(self) -> None:
        """Closes the connections."""


def run(steps: Steps[Result], carrier: Carrier) -> Result:
    """Does a call's steps and returns its result."""
    try:
        step = next(steps)
        while True:
            try:
                answer = _do(step, carrier)
            except _THROWN as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result


async def run_async(steps: Steps[Result], carrier: AsyncCarrier) -> Result:
    """Does a call's steps on the event loop and returns its result."""
    try:
        step = next(steps)
        while True:
            try:
                answer = await _do_async(step, carrier)
            except _THROWN as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result


def _do(step: Step, carrier: Carrier) -> Any:
    match step:
        case Send(exchange, deadline):
            return carrier.send(exchange, deadline)
        case Compute(function):
            return function()
        case Pause(seconds):
            time.sleep(seconds)


async def _do_async(step: Step, carrier: AsyncCarrier) -> Any:
    match step:
        case Send(exchange, deadline):
            return await carrier.send(exchange, deadline)
        case Compute(function):
            return await carrier.compute(function)
        case Pause(seconds):
            await asyncio.sleep(seconds)
