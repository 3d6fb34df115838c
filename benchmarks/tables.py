"""CPU of the tables of a refresh, from a snapshot: against building DataFrames of the same from rows that are ready.

Reach: at most 3 times the baseline at 20, 250 and 1,000 positions; four times as many positions cost at most four
times as much. The baseline is the cheaper one: tuples, with nothing to look up and nothing to work out. Beside it, what
the same tables cost as the DataFrames that a library's user asks for.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from types import MappingProxyType

import pandas as pd

from options_helper.analysis.live_portfolio_metrics import (
    DEFAULT_WIDE_SPREAD_PCT,
    compute_live_multileg_rows,
    compute_live_position_rows,
)
from options_helper.analysis.live_tables import multileg_tables, position_table
from options_helper.analysis.priced_lines import PricedLines, price_entries
from options_helper.model.account import (
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
    ExecutionKind,
    PreviousClose,
    Source,
)
from options_helper.model.events import Quote, Trade
from options_helper.model.instants import NANOSECONDS, timestamp_extension
from options_helper.model.portfolio import Leg, MultiLegPosition, Portfolio, Position
from options_helper.model.risk_inputs import (
    CorporateActions,
    DailyCloses,
    Dividend,
    RiskInputs,
    VendorGreeks,
)
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamName

SIZES = (20, 250, 1_000)
ROUNDS = 41
AS_OF = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NOW_NS = int(AS_OF.timestamp()) * NANOSECONDS
YESTERDAY = date(2026, 11, 19)
EXPIRIES = (date(2026, 11, 20), date(2026, 12, 18), date(2027, 1, 15))
UNDERLYINGS = tuple(f"{first}{second}" for first in "ABCDE" for second in "FGHIJKLMNO")
LEGS = 4
CLOSES = 252  # of daily closes, as many as are read of each share


def singles(count: int) -> Portfolio:
    """So many single contracts, one in three of them short."""
    return Portfolio(
        positions=tuple(
            Position(
                id=f"single-{number}",
                symbol=UNDERLYINGS[number % len(UNDERLYINGS)],
                option_type="call" if number % 2 else "put",
                expiry=EXPIRIES[number % len(EXPIRIES)],
                strike=100.0 + number // len(UNDERLYINGS),
                contracts=-1 if number % 3 == 0 else 2,
                cost_basis=1.25,
            )
            for number in range(count)
        )
    )


def structures(count: int) -> Portfolio:
    """Condors that have so many legs together."""
    return Portfolio(
        positions=tuple(
            MultiLegPosition(
                id=f"condor-{number}",
                symbol=UNDERLYINGS[number % len(UNDERLYINGS)],
                net_debit=-120.0,
                legs=tuple(
                    Leg(
                        side="long" if index in {0, LEGS - 1} else "short",
                        option_type="put" if index < LEGS // 2 else "call",
                        expiry=EXPIRIES[number % len(EXPIRIES)],
                        strike=90.0 + 5 * index + number // len(UNDERLYINGS),
                        contracts=1,
                    )
                    for index in range(LEGS)
                ),
            )
            for number in range(count // LEGS)
        )
    )


def snapshot_of(portfolio: Portfolio) -> LiveSnapshot:
    """Quotes as they come: most fresh, some old, some bid at zero, some missing; a trade for every other contract."""
    quotes: dict[str, Quote] = {}
    trades: dict[str, Trade] = {}
    for number, instrument in enumerate(portfolio.instruments):
        received = NOW_NS - number % 40 * NANOSECONDS
        symbol, stamp = instrument.live_symbol, timestamp_extension(received - 1_234_567)
        if number % 2:
            trades[symbol] = Trade(symbol=symbol, timestamp=stamp, received_ns=received, price=1.07)
        if number % 25:
            bid = 0.0 if number % 10 == 0 else 1.0 + number % 7 / 20
            quotes[symbol] = Quote(
                symbol=symbol, timestamp=stamp, received_ns=received, bid_price=bid, ask_price=bid + 0.15
            )
    shares = {
        name: Quote(symbol=name, timestamp=NOW_NS, received_ns=NOW_NS, bid_price=101.0, ask_price=101.02)
        for name in UNDERLYINGS
    }
    return LiveSnapshot(
        as_of=AS_OF,
        running=True,
        quotes=MappingProxyType({**shares, **quotes}),
        trades=MappingProxyType(trades),
        account=account_of(portfolio),
        risk_inputs=risk_inputs_of(portfolio),
        streams=MappingProxyType(
            {
                StreamName.STOCKS: StreamHealth(StreamName.STOCKS, Phase.LIVE, requested=UNDERLYINGS),
                StreamName.OPTIONS: StreamHealth(
                    StreamName.OPTIONS,
                    Phase.LIVE,
                    requested=tuple(item.live_symbol for item in portfolio.instruments),
                ),
                StreamName.FILLS: StreamHealth(StreamName.FILLS, Phase.LIVE),
            }
        ),
    )


def risk_inputs_of(portfolio: Portfolio) -> RiskInputs:
    """What a run has read an hour after its start: a year of closes, the dividends of a year, the vendor's Greeks."""
    names = tuple(dict.fromkeys((*(item.underlying for item in portfolio.instruments), "SPY")))
    first = AS_OF.date() - timedelta(days=CLOSES)
    days = [first + timedelta(days=number) for number in range(CLOSES)]
    return RiskInputs(
        actions={
            name: CorporateActions(
                name,
                AS_OF,
                AS_OF.date() + timedelta(days=90),
                tuple(Dividend(name, first + timedelta(days=91 * n + place % 40), 0.4) for n in range(1, 5)),
            )
            for place, name in enumerate(names)
        },
        closes={
            name: DailyCloses(
                name, AS_OF, {day: 100 + (7 * n * (place + 3)) % 11 / 10 for n, day in enumerate(days)}
            )
            for place, name in enumerate(names)
        },
        vendor_greeks={
            item.live_symbol: VendorGreeks(item.live_symbol, 0.3, 0.5, quoted_at=AS_OF, read_at=AS_OF)
            for item in portfolio.instruments
            if item.is_option
        },
    )


def account_of(portfolio: Portfolio) -> AccountState:
    """An account that holds what the book does and closed yesterday; a contract in fifty was bought today."""
    held: Counter[str] = Counter()
    for line in portfolio.lines:
        held[line.instrument.live_symbol] += int(line.quantity)
    return AccountState(
        view=AccountPositions(
            AS_OF, {symbol: at_account(symbol, quantity) for symbol, quantity in held.items()}
        ),
        closes={symbol: PreviousClose(symbol, Decimal("1.05"), YESTERDAY) for symbol in held},
        executions=tuple(bought(symbol) for symbol in list(held)[::50]),
        executions_day=AS_OF.date(),
    )


def at_account(symbol: str, quantity: int) -> AccountPosition:
    """A position without its amounts, which the tables do not need."""
    amounts = dict.fromkeys(("average_price", "cost_basis", "market_value", "current_price"))
    return AccountPosition(symbol, Decimal(quantity), is_option=True, **amounts)


def bought(symbol: str) -> Execution:
    """One contract, an hour ago."""
    at_ns = NOW_NS - 3_600 * NANOSECONDS
    kind, source = ExecutionKind.FILL, Source.STREAM
    return Execution(symbol, kind, symbol, Decimal(1), Decimal("1.10"), AS_OF.date(), at_ns, None, source)


def from_rows(table: pd.DataFrame) -> Callable[[], pd.DataFrame]:
    """How to build this table again from its rows."""
    rows = list(table.itertuples(index=False, name=None))
    names, index = list(table.columns), list(table.index)
    rebuild = partial(pd.DataFrame, rows, columns=names, index=index)
    pd.testing.assert_frame_equal(rebuild(), table, check_dtype=False)
    return rebuild


@dataclass(frozen=True, slots=True)
class Took:
    """Median CPU milliseconds."""

    columns: float  # what the page reads
    frames: float
    rebuilt: float  # the baseline


def compare(
    columns: Callable[[], object], frames: Callable[[], object], rebuilds: list[Callable[[], pd.DataFrame]]
) -> Took:
    """Each in turns, so that the machine's moods meet all."""
    rounds = [
        (
            _milliseconds(columns),
            _milliseconds(frames),
            sum(_milliseconds(rebuild) for rebuild in rebuilds),
        )
        for _ in range(ROUNDS)
    ]
    return Took(*map(statistics.median, zip(*rounds, strict=True)))


def _milliseconds(action: Callable[[], object]) -> float:
    began = time.process_time_ns()
    action()
    return (time.process_time_ns() - began) / 1e6


def position_tables(count: int) -> Took:
    """The table of this many positions."""
    portfolio = singles(count)
    live = snapshot_of(portfolio)
    table = compute_live_position_rows(portfolio, live, stale_after_seconds=30)
    return compare(
        lambda: position_table(portfolio, live, priced(portfolio, live)),
        lambda: compute_live_position_rows(portfolio, live, stale_after_seconds=30),
        [from_rows(table)],
    )


def structure_tables(count: int) -> Took:
    """The tables of structures and legs, of this many legs."""
    portfolio = structures(count)
    live = snapshot_of(portfolio)
    tables = compute_live_multileg_rows(portfolio, live, stale_after_seconds=30)
    return compare(
        lambda: multileg_tables(portfolio, live, priced(portfolio, live)),
        lambda: compute_live_multileg_rows(portfolio, live, stale_after_seconds=30),
        [from_rows(table) for table in tables],
    )


def priced(portfolio: Portfolio, live: LiveSnapshot) -> PricedLines:
    """Every line of it."""
    return price_entries(
        portfolio.positions,
        portfolio,
        live,
        stale_after_seconds=30,
        wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
    )


def main() -> None:
    """Both kinds of tables at each size."""
    print(
        f"CPU of one refresh's tables; median of {ROUNDS}, baseline: DataFrames of the same rows, ready as tuples"
    )
    print(f"{'lines':>8} {'as columns':>12} {'as frames':>12} {'from rows':>12} {'ratio':>8} {'growth':>8}")
    for name, measure in (("positions", position_tables), ("structures and legs", structure_tables)):
        print(name)
        before: tuple[int, float] | None = None
        for count in SIZES:
            took = measure(count)
            growth = f"{took.columns / before[1]:.2f}x" if before else ""
            more = f" for {count / before[0]:g}x the lines" if before else ""
            print(
                f"{count:>8,} {took.columns:9.2f} ms {took.frames:9.2f} ms {took.rebuilt:9.2f} ms "
                f"{took.columns / took.rebuilt:7.2f}x {growth:>8}{more}"
            )
            before = (count, took.columns)


if __name__ == "__main__":
    main()
