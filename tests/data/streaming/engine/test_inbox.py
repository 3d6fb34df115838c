"""What one of several runs is told of a shared connection: in order, never after its end, never at others' cost."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.engine.inbox import Inbox
from options_helper.errors import StreamError
from tests.kit.waiting import AT_ONCE, wait_until


class Noted(StreamSink):
    """Notes what it is told, and where; being told of a connection may take as long as the test wants."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.threads: dict[str, str] = {}
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def _note(self, what: str) -> None:
        self.threads[what] = threading.current_thread().name
        self.told.append(what)

    def connected(self, announcement: str | None) -> None:
        self._note("connected")
        assert self.may_go_on.wait(AT_ONCE)

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        self._note("subscribed")

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        self._note(payload.decode())

    def notice(self, sentence: str) -> None:
        self._note(sentence)

    def invite(self) -> None:
        """Not of an inbox."""


def hearing(inbox: Inbox) -> tuple[threading.Thread, list[BaseException]]:
    """A run that hears its inbox, and what that raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            inbox.hear()
        except StreamError as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="live-run", daemon=True)
    thread.start()
    return thread, raised


def test_frames_that_come_while_a_sink_takes_in_its_connection_wait_behind_it():
    sink = Noted()
    sink.may_go_on.clear()
    inbox = Inbox(sink)
    inbox.tell(lambda: sink.connected(None))
    thread, _ = hearing(inbox)
    wait_until(lambda: sink.told == ["connected"])

    for name in ("1", "2"):
        inbox.frame(name.encode(), 1, 0)
    inbox.tell(lambda: sink.notice("slow"))
    inbox.frame(b"3", 1, 0)
    assert sink.told == ["connected"]

    sink.may_go_on.set()
    wait_until(lambda: len(sink.told) == 5, saw=lambda: sink.told)
    assert sink.told == ["connected", "1", "2", "slow", "3"]
    # From then on they need no other thread.
    wait_until(lambda: _is_direct(inbox, sink), saw=lambda: sink.threads)
    inbox.end(None)
    thread.join(AT_ONCE)


def _is_direct(inbox: Inbox, sink: Noted) -> bool:
    inbox.frame(b"direct", 1, 0)
    return sink.threads.get("direct") == threading.current_thread().name


def test_what_came_before_the_loss_is_told_before_the_loss():
    sink = Noted()
    inbox = Inbox(sink)
    inbox.tell(lambda: sink.connected(None))
    inbox.frame(b"1", 1, 0)
    inbox.end(StreamError("lost"))
    with pytest.raises(StreamError, match="lost"):
        inbox.hear()
    assert sink.told == ["connected", "1"]


def test_whoever_is_stopped_is_told_nothing_more():
    sink = Noted()
    inbox = Inbox(sink)
    inbox.frame(b"1", 1, 0)
    inbox.end(None)
    inbox.hear()
    inbox.frame(b"2", 1, 0)
    inbox.tell(lambda: sink.notice("late"))
    assert sink.told == ["1"]


def test_the_first_reason_of_an_end_is_the_one_that_is_raised():
    inbox = Inbox(Noted())
    inbox.end(StreamError("refused"))
    inbox.end(StreamError("lost"))
    with pytest.raises(StreamError, match="refused"):
        inbox.hear()


def test_a_sink_that_takes_nothing_in_loses_the_connection_before_it_fills_the_memory():
    sink = Noted()
    sink.may_go_on.clear()
    inbox = Inbox(sink, most_events=10)
    inbox.tell(lambda: sink.connected(None))
    thread, raised = hearing(inbox)
    wait_until(lambda: sink.told == ["connected"])
    for _ in range(20):
        inbox.frame(b"x", 3, 0)
    sink.may_go_on.set()
    thread.join(AT_ONCE)
    # Those that were let in are told of, and no frame after them.
    assert sink.told == ["connected", *("x" * 4)]
    assert "12 events" in str(raised)


def test_only_what_waits_now_counts_and_not_what_was_taken_in_long_ago():
    sink = Noted()
    inbox = Inbox(sink, most_events=10)
    thread, raised = hearing(inbox)
    for round_ in range(5):
        sink.may_go_on.clear()
        inbox.tell(lambda: sink.connected(None))
        inbox.frame(b"x", 8, 0)
        sink.may_go_on.set()
        wait_until(lambda: sink.told.count("x") > round_, saw=lambda: (sink.told, raised))  # noqa: B023

    inbox.end(None)
    thread.join(AT_ONCE)
    assert raised == []


def test_a_sink_that_fails_ends_its_own_run_and_not_the_connections_thread():
    class Failing(Noted):
        def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
            raise ValueError("odd")

    inbox = Inbox(Failing())
    inbox.frame(b"1", 1, 0)
    with pytest.raises(StreamError, match=r"could not take a frame \(ValueError\): odd"):
        inbox.hear()
