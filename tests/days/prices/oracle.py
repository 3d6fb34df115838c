"""What each price was worth and when, what came of it to the product, and what it may say of that."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from options_helper.data.rest.seeding import SeedBatch
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.events import Quote, RestQuote
from tests.days.clocks import NS
from tests.days.day import NEW_YORK
from tests.days.stage import Stage
from tests.days.world.market import Made

if TYPE_CHECKING:
    from tests.days.prices.desk import PriceDesk

# An age may be wrong by so much: a clock is put right only by what matters, and the servers tell whole seconds.
SLACK: Final = 3.5
# What lies so far ahead of now is believed: clocks differ.
AHEAD_AT_MOST: Final = 60.0
# A day begins for the product with its next round, and the questions of that.
NEW_DAY_SECONDS: Final = 140.0


class PriceOracle:
    """Knows each quote, what arrived of them, and each session's close."""

    def __init__(self, stage: Stage, symbols: Sequence[str]) -> None:
        self._stage, self._symbols = stage, symbols
        self._every: dict[str, list[Made]] = {symbol: [] for symbol in symbols}
        self._bids: dict[tuple[str, int], float] = {}
        self._arrived: dict[str, tuple[int, float]] = {}  # the newest by its making, and when it came
        self._to_come: set[tuple[str, int]] = set()  # told, and by their time not made yet
        self._beyond_belief: set[str] = (
            set()
        )  # of which the newest had a time that could not be, by the clock here
        self._as_of_ns: dict[tuple[str, int], int] = {}  # the latest time of which each of those can be
        self._answered_ns: dict[tuple[str, int], int] = {}  # when each of them came over REST, in true time
        self._sold: dict[str, date] = {}  # and not streamed
        self._set_ns = self._told_ns = stage.day.start_ns  # the clock, and by an answer what time it is
        self._offset_ns = 0
        self._today: date | None = (
            None  # by the product's time, which an answer may put back to the day before
        )
        self._turned_ns = stage.day.start_ns
        self.broken: str | None = None
        self._closes_ns = {
            datetime.fromtimestamp(one.opens_ns / NS, NEW_YORK).date(): one.closes_ns
            for one in stage.day.sessions
        }
        first = datetime.fromtimestamp(stage.day.sessions[0].opens_ns / NS, NEW_YORK).date()
        earlier = [first - timedelta(days=back) for back in (5, 4, 3, 2, 1)]
        self.sessions = [day for day in earlier if day.weekday() < 5]
        self.sessions += [
            datetime.fromtimestamp(one.opens_ns / NS, NEW_YORK).date() for one in stage.day.sessions
        ]

    # What is so.

    def made(self, quotes: Sequence[Made]) -> None:
        """The exchange has made these."""
        for quote in quotes:
            self._every[quote.symbol].append(quote)
            self._bids[quote.symbol, quote.made_ns] = quote.bid

    def wants_close_of(self, symbol: str, today: date) -> None:
        """Its close is wanted today, and it is not streamed."""
        self._sold[symbol] = today

    def close_of(self, symbol: str, day: date) -> float:
        """Where it closed on that day."""
        return 40 + len(symbol) + day.toordinal() % 50

    def bar_close(self, symbol: str, day: date, as_of_ns: int) -> float:
        """The same as the bar of that day has it by then: while a session lasts, it is the price of now."""
        closes_ns = self._closes_ns.get(day)
        is_over = closes_ns is None or as_of_ns >= closes_ns
        return self.close_of(symbol, day) + (0.0 if is_over else 0.25)

    def every(self, symbol: str) -> Sequence[Made]:
        """All quotes of it so far."""
        return self._every[symbol]

    def heard_time(self) -> None:
        """An answer has told what time it is there."""
        self._told_ns = self._stage.clocks.true_ns

    def knows_time(self, desk: PriceDesk) -> float | None:
        """By how many seconds the product may be wrong about the time at most; None: by any number."""
        doubt = desk.skew_doubt
        return None if doubt is None or self._told_ns <= self._set_ns else SLACK + 2 * doubt

    def snapshots(self, symbols: Sequence[str], as_of_ns: int, ahead_ns: int) -> Mapping[str, Any]:
        """What the server knows of them as of then; the time of its quotes is so far ahead."""
        return {symbol: self._snapshot(symbol, as_of_ns, ahead_ns) for symbol in symbols}

    def _snapshot(self, symbol: str, as_of_ns: int, ahead_ns: int) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        every = self._every.get(symbol, [])
        if count := bisect_right(every, as_of_ns, key=lambda quote: quote.made_ns):
            quote = every[count - 1]
            self._bids.setdefault((symbol, quote.made_ns + ahead_ns), quote.bid)
            found["latestQuote"] = {
                "t": iso_text(quote.made_ns + ahead_ns), "bp": quote.bid, "bs": 3, "ap": quote.bid + 0.02, "as": 2,
            }  # fmt: skip
        days = [
            day for day in self.sessions
            if datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK).timestamp() * NS <= as_of_ns
        ]  # fmt: skip
        for name, day in zip(("dailyBar", "prevDailyBar"), reversed(days), strict=False):
            begins = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
            found[name] = {
                "t": begins.astimezone(UTC).isoformat(),
                "c": self.bar_close(symbol, day, as_of_ns),
            }
        return found

    # What came.

    def arrived(self, quotes: Sequence[Made]) -> None:
        """Over the stream."""
        for quote in quotes:
            self._came(quote.symbol, quote.made_ns)

    def answered(self, batch: SeedBatch, market_ns: int) -> None:
        """Over REST; what lies ahead of the product's time is not to be shown."""
        self.heard_time()
        for quote in batch.quotes:
            made_ns = quote.timestamp_ns or 0
            if made_ns <= market_ns + AHEAD_AT_MOST * NS:
                # Nobody knows a price before it is made; told once more it is no newer.
                as_of_ns = self._as_of_ns.setdefault((quote.symbol, made_ns), min(made_ns, market_ns))
                self._came(quote.symbol, as_of_ns)
                self._answered_ns.setdefault((quote.symbol, made_ns), self._stage.clocks.true_ns)
                self._to_come.discard((quote.symbol, made_ns))
            else:
                self._to_come.add((quote.symbol, made_ns))

    def _came(self, symbol: str, made_ns: int) -> None:
        known = self._arrived.get(symbol)
        if known is None or made_ns >= known[0]:
            self._arrived[symbol] = made_ns, self._stage.clocks.elapsed()
            # By a clock that is so far behind it is still to come, and no price that anything else stands back for.
            if made_ns > self._stage.clocks.wall_ns() + AHEAD_AT_MOST * NS:
                self._beyond_belief.add(symbol)
            else:
                self._beyond_belief.discard(symbol)

    # What must be so.

    def look(self, desk: PriceDesk) -> None:
        """Compare what is known now."""
        clocks = self._stage.clocks
        if clocks.offset_ns != self._offset_ns:
            self._set_ns, self._offset_ns = clocks.true_ns, clocks.offset_ns
        if (today := desk.moment().today) != self._today:
            self._today, self._turned_ns = today, clocks.true_ns
        for symbol in self._symbols:
            self.broken = self.broken or self._lie_of(desk, symbol)
        self.broken = self.broken or self._lie_of_report(desk) or self._lie_of_closes(desk)
        if self.broken:
            self._stage.check(sampled=False)

    def _lie_of(self, desk: PriceDesk, symbol: str) -> str | None:
        clocks = self._stage.clocks
        shown, came = desk.quote(symbol), self._arrived.get(symbol)
        if shown is None:
            # What its session is over of is left out where it is the first of it.
            return f"{symbol} is not shown, and came" if came is not None and self._is_open() else None
        made_ns = shown.timestamp_ns or 0
        if shown.bid_price != self._bids.get((symbol, made_ns)):
            return f"{symbol} is shown at {shown.bid_price}, which it never was at that time"
        # By a clock that its own answer has put right it may be believed after all.
        if (symbol, made_ns) in self._to_come and made_ns > clocks.true_ns:
            return f"{symbol} is shown as of {iso_text(made_ns)}, which is still to come"
        as_of_ns = self._as_of_ns.get((symbol, made_ns), made_ns)
        # Of what lies ahead as of its answer, which is told by a clock that is right within two seconds.
        is_behind = came is not None and (made_ns // NS < came[0] // NS or as_of_ns // NS + 3 < came[0] // NS)
        if came is not None and self._is_open() and is_behind and symbol not in self._beyond_belief:
            return f"{symbol} is shown as of {iso_text(made_ns)}, and a newer one came"
        return self._lie_of_age(desk, shown, made_ns)

    def _lie_of_age(self, desk: PriceDesk, shown: Quote, made_ns: int) -> str | None:
        clocks = self._stage.clocks
        said = (desk.moment().ns - shown.received_ns) / NS
        slack = SLACK + 2 * (desk.skew_doubt or 0.0)
        if isinstance(shown, RestQuote):
            # Who has not heard the servers' time since the clock was set cannot know it better.
            if self.knows_time(desk) is None:
                return None
            answered_ns = self._answered_ns.get((shown.symbol, made_ns), made_ns)
            real = (clocks.true_ns - min(made_ns, answered_ns)) / NS
        else:
            real = clocks.elapsed() - self._arrived[shown.symbol][1]
        if said < real - slack:
            return f"{shown.symbol} is said to be {said:.1f} s old, and is {real:.1f} s"
        return None

    def _is_open(self) -> bool:
        clocks = self._stage.clocks
        return self._stage.day.is_open(clocks.true_ns) and self._stage.day.is_open(clocks.wall_ns())

    def _lie_of_report(self, desk: PriceDesk) -> str | None:
        report = desk.context.account_state.reports.get(RestTask.PRICES)
        if report is not None and report.phase is RestPhase.FAILED and not report.problem:
            return "prices could not be had, and nobody says why"
        return None

    def _lie_of_closes(self, desk: PriceDesk) -> str | None:
        today = desk.moment().today
        for symbol, close in desk.context.account_state.closes.items():
            if float(close.price) != self.close_of(symbol, close.day):
                return f"{symbol} is said to have closed at {close.price} on {close.day}"
            if close.day >= today and self.is_settled(desk):
                return f"{symbol} counts from {close.day}, and it is {today}"
        return None

    def is_settled(self, desk: PriceDesk) -> bool:
        """Whether day and clock are what they were a while ago."""
        now = self._stage.clocks.true_ns
        earlier = datetime.fromtimestamp(desk.moment().ns / NS - NEW_DAY_SECONDS, NEW_YORK).date()
        changed_ns = max(self._set_ns, self._turned_ns)
        return now - changed_ns > NEW_DAY_SECONDS * NS and earlier == desk.moment().today

    def finished(self, desk: PriceDesk) -> None:
        """At the end, after some quiet minutes: all that was asked for is known."""
        state = desk.context.account_state
        report = state.reports.get(RestTask.PRICES)
        today = desk.moment().today
        if report is None or report.phase is not RestPhase.DONE:
            self.broken = self.broken or f"prices are not known after some quiet minutes: {report}"
        last = max((day for day in self.sessions if day < today), default=None)
        if abs(self._stage.clocks.offset_ns) > NEW_DAY_SECONDS * NS:
            return  # by a clock that is hours ahead it is tomorrow, of which the exchange says nothing yet
        for symbol in (*self._symbols, *(one for one, day in self._sold.items() if day == today)):
            close = state.closes.get(symbol)
            if last is not None and (close is None or close.day != last):
                self.broken = self.broken or f"{symbol} counts from {close}, and {last} was the last session"


def iso_text(ns: int) -> str:
    """As Alpaca writes a time."""
    return f"{datetime.fromtimestamp(ns // NS, UTC):%Y-%m-%dT%H:%M:%S}.{ns % NS:09d}Z"
