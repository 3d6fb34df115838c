"""A manager on the bus: the streams of an owner, with what it knows beside them, as one snapshot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from msgspec.structs import replace as replace_event

from options_helper.bus.address import BusAddress
from options_helper.bus.clocks import Offset
from options_helper.bus.detail import slowness
from options_helper.bus.follower import Desk, DeskFollower
from options_helper.bus.legs import Leg, both_legs
from options_helper.bus.streamer import BusSource
from options_helper.bus.truth import DeskBooks, PictureEvent
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.live_run import LiveRun
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.news import ALL_SYMBOLS, Article
from options_helper.model.order_book import Book
from options_helper.model.snapshot import DeskRemarks, LiveSnapshot
from options_helper.model.streams import StreamId
from options_helper.settings import Settings


class BusManager:
    """What a page, a watch or a program has in place of a `LiveStreamManager`; it needs no keys.

    Prices are folded here, from the owner's own frames. The account, the fills, the risk inputs and the articles are
    the owner's. Every method may be called from any thread.
    """

    def __init__(
        self,
        settings: Settings,
        address: BusAddress,
        *,
        now_ns: Callable[[], int] = utc_now_ns,
        monotonic: Callable[[], float] = time.monotonic,
        fill: Callable[[], float] | None = None,  # of its queue; None: it looks itself
    ) -> None:
        self._settings, self._address = settings, address
        self._sees_account = True
        self._now_ns, self._monotonic = now_ns, monotonic
        self._fill = fill or (lambda: self.streams.queue_fill)
        self._source = BusSource(address, now_ns, monotonic=monotonic, fill=self._fill)
        self.streams: LiveStreamManager = LiveStreamManager(
            settings,
            source=self._source,
            rest_cls=None,
            only_wanted=True,
            run_cls=partial(LiveRun, group_cls=partial(StreamGroup, expects=self._is_behind)),
            now_ns=now_ns,
            monotonic=monotonic,
        )
        # Held while a run begins or ends.
        self._lock = threading.Lock()
        # Replaced whole; the last one stays after a stop, as the last run does.
        self._follower: DeskFollower | None = None
        self._follows = False
        self._config = LiveStreamConfig()

    def start(self, config: LiveStreamConfig) -> None:
        """As `LiveStreamManager.start`; never waits for the network."""
        with self._lock:
            if not self._follows:
                self._source.check(self._settings)
                self._sees_account = self._address.access.sees_account
                self._source.legs.forget()
                self._follower = DeskFollower(
                    self._address,
                    now_ns=self._now_ns,
                    monotonic=self._monotonic,
                    holes=lambda: self._source.legs.holes,
                    pictured=self._take_picture,
                    follows_account=self._sees_account,
                )
            self._config = config
            # What the role does not have is not asked for, or each stream of it would be told as one that failed.
            self.streams.start(config if self._sees_account else replace(config, stream_fills=False))
            if not self._follows and self._follower is not None:
                self._follower.start()
                self._follows = True

    def stop(self) -> None:
        """End the run; about two seconds at most."""
        with self._lock:
            if self._follows and self._follower is not None:
                self._follows = False
                self._follower.stop()
            self.streams.stop()

    def _is_behind(self, stream: StreamId) -> bool:
        """Whether the owner has published what has not come.

        Only then is silence this leg's: whether the market should be moving is the owner's to judge.
        """
        health = None if self._follower is None else self._follower.desk.health
        return health is not None and self._source.legs.of(stream).is_behind(health)

    def _take_picture(self, events: Sequence[PictureEvent], offset: Offset) -> None:
        follower = self._follower
        health = None if follower is None else follower.desk.health
        if offset.matters and health is not None and not health.market.plays:
            events = [replace_event(event, received_ns=offset.here(event.received_ns)) for event in events]
        self.streams.restore(events)

    def snapshot(self) -> LiveSnapshot:
        """Everything at this instant."""
        now_ns = self._now_ns()
        snapshot = self.streams.snapshot()
        desk = Desk() if self._follower is None else self._follower.desk
        heard_ago = None if desk.heard_at is None else self._monotonic() - desk.heard_at
        shift_ns = datetime_nanoseconds(snapshot.as_of) - now_ns if snapshot.market.plays else 0
        healths = {
            name: both_legs(
                health,
                desk.health,
                self._source.legs.of(name),
                heard_ago=heard_ago,
                shift_ns=shift_ns,
                reached=desk.problem is None,
            )
            for name, health in snapshot.streams.items()
        }
        return self._with_desk(replace(snapshot, streams=MappingProxyType(healths)), desk)

    def _with_desk(self, snapshot: LiveSnapshot, desk: Desk) -> LiveSnapshot:
        account, health = desk.account, desk.health
        return replace(
            snapshot,
            account=snapshot.account if account is None else account.account,
            fills=snapshot.fills if account is None else account.fills,
            expiry_facts=snapshot.expiry_facts if account is None else account.expiry_facts,
            risk_inputs=snapshot.risk_inputs if desk.risk_inputs is None else desk.risk_inputs,
            news=snapshot.news if desk.news is None else self._wanted_of(desk.news.articles),
            books=snapshot.books if desk.books is None else self._books_of(desk, desk.books, snapshot),
            told_sessions=snapshot.told_sessions if health is None else health.told_sessions,
            desk=self._remarks(desk, snapshot),
        )

    def _wanted_of(self, articles: Sequence[Article]) -> tuple[Article, ...]:
        """Those on what this viewer wants news of; the owner's are of what anybody wants."""
        wanted = set(self._config.news)
        if ALL_SYMBOLS in wanted:
            return tuple(articles)
        return tuple(one for one in articles if wanted.intersection(one.symbols))

    def _books_of(self, desk: Desk, told: DeskBooks, snapshot: LiveSnapshot) -> Mapping[str, Book]:
        """The owner's, of what this viewer wants, with receipts on the clock that is shown."""
        found = dict(snapshot.books)
        plays = snapshot.market.plays
        # What an owner of before kept may still be stored.
        streamed = () if desk.health is None else desk.health.books
        for symbol in self._config.book_symbols:
            if symbol in streamed and (book := told.books.get(symbol)) is not None:
                found[symbol] = book if plays else _here(book, desk.offset)
        return MappingProxyType(found)

    def _remarks(self, desk: Desk, snapshot: LiveSnapshot) -> DeskRemarks:
        health, names = desk.health, self._address.names
        owner = f"the desk {names.desk} at {self._address.url}"
        if health is not None:
            owner += f", served by {health.host} (process {health.pid})"
        legs = [self._source.legs.of(name) for name in self._source.streams]
        remarks = [desk.problem, desk.offset.sentence, self._slowness(legs, snapshot)]
        if not self._sees_account:
            remarks.append(
                "This computer's seed is for prices: positions, orders and fills are not shown here."
            )
        if health is not None:
            dropped = sum(one.dropped for one in health.streams.values())
            if dropped:
                remarks.append(f"At the owner {dropped:,} events found no place.")
            if unsendable := sum(health.unsendable.values()):
                remarks.append(f"{unsendable:,} events were in messages larger than the bus takes.")
        missed = sum(leg.position.missed for leg in legs)
        if missed:
            remarks.append(f"On the way from the owner {missed:,} events were missed.")
        return DeskRemarks(owner, tuple(filter(None, remarks)))

    def _slowness(self, legs: Sequence[Leg], snapshot: LiveSnapshot) -> str | None:
        """What is to be said of the slow feed; None where this computer has all prices."""
        left_out, told = sum(leg.left_out for leg in legs), sum(leg.slow_events for leg in legs)
        pace = self._source.legs.pace(self._fill(), self._monotonic())
        age = _newest_age(snapshot) if pace.reason else None
        return slowness(pace, left_out, told - left_out, age)


def _here(book: Book, offset: Offset) -> Book:
    """The same with its receipts on this computer's clock."""
    received_ns, since_ns = (
        None if at is None else offset.here(at) for at in (book.received_ns, book.since_ns)
    )
    return replace(book, received_ns=received_ns, since_ns=since_ns)


def _newest_age(snapshot: LiveSnapshot) -> float | None:
    """How old the newest price is, seconds; None where there is none."""
    prices = [quote.received_at for quote in snapshot.quotes.values()]
    return (snapshot.as_of - max(prices)).total_seconds() if prices else None
