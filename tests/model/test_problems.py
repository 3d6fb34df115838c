"""What could not be had: a cause is said once, with all that follows from it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from options_helper.errors import ConfigError, RestError
from options_helper.model.problems import Problem, in_words, sentences

AT = datetime(2026, 11, 20, 15, tzinfo=UTC)
KEYS = "Alpaca (api.alpaca.markets) answered with HTTP 401. Check the keys."
GONE = "Alpaca (data.alpaca.markets) cannot be reached. Check the network."


def test_one_cause_is_said_once_with_all_that_is_not_known_for_it():
    said = sentences(
        [
            Problem(KEYS, asked="/v2/positions"),
            Problem(KEYS, "how A is settled", "/v2/options/contracts/A"),
            Problem(KEYS, "what became of B", "/v2/account/activities"),
            Problem(KEYS, "what became of B", "/v2/account/activities"),
        ]
    )

    assert said == (f"{KEYS} Not known now: how A is settled; what became of B.",)


def test_several_causes_are_several_sentences_in_the_order_in_which_they_came():
    problems = [Problem(KEYS, "a"), Problem(GONE, "b"), Problem(KEYS, "c"), Problem(GONE)]

    assert sentences(problems) == (f"{KEYS} Not known now: a; c.", f"{GONE} Not known now: b.")
    assert in_words(problems) == f"{KEYS} Not known now: a; c. {GONE} Not known now: b."
    assert in_words(()) is None


def test_which_questions_were_asked_in_vain_is_said_where_there_is_room():
    problems = [Problem(KEYS, asked="/v2/orders"), Problem(KEYS, asked="/v2/positions"), Problem(KEYS, "a")]

    assert sentences(problems, with_questions=True) == (
        f"{KEYS} Not known now: a. Asked: /v2/orders, /v2/positions.",
    )
    assert sentences(problems) == (f"{KEYS} Not known now: a.",)


def test_of_several_pauses_the_one_that_ends_first_is_said():
    problems = [Problem(GONE, again_at=AT.replace(second=second)) for second in (40, 20, 30)]

    assert sentences(problems) == (f"{GONE} It may be asked again at 2026-11-20 15:00:20 UTC.",)


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        ([Problem(KEYS, accounts=("ira",)), Problem(KEYS, accounts=("ira",))], f"ira: {KEYS}"),
        ([Problem(KEYS, accounts=("ira",)), Problem(KEYS, accounts=("main",))], f"ira and main: {KEYS}"),
        ([Problem(KEYS), Problem(KEYS, "a", accounts=("ira",))], f"{KEYS} Not known now: a (ira)."),
        (
            [Problem(KEYS, "a", accounts=("ira",)), Problem(KEYS, "b", accounts=("main",))],
            f"{KEYS} Not known now: a (ira); b (main).",
        ),
    ],
    ids=["one", "both alike", "all and one", "each its own"],
)
def test_whose_it_is_is_said_where_not_all_have_the_same(problems: list[Problem], said: str):
    assert sentences(problems) == (said,)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (RestError("Alpaca said no to /v2/x.", cause="Alpaca said no."), Problem("Alpaca said no.", "a")),
        (ConfigError("There are no keys."), Problem("There are no keys.", "a")),
        (KeyError("a secret"), Problem("Asking failed (KeyError); it is tried again.", "a")),
    ],
    ids=["rest", "ours", "nobody's"],
)
def test_an_error_s_cause_is_what_it_says_of_no_question_and_nothing_of_one_that_nobody_knows(
    error: Exception, problem: Problem
):
    assert Problem.of(error, "a") == problem
