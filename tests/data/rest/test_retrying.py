"""What an attempt raises is no answer, whatever it is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from options_helper.data.rest.question import Addressee
from options_helper.data.rest.rate_limit import DEFAULT_POLICY, HostRequests, RequestLimiter
from options_helper.data.rest.retrying import Retrying

NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize("fault", [StopIteration("of its own"), KeyError("k")])
def test_what_an_attempt_raises_reaches_who_asks(fault: Exception):
    def attempt() -> str:
        raise fault

    asking = Retrying[str](
        DEFAULT_POLICY, threading.Event(), now=lambda: NOW, elapsed=lambda: 0.0, random=lambda: 0.5
    )

    with pytest.raises(type(fault)) as raised:
        asking.ask(
            HostRequests(RequestLimiter(100)), "/v2/x", Addressee("Alpaca", "127.0.0.1", "/v2/x"), attempt
        )

    assert raised.value is fault
