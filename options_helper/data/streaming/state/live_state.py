"""Fold events into caches and take snapshots; knows no thread, socket or clock."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

from msgspec.msgpack import Ext
from msgspec.structs import force_setattr, replace

from options_helper.data.streaming.messages import Decode, decode_frame, read_message
from options_helper.data.streaming.state.blotter import Blotter
from options_helper.data.streaming.state.books import Books, lost_books
from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.data.streaming.state.news import NewsBoard
from options_helper.data.streaming.state.order_book import are_possible
from options_helper.data.streaming.state.session_end import SessionEnd
from options_helper.data.streaming.trading_normalizers import read_trade_update
from options_helper.model.account import AccountState
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.callbacks import CallbackKind, CallbackStats, Told
from options_helper.model.clock_skew import ClockSkew
from options_helper.model.events import (
    AHEAD_AT_MOST_NS,
    Bar,
    BookUpdate,
    DailyBar,
    Event,
    LimitBand,
    News,
    Quote,
    RestQuote,
    RestTrade,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
    is_older,
    stamp,
)
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.frames import Frame
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.snapshot import LiveSnapshot, StreamHealth
from options_helper.model.streams import StreamId, StreamName

log = logging.getLogger(__name__)

_KEPT_REJECTIONS: Final = 5
_DAY_NS: Final = 86_400 * NANOSECONDS
# A correction of the clock that changes by less is not worth moving everything.
_CORRECTED_NS: Final = NANOSECONDS
_LAGS_AT_ONCE: Final = 8
# Of each book, in a snapshot: whoever wants it whole asks for it by name.
SHOWN_LEVELS: Final = 50
# Of the timestamp extension, in bytes: the one that can hold any year.
_LONG_FORM: Final = 12
# No quote's seconds, which have four bytes, are that new: each is compared with the one that is known.
_COMPARE_ALL: Final = b"\xff" * 5
_E = TypeVar("_E", Quote, Trade, Bar)


@dataclass(slots=True)
class StreamTally:
    """What the fold did with one stream's events."""

    applied: int = 0
    rejected: int = 0
    late: int = 0
    last_event_ns: int | None = None
    last_rejections: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_REJECTIONS))


@dataclass(slots=True)
class _Caches:
    """The newest event of each symbol."""

    quotes: dict[str, Quote] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    bars: dict[str, Bar] = field(default_factory=dict)

    def receive_later(self, by_ns: int) -> None:
        """Move the receipt of everything that was streamed; snapshots that have it keep what they have."""
        caches: tuple[dict[str, Any], ...] = (self.quotes, self.trades, self.bars)
        for cache in caches:
            for symbol, event in cache.items():
                if not isinstance(event, (RestQuote, RestTrade)):  # that has the exchange's time
                    cache[symbol] = replace(event, received_ns=event.received_ns + by_ns)

    def keep(self, symbols: frozenset[str]) -> None:
        for cache in (self.quotes, self.trades, self.bars):
            if cache.keys() <= symbols:  # nearly always, and quicker than to subtract
                continue
            for symbol in cache.keys() - symbols:
                del cache[symbol]


class LiveState:
    """The fold of all frames so far: newest quote, trade and bar of each symbol, newest fills, and the tally.

    `streams` are those beside the default three. `decoders` read their frames, or those of the default ones in place of
    Alpaca's; orders need none. `market` is whose market it is until one announces itself. One writer; whoever shares it
    with readers guards it.
    """

    def __init__(
        self,
        *,
        fills_cache_size: int,
        streams: Iterable[StreamId] = (),
        decoders: Mapping[StreamId, Decode] | None = None,
        market: MarketKind = MarketKind.ALPACA,
    ) -> None:
        self._decoders: dict[StreamId, Decode] = dict.fromkeys(StreamName, decode_frame)
        self._decoders.update(decoders or {})
        self.clock = MarketClock(market)
        self.tallies = {name: StreamTally() for name in dict.fromkeys((*self._decoders, *streams))}
        self._caches = _Caches()
        # Alpaca's shares, contracts and coins share no symbol. Of other streams nobody knows, so with one of them no
        # stream can tell by its own quotes alone what is new.
        further = self._decoders.keys() - set(StreamName)
        may_share = any(not name.kind.carries_orders for name in further)
        self._newest_at_first = _COMPARE_ALL if may_share else b""
        # Of all quotes of a stream so far, in seconds as the wire has them.
        self._newest: dict[StreamId, bytes] = {}
        self.fills = Blotter(fills_cache_size)
        self.books = Books()
        self.news = NewsBoard()
        self._wanted: frozenset[str] | None = None  # None: everything
        self._lags_taken_ns = 0
        self._session_end = SessionEnd()
        # What callbacks are to be told, in order, events of a frame together; None while nobody wants it.
        self._told: list[Told | Sequence[Event]] | None = None
        self._wants_book: Callable[[str], bool] | None = None

    def collect_told(self, *, wanted: bool, wants_book: Callable[[str], bool] | None = None) -> None:
        """From now on keep what is applied, for `take_told`, or do not; whole books only of symbols that want it."""
        self._told = [] if wanted else None
        self._wants_book = wants_book if wanted else None

    def take_told(self) -> Sequence[Told | Sequence[Event]]:
        """What was applied since the last call; nothing where it is not kept."""
        if not self._told:
            return ()
        told, self._told = self._told, []
        return told

    def _tell(self, kind: CallbackKind, symbols: tuple[str, ...], value: Any) -> None:
        """Let the callbacks of this kind be told, of these symbols and of every symbol."""
        if self._told is not None:
            self._told.append(Told(kind, symbols, value))

    def apply(self, frame: Frame) -> None:
        """Fold one frame in; each event it announces is counted as applied or as rejected, whatever it holds."""
        try:
            if frame.stream.kind.carries_orders:
                self._apply_fill(frame)
            else:
                self._apply_frame(frame)
        except Exception as error:
            # A frame that nobody thought of must not end the fold of all others.
            log.exception("a frame of the %s stream could not be folded", frame.stream)
            tally = self.tallies[frame.stream]
            tally.rejected += frame.events
            tally.last_rejections.append(f"{type(error).__name__}: {error}")

    def _apply_frame(self, frame: Frame) -> None:
        events, rejected, damaged = self._decoders[frame.stream](frame.payload)
        tally = self.tallies[frame.stream]
        if events:
            received_ns = frame.received_ns
            if self.clock.plays:
                received_ns = self.clock.arrival(events[-1].timestamp_ns, received_ns)
            else:
                received_ns = self.clock.at(received_ns)
            self._apply_events(frame, events, received_ns, tally)
        if rejected:
            self._doubt_books(frame, damaged)
            tally.last_rejections.extend(rejected)
            tally.rejected += len(rejected)

    def _doubt_books(self, frame: Frame, damaged: Sequence[str]) -> None:
        """What could not be read may have been a part of a book."""
        if frame.stream.kind.book_channel is not None:
            reason = "A message of its could not be read; it is asked for anew."
            now_ns = self.clock.at(frame.received_ns)
            self.books.doubt(damaged, frame.stream, reason, now_ns)

    def _apply_events(
        self, frame: Frame, events: Sequence[Event], received_ns: int, tally: StreamTally
    ) -> None:
        # The hot path: nearly all events are quotes, and each microsecond here is taken from the page.
        stream, quotes = frame.stream, self._caches.quotes
        newest = self._newest.get(stream, self._newest_at_first)
        impossible = 0
        is_over = self._session_end.is_over(received_ns, self.clock.told)
        latest = ((received_ns + AHEAD_AT_MOST_NS) // NANOSECONDS & 0xFFFF_FFFF).to_bytes(4, "big")
        for event in events:
            force_setattr(event, "received_ns", received_ns)  # as `stamp` does
            if type(event) is not Quote:
                if type(event) is BookUpdate:
                    impossible += not self._apply_book(event, frame, tally)
                elif _cannot_be(event, tally):
                    impossible += 1
                else:
                    self._apply_other(event, tally)
                continue
            if is_over and self._session_end.leaves_out(event, quotes, received_ns):
                continue
            moment = event.timestamp
            # The last four bytes of the extension's forms of four and eight are its seconds. No believable quote of the
            # stream is newer than `newest`, so only an older one has to be compared with the one that is known.
            if (
                type(moment) is Ext
                and newest <= (seconds := moment.data[-4:]) <= latest  # type: ignore[index]
                and len(moment.data) != _LONG_FORM  # type: ignore[arg-type]
            ):
                newest = seconds
            elif _cannot_be(event, tally):
                impossible += 1
                continue
            elif _is_superseded(event, quotes, tally):
                continue
            quotes[event.symbol] = event
        self._newest[stream] = newest
        tally.applied += len(events) - impossible
        tally.rejected += impossible
        tally.last_event_ns = received_ns
        if self._told is not None:
            self._told.append(
                [event for event in events if not _is_impossible(event)] if impossible else events
            )

    def _apply_book(self, update: BookUpdate, frame: Frame, tally: StreamTally) -> bool:
        """Whether it could be applied, or belongs to what is over; what cannot be leaves its book in doubt."""
        if are_possible(update.bids) and are_possible(update.asks) and not _cannot_be(update, tally):
            self.books.apply(frame.stream, update, frame.heard)
            self._tell_book(update.symbol)
            return True
        tally.last_rejections.append(f"{update.symbol}: a level of its book that cannot be")
        reason = "A message of its had numbers that cannot be; it is asked for anew."
        self.books.doubt((update.symbol,), frame.stream, reason, update.received_ns)
        self._tell_book(update.symbol)
        return False

    def _tell_book(self, symbol: str) -> None:
        if self._wants_book is not None and self._wants_book(symbol):
            book = self.books.view(symbol, SHOWN_LEVELS)
            if book is not None:
                self._tell(CallbackKind.BOOK, (symbol,), book)

    def _apply_other(self, event: Event, tally: StreamTally) -> None:
        caches = self._caches
        match event:
            case Trade():
                _keep_newest(caches.trades, event, tally)
            case News():
                if self.news.add(event):
                    self._tell(CallbackKind.NEWS, tuple(event.symbols or ()), event)
            case DailyBar() | TradingStatus() | LimitBand():
                pass  # no minute, quote or trade; nothing shows it yet
            case Bar() | UpdatedBar():
                _keep_newest(caches.bars, event, tally)
            case TradeCorrection():
                _correct(caches.trades, event)
            case TradeCancel():
                _cancel(caches.trades, event)
            case Quote() | BookUpdate():
                pass  # handled by the caller

    def quote(self, symbol: str) -> Quote | None:
        """The last quote of a symbol, streamed or asked for."""
        return self._caches.quotes.get(symbol)

    def seed_news(self, articles: Iterable[News], asked_ns: int) -> list[News]:
        """Take over articles that were asked for at that market time; those that are new, or in a newer form.

        These are no events of the stream, so its ledger does not count them.
        """
        fresh: list[News] = []
        for news in articles:
            stamp(news, asked_ns)
            if not _is_impossible(news) and self.news.add(news, is_asked=True):
                fresh.append(news)
        return fresh

    def _apply_fill(self, frame: Frame) -> None:
        tally = self.tallies[frame.stream]
        update = read_trade_update(read_message(frame.payload))
        if update is None:
            tally.rejected += frame.events
            tally.last_rejections.append("a trading message without an order update")
            return
        received_ns = self.clock.arrival(update.timestamp_ns, frame.received_ns)
        self.fills.add_update(update, utc_datetime(received_ns))
        legs = (leg.symbol for leg in update.legs or ())
        self._tell(CallbackKind.ORDER_UPDATE, tuple(filter(None, (update.symbol, *legs))), update)
        tally.applied += frame.events
        tally.last_event_ns = received_ns

    def seed(
        self,
        name: StreamId,
        events: Iterable[RestQuote | RestTrade],
        now_ns: int,
        *,
        impossible: Callable[[RestQuote | RestTrade], object] = lambda _: None,
    ) -> int:
        """Take over what was asked for where nothing newer is known; how many were. `now_ns` is the market's time.

        What was made later than now is given to `impossible`. These are no events of the stream, so its ledger does not
        count them.
        """
        caches = self._caches
        taken = 0
        for event in events:
            cache: dict[str, Any] = caches.quotes if isinstance(event, Quote) else caches.trades
            if (event.timestamp_ns or 0) > now_ns + AHEAD_AT_MOST_NS:
                impossible(event)
                continue
            if isinstance(event, Quote) and self._is_after_session(event, now_ns):
                continue
            if _is_news(event, cache.get(event.symbol)):
                if event.received_ns > now_ns:
                    # Nobody knows a price before it is made: it is of now at the latest, and ages from now on.
                    stamp(event, now_ns)
                cache[event.symbol] = event
                taken += 1
                if isinstance(event, Quote):
                    # What is streamed after it may be older: from now on it has to be compared.
                    newest = self._newest.get(name, self._newest_at_first)
                    self._newest[name] = max(newest, _seconds(event))
        return taken

    def restore(self, events: Iterable[Quote | Trade | Bar]) -> None:
        """Take over what another fold of the same streams knows, with its receipt, where nothing newer is known.

        These are no events of a stream here, so no ledger counts them.
        """
        caches = self._caches
        newest = b""
        for event in events:
            cache: dict[str, Any] = (
                caches.quotes
                if isinstance(event, Quote)
                else caches.trades
                if isinstance(event, Trade)
                else caches.bars
            )
            known = cache.get(event.symbol)
            if known is not None and (known.received_ns >= event.received_ns or is_older(event, known)):
                continue
            cache[event.symbol] = event
            if isinstance(event, Quote):
                newest = max(newest, _seconds(event))
        if newest:
            # What is streamed after it may be older, over whichever stream it comes: from now on it is compared.
            self._newest = {
                name: max(newest, self._newest.get(name, self._newest_at_first)) for name in self.tallies
            }

    def _is_after_session(self, quote: Quote, now_ns: int) -> bool:
        is_over = self._session_end.is_over(now_ns, self.clock.told)
        return is_over and self._session_end.leaves_out(quote, self._caches.quotes, now_ns)

    def correct_clock(self, skew: ClockSkew | None) -> None:
        """From now on the market's time is this computer's, put right by what is known of its error.

        Only by what matters, and no more often than that: each correction moves the receipt of all that is known, so
        that no age jumps.
        """
        self.clock.skew = skew
        ahead_ns = int(skew.ahead * NANOSECONDS) if skew is not None and skew.matters else 0
        moved_ns = self.clock.ahead_ns - ahead_ns
        if moved_ns and (abs(moved_ns) >= _CORRECTED_NS or not ahead_ns):
            self.clock.ahead_ns = ahead_ns
            self._receive_later(moved_ns)

    def clock_was_set(self, put_forward_ns: int) -> None:
        """Somebody put this computer's clock forward by so much, or back: all that was received keeps its age.

        A played session's time does not jump with it either.
        """
        if self.clock.plays:
            self.clock.wall_was_set(put_forward_ns)
        else:
            self._receive_later(put_forward_ns)

    def _receive_later(self, by_ns: int) -> None:
        self._caches.receive_later(by_ns)
        self.books.receive_later(by_ns)
        self.news.receive_later(by_ns)
        self._lags_taken_ns += by_ns
        for tally in self.tallies.values():
            if tally.last_event_ns is not None:
                tally.last_event_ns += by_ns
        # What was not believed may be now, and counts for what is new.
        known = [_seconds(quote) for quote in self._caches.quotes.values()]
        newest = max(known, default=b"")
        self._newest = {name: max(seconds, newest) for name, seconds in self._newest.items()}

    def take_lags(self) -> list[float]:
        """Seconds from making to receipt of what was streamed since the last call, by the computer's own clock.

        Of a few quotes, which is enough.
        """
        if self.clock.plays:
            return []
        fresh = [quote for quote in self._caches.quotes.values() if quote.received_ns > self._lags_taken_ns]
        fresh = [quote for quote in fresh if type(quote) is Quote][:_LAGS_AT_ONCE]
        self._lags_taken_ns = max((quote.received_ns for quote in fresh), default=self._lags_taken_ns)
        lags = [
            (quote.received_ns + self.clock.ahead_ns - made_ns) / NANOSECONDS
            for quote in fresh
            if (made_ns := quote.timestamp_ns)
        ]
        return [lag for lag in lags if abs(lag) < _DAY_NS / NANOSECONDS]

    def announce(self, announcement: Announcement) -> bool:
        """Take over a simulator's time; whether it plays another session: what was seen of the last is forgotten."""
        is_another = self.clock.announce(announcement)
        if is_another:
            self._caches = _Caches()
            self._newest = {}
            self.books.forget()
            self.fills.clear()
            self.news.clear()
        return is_another

    def keep_only(self, symbols: Iterable[str]) -> None:
        """From now on show these symbols and no others."""
        self._wanted = frozenset(symbols)

    def _forget_unwanted(self) -> None:
        # Frames on their way bring a symbol back after it was dropped, so this is done at every look.
        if self._wanted is not None:
            self._caches.keep(self._wanted)

    def snapshot(
        self,
        wall_ns: int,
        *,
        running: bool,
        running_since: datetime | None,
        streams: Mapping[StreamId, StreamHealth],
        account: AccountState | None = None,
        risk_inputs: RiskInputs | None = None,
        expiry_facts: ExpiryFacts | None = None,
        callbacks: CallbackStats | None = None,
    ) -> LiveSnapshot:
        """An immutable copy; `wall_ns` is the computer's time, which the market's clock turns into `as_of`."""
        self._forget_unwanted()
        market_ns = self.clock.at(wall_ns)
        return LiveSnapshot(
            as_of=utc_datetime(market_ns),
            running=running,
            running_since=running_since,
            market=self.clock.kind,
            replay_of=self.clock.replay_of,
            played_out=self.clock.ended(market_ns),
            quotes=MappingProxyType(self._caches.quotes.copy()),
            trades=MappingProxyType(self._caches.trades.copy()),
            bars=MappingProxyType(self._caches.bars.copy()),
            books=MappingProxyType(self.books.views(SHOWN_LEVELS, lost_books(streams.values()))),
            news=self.news.articles(),
            fills=self.fills.entries(),
            account=account or AccountState(),
            risk_inputs=risk_inputs or RiskInputs(),
            expiry_facts=expiry_facts or ExpiryFacts(),
            streams=MappingProxyType(dict(streams)),
            clock_skew=None if self.clock.plays else self.clock.skew,
            told_sessions=self.clock.told,
            callbacks=callbacks or CallbackStats(),
        )


def _cannot_be(event: Event, tally: StreamTally) -> bool:
    """Whether it says that it was made a day or more after it was received: no clock is so wrong unnoticed."""
    if not _is_impossible(event):
        return False
    tally.last_rejections.append(f"{event.symbol}: a time that cannot be")
    return True


def _is_impossible(event: Event) -> bool:
    made_ns = event.timestamp_ns
    return made_ns is not None and made_ns >= event.received_ns + _DAY_NS


def _keep_newest(cache: dict[str, _E], event: _E, tally: StreamTally) -> None:
    if not _is_superseded(event, cache, tally):
        cache[event.symbol] = event


def _is_superseded(event: _E, cache: Mapping[str, _E], tally: StreamTally) -> bool:
    known = cache.get(event.symbol)
    if known is None or not is_older(event, known):
        return False
    tally.late += 1
    return True


def _is_news(event: RestQuote | RestTrade, known: Quote | Trade | None) -> bool:
    """Whether the exchange made it after the known one."""
    made_ns = event.timestamp_ns
    if made_ns is None:
        return False
    if known is None:
        return True
    known_ns = known.timestamp_ns
    if known_ns is None:
        # The stream's own, of nobody knows when: it was received, which is more than can be said of this one.
        return False
    return known_ns < made_ns or known_ns > known.received_ns + AHEAD_AT_MOST_NS


def _seconds(event: Quote) -> bytes:
    """Its time as the fold compares it."""
    return ((event.timestamp_ns or 0) // NANOSECONDS & 0xFFFF_FFFF).to_bytes(4, "big")


def _correct(trades: dict[str, Trade], correction: TradeCorrection) -> None:
    """Restate the last trade if it is the one corrected; an earlier one is shown nowhere."""
    last = trades.get(correction.symbol)
    if last is None or last.trade_id is None or last.trade_id != correction.original_trade_id:
        return
    if correction.corrected_price is None:
        del trades[correction.symbol]
        return
    trades[correction.symbol] = Trade(
        symbol=last.symbol,
        timestamp=last.timestamp,
        received_ns=correction.received_ns,
        price=correction.corrected_price,
        size=correction.corrected_size,
        exchange=last.exchange,
        conditions=correction.corrected_conditions,
        trade_id=correction.corrected_trade_id,
        tape=last.tape,
    )


def _cancel(trades: dict[str, Trade], cancel: TradeCancel) -> None:
    """Forget the last trade if it is the one withdrawn: a price that never was must not stay on the page."""
    last = trades.get(cancel.symbol)
    if last is not None and last.trade_id is not None and last.trade_id == cancel.trade_id:
        del trades[cancel.symbol]
