"""Prices over REST beside another program's streams: asked again and again, stopped and begun at any moment."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from options_helper.data.rest.seeding import SeedBatch
from options_helper.errors import RestError
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamName
from options_helper.watch import rest_follower
from options_helper.watch.rest_follower import RestFollower
from tests.kit.builders import quote
from tests.kit.fakes import SETTINGS
from tests.kit.waiting import AT_ONCE, until_no_thread, wait_until

NOW = datetime(2026, 11, 20, 15, 32, tzinfo=UTC)


class Client:
    """One that answers until it is stopped."""

    def __init__(self, stopping: threading.Event) -> None:
        self.stopping = stopping

    def stop(self) -> None:
        self.stopping.set()


class Stage:
    """A follower whose clients take as long to be made as a test wants."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.is_making, self.may_be_made = threading.Event(), threading.Event()
        self.may_be_made.set()
        self.follower = RestFollower(SETTINGS, now=lambda: NOW, rest_cls=self._make, pace_seconds=0.01)  # type: ignore[arg-type]

    def _make(self, _settings: object, *, stopping: threading.Event, limits: object) -> Client:
        self.is_making.set()
        assert self.may_be_made.wait(AT_ONCE)
        self.clients.append(Client(stopping))
        return self.clients[-1]

    @property
    def told(self) -> LiveSnapshot | None:
        return self.follower.beside(LiveSnapshot(NOW))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch):
    def seed(client: Client, stocks: tuple[str, ...], *_: object, **__: object):
        if client.stopping.is_set():
            raise RestError("it was stopped")
        yield SeedBatch(StreamName.STOCKS, 1, quotes=tuple(quote(name, 1.0, 1.1) for name in stocks))  # type: ignore[misc]

    monkeypatch.setattr(rest_follower, "server_time", lambda _: None)
    monkeypatch.setattr(rest_follower, "seed", seed)
    stage = Stage()
    yield stage
    stage.may_be_made.set()
    stage.follower.stop()
    until_no_thread("live-look")


def test_one_that_was_stopped_while_its_client_was_made_asks_with_a_new_one_when_it_is_wanted_again(
    stage: Stage,
):
    """The streams were heard after all, and then another program took them for the rest of the day."""
    stage.may_be_made.clear()
    stage.follower.follow(("AAPL",), ())
    assert stage.is_making.wait(AT_ONCE)
    stopper = threading.Thread(target=stage.follower.stop)
    stopper.start()
    wait_until(lambda: not stage.follower.is_on)
    stage.may_be_made.set()
    stopper.join()

    stage.follower.follow(("AAPL",), ())

    wait_until(
        lambda: stage.told is not None and "AAPL" in stage.told.quotes, saw=lambda: stage.follower.problem
    )
    assert len(stage.clients) == 2
    assert stage.follower.problem is None


def test_a_stop_forgets_what_was_told(stage: Stage):
    stage.follower.follow(("AAPL",), ())
    wait_until(lambda: stage.told is not None)

    stage.follower.stop()

    assert stage.told is None
    assert not stage.follower.is_on
