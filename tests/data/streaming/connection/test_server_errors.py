"""Which failures are final, how long to wait after the others, and what the user is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.connection.server_errors import error_code, handshake_error, server_error
from options_helper.errors import StreamRefused
from options_helper.model.backoff import compute_backoff_seconds


def backoff(attempt: int, jitter: float = 1.0) -> float:
    return compute_backoff_seconds(attempt, base_seconds=1.0, cap_seconds=60.0, random=lambda: jitter)


def test_the_pause_doubles_up_to_the_cap():
    assert [backoff(attempt) for attempt in (1, 2, 3, 4, 5, 6, 7, 8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_jitter_takes_at_most_half():
    assert backoff(3, jitter=0.0) == 2.0


@given(st.integers(-5, 10**9), st.floats(0, 1, exclude_max=True))
def test_the_pause_is_never_nothing_and_never_beyond_the_cap(attempt: int, jitter: float):
    assert 0.5 <= backoff(attempt, jitter) <= 60.0


@pytest.mark.parametrize("code", [402, 409, 411, 412])
def test_an_answer_that_would_come_again_is_final(code: int):
    assert isinstance(server_error("opra", code, "no"), StreamRefused)


@pytest.mark.parametrize("code", [401, 404, 405, 406, 407, 410, 413, 500, 999, None])
def test_any_other_answer_is_not(code: int | None):
    assert not isinstance(server_error("iex", code, "no"), StreamRefused)


def test_a_full_connection_slot_is_tried_again_slowly_and_explained():
    error = server_error("iex", 406, "connection limit exceeded")

    assert error.retry_slowly
    assert "90 s" in str(error)


def test_a_refused_feed_is_named_with_its_remedy():
    sentence = str(server_error("opra", 409, "insufficient subscription"))

    assert "opra" in sentence
    assert "indicative" in sentence


@pytest.mark.parametrize(
    ("status", "final"), [(401, True), (403, True), (404, True), (429, False), (503, False)]
)
def test_an_http_answer_is_final_unless_it_asks_for_patience(status: int, final: bool):  # noqa: FBT001
    assert isinstance(handshake_error("iex", status), StreamRefused) is final


def test_too_many_connects_are_tried_again_slowly():
    assert handshake_error("iex", 429).retry_slowly


@pytest.mark.parametrize(
    ("feed", "variable"), [("iex", "OH_ALPACA_STREAM_URL"), ("trading", "APCA_API_BASE_URL")]
)
def test_an_address_without_a_stream_names_the_variable_it_came_from(feed: str, variable: str):
    assert variable in str(handshake_error(feed, 404))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (405, 405),
        ("405", 405),
        (405.0, 405),
        (None, None),
        ([405], None),
        ({}, None),
        (True, None),
        ("x", None),
    ],
)
def test_a_code_is_read_whatever_it_was_sent_as(said: object, code: int | None):
    assert error_code(said) == code


@pytest.mark.parametrize("status", [408, 421, 425, 429, 499])
def test_a_status_that_says_of_itself_that_it_passes_is_no_refusal(status: int):
    assert not isinstance(handshake_error("iex", status), StreamRefused)
