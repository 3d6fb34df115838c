"""A question over REST as a value: who reads it in parts, and who carries it out."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from options_helper.data.rest.client import AlpacaRest
from options_helper.errors import RestError

T = TypeVar("T")


class Question(Protocol):
    """What is to be asked."""

    def read(self, rest: AlpacaRest) -> Any:
        """The answer; blocks, raises RestError."""


# What is asked one by one: each question is sent its answer, or has a RestError thrown in.
Asking = Generator[Question, Any, T]


def ask_all(rest: AlpacaRest, asking: Asking[T]) -> T:
    """Carry the questions out, if there are any, and return what they came to.

    Blocks; RestError where the asking lets one through.
    """
    step = partial(next, asking)
    while True:
        try:
            question = step()
        except StopIteration as end:
            return cast("T", end.value)
        try:
            answer = question.read(rest)
        except RestError as error:
            step = partial(asking.throw, error)
        else:
            step = partial(asking.send, answer)
