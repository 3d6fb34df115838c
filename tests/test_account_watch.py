"""The account's asker on a scripted server: what belongs together is told together."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from options_helper.data.account import AccountTruth, RestPhase, RestTask
from options_helper.data.streaming.account_watch import AccountWatch, WatchPolicy
from options_helper.data.streaming.events import StreamName
from options_helper.data.streaming.frame_queue import Frame
from options_helper.data.streaming.snapshot import LiveState
from options_helper.data.streaming.stream_config import LiveStreamConfig
from tests.fakes import NOON, SETTINGS
from tests.waiting import wait_until

CALL = "AAPL261218C00180000"
FILL = {
    "stream": "trade_updates",
    "data": {
        "event": "fill",
        "timestamp": "2026-11-05T17:00:00Z",
        "execution_id": "e1",
        "price": "1.05",
        "qty": "2",
        "order": {
            "id": "o1",
            "symbol": CALL,
            "side": "buy",
            "qty": "2",
            "filled_qty": "2",
            "status": "filled",
        },
    },
}


class ScriptedRest:
    """An account without orders; each look at the positions is what the script says next, then the last one."""

    def __init__(self, *looks: Callable[[], int]) -> None:
        self._looks = list(looks)

    def __call__(self, *_: Any, **__: Any) -> ScriptedRest:
        return self

    def positions(self) -> list[dict[str, Any]]:
        """So many contracts."""
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return [{"symbol": CALL, "qty": str(look()), "side": "long", "asset_class": "us_option"}]

    def account(self) -> dict[str, Any]:
        """Without cash."""
        return {}

    def orders(self, *_: Any) -> Iterator[list[Any]]:
        """None."""
        return iter(())

    activities = orders

    def stop(self) -> None:
        """Nothing is under way."""


class Desk:
    """The state that the asker and a stream share."""

    def __init__(self) -> None:
        self.state = LiveState(fills_cache_size=10)
        self.lock = threading.Lock()

    def hear_fill(self) -> None:
        """As the consumer does when the socket tells one."""
        with self.lock:
            self.state.apply(Frame(StreamName.FILLS, json.dumps(FILL).encode(), 1, NOON))

    @contextmanager
    def watching(self, rest: ScriptedRest) -> Iterator[Callable[[], AccountTruth]]:
        """An asker that has begun, and what it knows."""
        watch = AccountWatch(
            LiveStreamConfig(),
            SETTINGS,
            self.state,
            lock=self.lock,
            now_ns=lambda: NOON + 10**9,
            rest_cls=rest,
            policy=WatchPolicy(grace=0, poll=0.05, again=0.05, settle=0),
        )
        watch.start()
        try:
            yield lambda: watch.truth
        finally:
            watch.stop()


def test_a_fill_that_comes_while_positions_are_read_is_in_both_or_in_neither():
    """Whoever subtracts it from the position would otherwise think that it was held overnight."""
    desk = Desk()
    seen: list[tuple[int, int]] = []

    def heard_and_not_yet_booked() -> int:
        desk.hear_fill()
        return 0

    rest = ScriptedRest(lambda: 0, heard_and_not_yet_booked, lambda: 2)
    with desk.watching(rest) as truth:

        def both_known() -> bool:
            now = truth()
            if now.view is not None:
                held = sum(position.quantity for position in now.view.positions.values())
                seen.append((int(held), len(now.executions)))
            return bool(seen) and seen[-1] == (2, 1)

        wait_until(both_known, every=0.001, saw=lambda: seen)

    assert set(seen) <= {(0, 0), (2, 1)}


def test_positions_that_never_stand_still_are_not_told_and_it_says_so():
    counts = iter(range(1, 10_000))
    rest = ScriptedRest(lambda: next(counts))
    with Desk().watching(rest) as truth:
        wait_until(lambda: truth().reports[RestTask.POSITIONS].phase is RestPhase.FAILED, saw=truth)
        assert "changed while they were read" in (truth().reports[RestTask.POSITIONS].problem or "")
        assert truth().view is None


def test_a_bug_in_an_answer_s_reading_ends_nothing(caplog: pytest.LogCaptureFixture):
    def broken() -> int:
        raise ZeroDivisionError

    with Desk().watching(ScriptedRest(broken, lambda: 3)) as truth:
        wait_until(lambda: truth().view is not None, saw=truth)

    assert "asking the account failed" in caplog.text
