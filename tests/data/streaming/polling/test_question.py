"""Questions that are asked one by one are carried out, and no question is an answer too."""

from __future__ import annotations

from typing import Any, cast

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.polling.question import Asking, ask_all
from options_helper.errors import RestError

NOBODY = cast("AlpacaRest", None)


class Says:
    """A question with this answer."""

    def __init__(self, answer: int | RestError) -> None:
        self._answer = answer

    def read(self, rest: AlpacaRest) -> Any:
        if isinstance(self._answer, RestError):
            raise self._answer
        return self._answer


def asking(*answers: int | RestError) -> Asking[list[Any]]:
    found: list[Any] = []
    for answer in answers:
        try:
            found.append((yield Says(answer)))
        except RestError as error:
            found.append(str(error))
    return found


def test_each_question_is_sent_its_answer_or_the_error():
    assert ask_all(NOBODY, asking(1, RestError("refused"), 2)) == [1, "refused", 2]


def test_where_nothing_is_to_be_asked_that_is_the_answer():
    assert ask_all(NOBODY, asking()) == []
