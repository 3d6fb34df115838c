"""What a capture will record and about how much that is, decided before anything connects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Final

from options_helper.capture.hours import CaptureHours
from options_helper.data.intraday.pace import FLUSH_ROWS, FLUSH_SECONDS
from options_helper.data.rest.option_contracts import Chain, Contract, ContractFilter
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.subscriptions import build_subscription_plan
from options_helper.errors import ConfigError
from options_helper.model.contract_symbols import parse_contract_symbol, short_date
from options_helper.model.news import ALL_SYMBOLS
from options_helper.model.portfolio import Portfolio
from options_helper.model.streams import StreamName
from options_helper.model.text import named

# Events are kept for the writer in memory; a recorder has no page to share it with.
QUEUE_EVENTS: Final = 500_000
_NO_LIMIT: Final = 1_000_000

SESSION_SECONDS: Final = 23_400
# Measured: what compressed rows take, and what each member takes besides.
BYTES_A_ROW: Final = 19
BYTES_A_MEMBER: Final = 100
PARQUET_BYTES_A_ROW: Final = 16
PARQUET_BYTES_A_FILE: Final = 4_000
# Measured: events a second, and the bytes a second by which the journal grows. It is written ten times a second, so
# few events compress badly, and it grows a little without any.
JOURNAL_GROWTH: Final = (
    (0, 90),
    (4, 560),
    (8, 950),
    (50, 2_200),
    (225, 5_000),
    (500, 7_500),
    (5_000, 45_000),
)
# Events of a much traded symbol in one day, to the order of magnitude; the busiest have ten times as many.
EVENTS_A_DAY: Final[Mapping[str, Mapping[str, int]]] = {
    "quotes": {
        "iex": 30_000,
        "test": 30_000,
        "overnight": 30_000,
        "boats": 30_000,
        "indicative": 10_000,
        "opra": 40_000,
    },
    "trades": {
        "iex": 3_000,
        "test": 3_000,
        "overnight": 3_000,
        "boats": 3_000,
        "indicative": 200,
        "opra": 200,
    },
    "bars": {},
}
CRYPTO_EVENTS_A_DAY: Final[Mapping[str, int]] = {"quotes": 100_000, "trades": 5_000, "bars": 1_440}
HALT_EVENTS_A_DAY: Final[Mapping[str, int]] = {"statuses": 1, "lulds": 800}
ARTICLES_A_DAY: Final = 20  # of a symbol that is much written about
ALL_ARTICLES_A_DAY: Final = 1_000
EVENTS_A_DAY_ELSEWHERE: Final[Mapping[str, int]] = {"quotes": 600_000, "trades": 60_000, "bars": 390}


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for; symbols and underlyings in Alpaca's spelling."""

    stocks: tuple[str, ...] = ()
    option_contracts: tuple[str, ...] = ()
    underlyings: tuple[str, ...] = ()
    wanted: ContractFilter = field(default_factory=ContractFilter)
    portfolio: Portfolio | None = None
    quotes: bool = True
    trades: bool = True
    bars: bool = True
    stock_feed: str = "iex"
    options_feed: str = "indicative"
    max_contracts: int = 250
    halts: bool = False
    crypto: tuple[str, ...] = ()
    crypto_location: str = "us"
    news: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """What is recorded of each coin, and of each stock among others."""
        wanted = {"quotes": self.quotes, "trades": self.trades, "bars": self.bars}
        return tuple(channel for channel, is_wanted in wanted.items() if is_wanted)

    @property
    def stock_channels(self) -> tuple[str, ...]:
        """What is recorded of each stock."""
        return (*self.channels, *(HALT_EVENTS_A_DAY if self.halts else ()))

    @property
    def option_channels(self) -> tuple[str, ...]:
        """The same of each contract: Alpaca streams no bars of options."""
        return tuple(channel for channel in self.channels if channel != "bars")


@dataclass(frozen=True, slots=True)
class Estimate:
    """The order of magnitude of one day."""

    rows: int
    file_bytes: int
    journal_bytes: int
    parquet_bytes: int  # of the copies that a finished day may get


@dataclass(frozen=True)
class CapturePlan:
    """What is subscribed to, and a sentence for all that was left out."""

    streams: LiveStreamConfig
    warnings: tuple[str, ...] = ()
    not_expanded: tuple[str, ...] = ()  # underlyings whose contracts are not known yet
    room: int = 0  # contracts that those may have

    @cached_property
    def hours(self) -> CaptureHours:
        """When its feeds move; asked for twice a second."""
        streams = self.streams
        wanted = [name for name in StreamName if streams.wants(name)]
        if self.not_expanded and StreamName.OPTIONS not in wanted:
            wanted.append(StreamName.OPTIONS)
        return CaptureHours(
            tuple((name, streams.feed(name)) for name in wanted),
            frozenset((*streams.option_contracts, *self.not_expanded)),
        )

    @property
    def partitions(self) -> int:
        """Files of one day, journals not counted; for what is not expanded, as many as there may be."""
        return sum(1 for _ in self._rows_of_files())

    def estimate(self) -> Estimate:
        """About how much a day brings; for what is not expanded, as if the limit were used up."""
        files = list(self._rows_of_files())
        rows = sum(files)
        return Estimate(
            rows,
            sum(map(_file_bytes, files)),
            _journal_bytes(rows),
            len(files) * PARQUET_BYTES_A_FILE + rows * PARQUET_BYTES_A_ROW,
        )

    def _rows_of_files(self) -> Iterator[int]:
        """About how many each file of a day gets."""
        streams = self.streams
        for channel in streams.stock_channels:
            yield from [_events_a_day(channel, streams.stock_feed)] * len(streams.stocks)
        for channel in streams.option_channels:
            yield from [_events_a_day(channel, streams.options_feed)] * self._contracts
        for channel in streams.crypto_channels:
            yield from [CRYPTO_EVENTS_A_DAY[channel]] * len(streams.crypto)
        if streams.news:
            yield ALL_ARTICLES_A_DAY if ALL_SYMBOLS in streams.news else ARTICLES_A_DAY * len(streams.news)

    @property
    def _contracts(self) -> int:
        return len(self.streams.option_contracts) + (self.room if self.not_expanded else 0)

    def without_expired(self, today: date) -> CapturePlan:
        """The same for another day, where the contracts could not be looked up anew."""
        alive = tuple(
            symbol
            for symbol in self.streams.option_contracts
            if parse_contract_symbol(symbol).expiry >= today
        )
        return replace(self, streams=replace(self.streams, option_contracts=alive))


def plan_capture(selection: Selection, chains: Sequence[Chain] | None) -> CapturePlan:
    """Decide what is recorded; `chains` are those of the wish's underlyings, or None when nobody has asked yet.

    Named contracts come first, then the portfolio's, then those of the underlyings. ConfigError when there is nothing.
    """
    _require_channels(selection)
    stocks, contracts, coins, warnings = _named(selection)
    kept = contracts[: selection.max_contracts]
    if left_out := contracts[selection.max_contracts :]:
        warnings.append(_left_out(left_out, len(contracts), selection.max_contracts))
    room = selection.max_contracts - len(kept)
    if chains:
        found, warning = _expanded(chains, set(kept), room)
        kept += found
        warnings += [warning] if warning else []
    not_expanded = selection.underlyings if chains is None else ()
    if not (stocks or kept or not_expanded or coins or selection.news):
        raise ConfigError(
            "There is nothing to record. Name --stocks, --option-contracts, --options-underlyings, --portfolio, "
            "--crypto or --news."
        )
    return CapturePlan(
        LiveStreamConfig(
            stocks=tuple(stocks),
            option_contracts=tuple(kept),
            stream_fills=False,
            stock_feed=selection.stock_feed,
            options_feed=selection.options_feed,
            stock_channels=selection.stock_channels,
            option_channels=selection.option_channels,
            crypto=tuple(coins),
            crypto_channels=selection.channels,
            crypto_location=selection.crypto_location,
            news=selection.news,
            queue_maxsize=QUEUE_EVENTS,
        ),
        tuple(warnings),
        not_expanded,
        room,
    )


def _require_channels(selection: Selection) -> None:
    if not selection.stock_channels and not selection.news:
        raise ConfigError("With --no-quotes, --no-trades and --no-bars nothing is left to record.")
    if (selection.option_contracts or selection.underlyings) and not selection.option_channels:
        raise ConfigError("Alpaca streams no bars of options: leave --no-quotes or --no-trades away.")
    if selection.max_contracts < 1:
        raise ConfigError(f"--max-contracts {selection.max_contracts}: it must be 1 or more.")


def _named(selection: Selection) -> tuple[list[str], list[str], list[str], list[str]]:
    """Stocks, contracts, coins and warnings, without what must be looked up."""
    stocks, contracts = list(selection.stocks), list(selection.option_contracts)
    coins = list(selection.crypto)
    warnings: list[str] = []
    if selection.portfolio is not None:
        plan = build_subscription_plan(
            selection.portfolio,
            stream_stocks=True,
            stream_options=bool(selection.option_channels),
            max_option_contracts=_NO_LIMIT,
        )
        stocks += plan.stocks
        contracts += plan.option_contracts
        warnings += plan.warnings
        coins += plan.crypto
    return list(dict.fromkeys(stocks)), list(dict.fromkeys(contracts)), list(dict.fromkeys(coins)), warnings


def _expanded(chains: Sequence[Chain], known: set[str], room: int) -> tuple[list[str], str | None]:
    """What there is room for: nearest expiries first, and in each the nearest the money of every underlying."""
    ranked = [
        (contract.expiry, rank, chain.underlying, contract)
        for chain in chains
        for rank, contract in _ranked_by_expiry(chain)
        if contract.symbol not in known
    ]
    ranked.sort(key=lambda entry: entry[:3])
    kept, left_out = ranked[:room], ranked[room:]
    symbols = [contract.symbol for *_, contract in kept]
    if not left_out:
        return symbols, None
    words = [_share(chain.underlying, kept, left_out) for chain in chains]
    return symbols, (
        f"{len(left_out)} of {len(ranked)} contracts of the underlyings are left out (--max-contracts leaves room "
        f"for {room}), late expiries and far strikes first: {'; '.join(word for word in words if word)}."
    )


_Ranked = tuple[date, int, str, Contract]


def _ranked_by_expiry(chain: Chain) -> list[tuple[int, Contract]]:
    seen: dict[date, int] = {}
    ranked = []
    for contract in chain.contracts:
        rank = seen[contract.expiry] = seen.get(contract.expiry, -1) + 1
        ranked.append((rank, contract))
    return ranked


def _share(underlying: str, kept: Sequence[_Ranked], left_out: Sequence[_Ranked]) -> str | None:
    expiries = [expiry for expiry, _, name, _ in kept if name == underlying]
    missing = sum(1 for _, _, name, _ in left_out if name == underlying)
    if not missing:
        return None
    if not expiries:
        return f"{underlying} keeps none of {missing}"
    return (
        f"{underlying} keeps {len(expiries)} of {len(expiries) + missing}, up to {short_date(max(expiries))}"
    )


def _left_out(symbols: Sequence[str], total: int, limit: int) -> str:
    return (
        f"{len(symbols)} of {total} named contracts are left out (--max-contracts {limit}): {named(symbols)}."
    )


def _events_a_day(channel: str, feed: str) -> int:
    if channel in HALT_EVENTS_A_DAY:
        return HALT_EVENTS_A_DAY[channel]
    return EVENTS_A_DAY[channel].get(feed, EVENTS_A_DAY_ELSEWHERE[channel])


def _file_bytes(rows: int) -> int:
    rows_a_member = min(max(1.0, rows / SESSION_SECONDS * FLUSH_SECONDS), FLUSH_ROWS)
    return int(rows * (BYTES_A_ROW + BYTES_A_MEMBER / rows_a_member))


def _journal_bytes(events: int) -> int:
    rate = events / SESSION_SECONDS
    steps = list(pairwise(JOURNAL_GROWTH))
    (slower, less), (faster, more) = next((step for step in steps if rate <= step[1][0]), steps[-1])
    return int((less + (more - less) * (rate - slower) / (faster - slower)) * SESSION_SECONDS)
