"""What a face asks for: parsed and rendered by the face, inferred by the core."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from server.inference.tasks import Task
from server.inference.timeout import Timeout
from server.models.servable import Servable

R = TypeVar("R")


class ModelSpec(NamedTuple):
    """Which servable and signature a request is for; at most one of version and label.

    Attributes:
        signature: Empty for the default.
    """

    name: str
    version: int | None = None
    label: str = ""
    signature: str = ""


class Answer(NamedTuple):
    """What a task came to.

    Attributes:
        servable: The version that answers.
        signature: The signature's name, the default's where none was asked for.
        result: The task's.
    """

    servable: Servable
    signature: str
    result: Any


class Ask(ABC, Generic[R]):
    """A face's request. It is parsed and rendered by the face, and inferred by the core.

    Attributes:
        face: Its name in metrics.
        method: The API's, such as `Predict`.
        model: The name that is asked for.
        deadline: The event loop's time at which the face gives up; None: never.
        timeout: Gives the request a deadline, where the face doesn't.
    """

    __slots__ = ("deadline", "model", "timeout")
    face: ClassVar[str]
    method: ClassVar[str]

    def __init__(
        self, model: str, *, deadline: float | None = None, timeout: Timeout | None = None
    ) -> None:
        self.model, self.deadline, self.timeout = model, deadline, timeout

    @abstractmethod
    async def parse(self) -> ModelSpec:
        """Reads the request as far as that takes no model, and returns what it is for.

        Raises:
            ServingError: it can't be read.
        """

    @abstractmethod
    async def task(self, servable: Servable) -> Task:
        """Reads the rest of it, such as tensors in the dtypes of the signature.

        Raises:
            ServingError: it can't be read.
        """

    @abstractmethod
    async def render(self, answer: Answer) -> R:
        """Returns the response.

        Raises:
            ServingError: the face has no form for such an answer.
        """
