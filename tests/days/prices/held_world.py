"""What is to be known of what is held beside prices, at any moment, and the server that tells it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from options_helper.errors import RestError
from tests.days.clocks import NS
from tests.days.day import NEW_YORK, Day
from tests.days.prices.oracle import PriceOracle, iso_text

# A quote of a contract stands for so long.
_TICK_NS: Final = 5 * NS
# What somebody leaves standing after the session is quoted from then on.
_LEFT_STANDING_NS: Final = 240 * NS
# Options on funds and indices are traded a quarter of an hour longer.
LATE: Final = frozenset({"SPY", "SPX"})
_STRIKES: Final = (48.0, 50.0, 52.0, 54.0, 56.0)
_INDEX_STRIKES: Final = (4_900.0, 4_950.0, 5_000.0, 5_050.0, 5_100.0)
JUNK: Final = 0.07


class HeldWorld:
    """Dividends, daily bars, options and records, as they are at a moment of true time."""

    def __init__(self, day: Day, prices: PriceOracle) -> None:
        self._day, self.prices = day, prices
        first = date_of(day.sessions[0].opens_ns)
        last = date_of(day.sessions[-1].opens_ns)
        # What ends on the days that are played, the day after, and soon; one class of the index by its opening prices.
        self.ending = (
            f"AAPL{first:%y%m%d}C00052000",
            f"SPXW{first:%y%m%d}P05000000",
            f"SPXW{last + timedelta(days=1):%y%m%d}P05000000",
            f"SPX{last + timedelta(days=7):%y%m%d}P05000000",
        )
        self.announced_ns: dict[str, int] = {}
        self.unknown: frozenset[str] = frozenset()  # shares that the server says it does not know

    def announce(self, symbol: str, true_ns: int) -> None:
        """Let a special dividend be announced then."""
        self.announced_ns.setdefault(symbol, true_ns)

    def dividends(self, symbol: str, at_ns: int) -> list[tuple[date, float]]:
        """Ex-date and amount of what is announced by then."""
        first = date_of(self._day.sessions[0].opens_ns)
        told = [(first + timedelta(days=20), 0.1 + len(symbol) / 100)]
        if self.announced_ns.get(symbol, at_ns + 1) <= at_ns:
            told.append((first + timedelta(days=30), 2.5))
        return told

    def settles_at_open(self, contract: str) -> bool:
        """As its record says, whatever its root would have one think."""
        return contract.startswith("SPXW") and contract == self.ending[2]

    # Options.

    def session_end_ns(self, contract: str, at_ns: int) -> int | None:
        """When its latest session that had begun by then ends or ended; None: that is of a day before these."""
        begun = [one for one in self._day.sessions if one.opens_ns <= at_ns]
        if not begun:
            return None
        return begun[-1].closes_ns + (900 * NS if contract.startswith(("SPY", "SPX")) else 0)

    def option_quote(self, contract: str, at_ns: int) -> tuple[int, float]:
        """When its newest quote was made, and its bid."""
        ends_ns = self.session_end_ns(contract, at_ns)
        if ends_ns is None:
            made_ns = self._day.sessions[0].opens_ns - 90 * 3_600 * NS
            return made_ns, bid_of(contract, made_ns)
        if at_ns >= ends_ns + _LEFT_STANDING_NS:
            return ends_ns + _LEFT_STANDING_NS, JUNK
        made_ns = min(at_ns, ends_ns - NS)
        made_ns -= made_ns % _TICK_NS
        return made_ns, bid_of(contract, made_ns)

    def share_bid(self, symbol: str, at_ns: int) -> float | None:
        """What a share is bid then."""
        every = self.prices.every(symbol)
        count = bisect_right(every, at_ns, key=lambda quote: quote.made_ns)
        return every[count - 1].bid if count else None

    @property
    def sessions(self) -> Sequence[date]:
        """Those of which there are bars."""
        return self.prices.sessions


class Server:
    """A `AlpacaRest` without a network: what it knows at a moment."""

    def __init__(self, world: HeldWorld, at_ns: int) -> None:
        self._world, self._prices, self._at_ns = world, world.prices, at_ns

    def data_pages(self, _: str, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What is announced, or daily bars."""
        symbols = query["symbols"].split(",")
        for symbol in symbols:
            if symbol in self._world.unknown:
                raise RestError(f"Alpaca refuses: invalid symbol: {symbol}", status=400)
        if path == "/corporate-actions":
            rows = [
                {"id": f"{symbol}{ex_date}", "symbol": symbol, "rate": rate, "ex_date": f"{ex_date}"}
                for symbol in symbols
                for ex_date, rate in self._world.dividends(symbol, self._at_ns)
            ]
            yield {"corporate_actions": {"cash_dividends": rows}}
            return
        first, last = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
        # In two pages, as of many shares.
        for some in (symbols[:1], symbols[1:]):
            yield {"bars": {symbol: list(self._bars(symbol, first, last)) for symbol in some}}

    def _bars(self, symbol: str, first: datetime, last: datetime) -> Iterator[dict[str, Any]]:
        for day in self._world.sessions:
            begins = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK)
            opened = begins.timestamp() * NS + 9.5 * 3_600 * NS <= self._at_ns
            if opened and first <= begins <= last:
                yield {
                    "t": begins.astimezone(UTC).isoformat(),
                    "c": self._prices.bar_close(symbol, day, self._at_ns),
                }

    def stock_snapshots(self, symbols: Sequence[str], _: str) -> Mapping[str, Any]:
        """Quotes and bars."""
        return self._prices.snapshots(symbols, self._at_ns, 0)

    def option_snapshots(self, contracts: Iterable[str], _: str) -> dict[str, Any]:
        """Quotes."""
        return {one: self._snapshot(one) for one in contracts}

    def option_chain(self, underlying: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Both types at each strike, in one class, in two pages."""
        day = date.fromisoformat(query["expiration_date"])
        low, high = float(query.get("strike_price_gte", 0)), float(query.get("strike_price_lte", 1e9))
        root = "SPXW" if underlying == "SPX" and f"{day:%y%m%d}" not in self._world.ending[3] else underlying
        strikes = _INDEX_STRIKES if underlying == "SPX" else _STRIKES
        for kind in "CP":
            yield {
                contract: self._snapshot(contract)
                for strike in strikes
                if low <= strike <= high
                for contract in (f"{root}{day:%y%m%d}{kind}{round(strike * 1_000):08d}",)
            }

    def _snapshot(self, contract: str) -> dict[str, Any]:
        made_ns, bid = self._world.option_quote(contract, self._at_ns)
        return {
            "latestQuote": {"t": iso_text(made_ns), "bp": bid, "bs": 1, "ap": round(bid + 0.1, 2), "as": 1}
        }

    def option_contract(self, symbol: str) -> dict[str, Any]:
        """Its record."""
        return {
            "symbol": symbol,
            "settlement": "am" if self._world.settles_at_open(symbol) else "pm",
            "style": "european" if symbol.startswith("SPX") else "american",
            "multiplier": "100",
            "size": "100",
        }

    def asset(self, symbol: str) -> dict[str, Any]:
        """Its record."""
        return {"symbol": symbol, "attributes": ["options_late_close"] if symbol in LATE else []}

    def orders(self, _: datetime) -> Iterator[list[Any]]:
        """None."""
        yield []

    def activities(self, kinds: Sequence[str], _: datetime) -> Iterator[list[Any]]:
        """The call that ended last is assigned in the hour after its session."""
        contract = self._world.ending[0]
        end_ns = self._world.session_end_ns(contract, self._at_ns)
        row: dict[str, Any] = {
            "activity_type": "OPEXP", "id": "20260101000000000::1", "symbol": contract, "qty": "-1",
            "date": f"{expiry_of(contract)}", "net_amount": "0", "status": "executed",
        }  # fmt: skip
        yield [row] if "OPEXP" in kinds and end_ns is not None and self._at_ns > end_ns + 60 * NS else []


def bid_of(contract: str, made_ns: int) -> float:
    """What a contract was bid at that time, so that each price says which quote it is of."""
    strike = int(contract[-8:]) / 1_000
    middle = 5_000.0 if contract.startswith("SPX") else 52.0
    worth = max(0.0, middle - strike if contract[-9] == "C" else strike - middle)
    return round(3 + worth + made_ns // _TICK_NS % 97 / 100, 2)


def expiry_of(contract: str) -> date:
    """The day on which it ends."""
    text = contract[-15:-9]
    return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))


def date_of(true_ns: int) -> date:
    """The day in New York."""
    return datetime.fromtimestamp(true_ns / NS, NEW_YORK).date()
