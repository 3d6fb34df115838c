"""A manager on the bus: the streams of an owner, with what it knows beside them, as one snapshot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from msgspec.structs import replace as replace_event

from options_helper.bus.account_look import AccountLook
from options_helper.bus.accounts import TRUTH
from options_helper.bus.address import BusAddress
from options_helper.bus.clocks import WORTH_SAYING_NS, Offset
from options_helper.bus.detail import slowness
from options_helper.bus.follower import Desk, DeskFollower
from options_helper.bus.legs import Leg, both_legs
from options_helper.bus.streamer import BusSource
from options_helper.bus.told import Told
from options_helper.bus.truth import DeskBooks, DeskHealth, PictureEvent
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.live_run import LiveRun
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.news import ALL_SYMBOLS, Article
from options_helper.model.order_book import Book
from options_helper.model.snapshot import DeskRemarks, LiveSnapshot, Phase, StreamHealth
from options_helper.model.snapshots_together import Unusable, without_account
from options_helper.model.streams import StreamId, StreamName
from options_helper.settings import Settings


class BusManager:
    """What a page, a watch or a program has in place of a `LiveStreamManager`; it needs no keys.

    Prices are folded here, from the owner's own frames. The account, the fills, the risk inputs and the articles are
    the owner's: of the account that the settings name, or of the desk's own, whatever that is called. Every method may
    be called from any thread.
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
        self._look = AccountLook(settings.account)  # with the seed as it was at the start
        self._now_ns, self._monotonic = now_ns, monotonic
        self._fill = fill or (lambda: self.streams.queue_fill)
        self._source = BusSource(
            address, now_ns, monotonic=monotonic, fill=self._fill, account=settings.account
        )
        self.streams: LiveStreamManager = LiveStreamManager(
            settings,
            source=self._source,
            rest_cls=None,
            only_wanted=True,
            run_cls=partial(LiveRun, group_cls=partial(StreamGroup, expects=self._is_behind)),
            now_ns=now_ns,
            monotonic=monotonic,
        )
        self._told = Told()
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
                self._look = replace(self._look, seed=self._address.access.seed())
                self._source.legs.forget()
                self._follower = DeskFollower(
                    self._address,
                    clock=self._source.clock,
                    monotonic=self._monotonic,
                    holes=lambda: self._source.legs.holes,
                    pictured=self._take_picture,
                    account=self._look.account if self._look.may_be_seen else None,
                    of_market=_is_of_market(config),
                )
            self._config = config
            # What the role does not have is not asked for, or each stream of it would be told as one that failed.
            self.streams.start(config if self._look.may_be_seen else replace(config, stream_fills=False))
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
        desk = Desk() if self._follower is None else self._follower.desk
        health = _health_of(stream, desk)
        return health is not None and self._source.legs.of(_wire(stream, desk)).is_behind(health)

    def _take_picture(self, events: Sequence[PictureEvent]) -> None:
        clock = self._source.clock
        health = None if self._follower is None else self._follower.desk.health
        offset = clock.told_by(health)
        if clock.offset is not None and health is not None and not health.market.plays:
            here = (
                replace_event(event, received_ns=offset.here(event.received_ns)) if offset.matters else event
                for event in events
            )
            # What seems to come later is of an owner that has not told of itself yet: it is looked at again then.
            until_ns = self._now_ns() + WORTH_SAYING_NS
            events = [event for event in here if event.received_ns <= until_ns]
        self.streams.restore(events)

    def snapshot(self) -> LiveSnapshot:
        """Everything at this instant."""
        now_ns = self._now_ns()
        snapshot = self.streams.snapshot()
        desk = Desk() if self._follower is None else self._follower.desk
        shift_ns = datetime_nanoseconds(snapshot.as_of) - now_ns if snapshot.market.plays else 0
        problem = self._look.problem(desk)
        healths = {
            name: self._both_legs(health, desk, shift_ns, problem)
            for name, health in snapshot.streams.items()
        }
        return self._with_desk(replace(snapshot, streams=MappingProxyType(healths)), desk, problem)

    def _both_legs(
        self, health: StreamHealth, desk: Desk, shift_ns: int, problem: str | None
    ) -> StreamHealth:
        name, wire = health.name, _wire(health.name, desk)
        word, clock = _health_of(name, desk), self._source.clock
        both = both_legs(
            health if wire == name else replace(health, name=wire),
            None if word is None else clock.here(word, clock.told_by(desk.health)),
            self._source.legs.of(wire),
            heard_ago=None if (at := _heard_at(name, desk)) is None else self._monotonic() - at,
            shift_ns=shift_ns,
            reached=desk.problem is None,
        )
        if wire != name:
            both = replace(both, name=name, gaps=tuple(replace(gap, stream=name) for gap in both.gaps))
        # What the server does not let us follow, the stream says itself.
        is_told = problem is None or problem == desk.account_problem or both.phase is Phase.OFF
        if is_told or not name.kind.carries_orders:
            return both
        return replace(both, phase=Phase.FAILED, last_error=problem)

    def _with_desk(self, snapshot: LiveSnapshot, desk: Desk, problem: str | None) -> LiveSnapshot:
        account, health = desk.account, desk.health
        if account is not None and account.name not in ("", self._look.name(desk)):
            account = None
        offset = self._source.clock.told_by(health)
        account = None if account is None else self._told.account(account, offset)
        if problem is not None:
            account, snapshot = None, without_account(snapshot, Unusable(problem), keeping_streams=True)
        return replace(
            snapshot,
            account=snapshot.account if account is None else account.account,
            fills=snapshot.fills if account is None else account.fills,
            expiry_facts=snapshot.expiry_facts if account is None else account.expiry_facts,
            risk_inputs=snapshot.risk_inputs
            if desk.risk_inputs is None
            else self._told.risk_inputs(desk.risk_inputs, offset),
            news=snapshot.news
            if desk.news is None
            else self._wanted_of(self._told.news(desk.news, offset).articles),
            books=snapshot.books
            if desk.books is None
            else self._books_of(desk, desk.books, snapshot, offset),
            told_sessions=snapshot.told_sessions if health is None else health.told_sessions,
            desk=self._remarks(desk, snapshot, problem),
        )

    def _wanted_of(self, articles: Sequence[Article]) -> tuple[Article, ...]:
        """Those on what this viewer wants news of; the owner's are of what anybody wants."""
        wanted = set(self._config.news)
        if ALL_SYMBOLS in wanted:
            return tuple(articles)
        return tuple(one for one in articles if wanted.intersection(one.symbols))

    def _books_of(
        self, desk: Desk, told: DeskBooks, snapshot: LiveSnapshot, offset: Offset
    ) -> Mapping[str, Book]:
        """The owner's, of what this viewer wants, with receipts on the clock that is shown."""
        found = dict(snapshot.books)
        # What an owner of before kept may still be stored.
        streamed = () if desk.health is None else desk.health.books
        for symbol in self._config.book_symbols:
            if symbol in streamed and (book := told.books.get(symbol)) is not None:
                found[symbol] = _here(book, offset)
        return MappingProxyType(found)

    def _remarks(self, desk: Desk, snapshot: LiveSnapshot, problem: str | None) -> DeskRemarks:
        health, names = desk.health, self._address.names
        owner = f"the desk {names.desk} at {self._address.url}"
        if health is not None:
            owner += f", served by {health.where} (process {health.pid})"
        legs = [self._source.legs.of(_wire(name, desk)) for name in self._source.streams]
        remarks = [desk.problem, problem, self._source.clock.sentence, self._slowness(legs, snapshot)]
        if self._look.is_for_prices:
            remarks.append(
                "This computer's seed is for prices: positions, orders and fills are not shown here."
            )
        if health is not None:
            # A further account's owner tells of it apart.
            told = [health] if desk.account_health is None else [health, desk.account_health]
            dropped = sum(one.dropped for word in told for one in word.streams.values())
            if dropped:
                remarks.append(f"At the owner {dropped:,} events found no place.")
            if unsendable := sum(count for word in told for count in word.unsendable.values()):
                remarks.append(f"{unsendable:,} events were in messages larger than the bus takes.")
        missed = sum(leg.position.missed for leg in legs)
        if missed:
            remarks.append(f"On the way from the owner {missed:,} events were missed.")
        if health is not None:
            remarks += [
                f"The owner could not tell of {what}: {why}"
                for what, why in health.untold.items()
                if what != TRUTH
            ]
        accounts = () if health is None else health.accounts or ()
        unseen = self._look.unseen(health)
        shown = None if desk.place is None or problem is not None else self._look.name(desk) or None
        return DeskRemarks(owner, tuple(filter(None, remarks)), accounts, shown, unseen, problem)

    def _slowness(self, legs: Sequence[Leg], snapshot: LiveSnapshot) -> str | None:
        """What is to be said of the slow feed; None where this computer has all prices."""
        left_out, told = sum(leg.left_out for leg in legs), sum(leg.slow_events for leg in legs)
        pace = self._source.legs.pace(self._fill(), self._monotonic())
        age = _newest_age(snapshot) if pace.reason else None
        return slowness(pace, left_out, told - left_out, age)


def _wire(stream: StreamId, desk: Desk) -> StreamId:
    """What the owner calls the stream."""
    return desk.place.stream if stream.kind.carries_orders and desk.place is not None else stream


def _is_of_further(stream: StreamId, desk: Desk) -> bool:
    return stream.kind.carries_orders and desk.place is not None and not desk.place.is_own


def _is_of_market(config: LiveStreamConfig) -> bool:
    """Whether prices may be shown, also where nobody knows yet of what: the account's positions name them later."""
    is_switched_on = config.stream_stocks or config.stream_options
    return is_switched_on or any(config.wants(one) for one in StreamName if not one.kind.carries_orders)


def _health_of(stream: StreamId, desk: Desk) -> DeskHealth | None:
    """The owner's word on the stream; a further account has one of its own."""
    return desk.account_health if _is_of_further(stream, desk) else desk.health


def _heard_at(stream: StreamId, desk: Desk) -> float | None:
    return desk.account_heard_at if _is_of_further(stream, desk) else desk.heard_at


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
