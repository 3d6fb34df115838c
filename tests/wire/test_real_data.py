"""The main job on real input: recorded market data, the socket, the real SDK, the manager, the tables.

Every figure is worked out a second time from the recorded file, by other means, and must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from options_helper.analysis.live_portfolio_metrics import (
    compute_live_multileg_rows,
    compute_live_position_rows,
    compute_live_totals,
)
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.subscriptions import build_subscription_plan
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Leg, MultiLegPosition, Portfolio, Position, ShareHolding
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamName
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.pace import LONG
from tests.kit.recordings import (
    OPENING_ROWS,
    SPXW_BEGIN,
    Recordings,
    record_spxw_quotes,
    spxw_rows,
    taq_rows,
)
from tests.kit.simulated import settings_for
from tests.kit.waiting import wait_until

# In the long form two hundred thousand events go through a socket; on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(200)

Simulators = Callable[..., SimulatorServer]
EXPIRY = date(2018, 1, 5)
STALE = 30.0


@contextmanager
def replayed(server: SimulatorServer, portfolio: Portfolio) -> Iterator[LiveSnapshot]:
    """The snapshot after the whole recording went through the socket, with nothing lost on the way."""
    plan = build_subscription_plan(
        portfolio, stream_stocks=True, stream_options=True, max_option_contracts=250
    )
    # Nothing is asked for over REST: an answer may overtake old ticks, which then count as late.
    manager = LiveStreamManager(settings_for(server), rest_cls=None)
    manager.start(
        LiveStreamConfig(
            stocks=plan.stocks,
            option_contracts=plan.option_contracts,
            stream_fills=False,
            queue_maxsize=1_000_000,
        )
    )
    try:
        wait_until(
            lambda: server.finished and _all_applied(manager, server), timeout=150, saw=manager.snapshot
        )
        yield manager.snapshot()
    finally:
        manager.stop()


def _all_applied(manager: LiveStreamManager, server: SimulatorServer) -> bool:
    streams = manager.snapshot().streams
    return all(streams[name].applied == server.sent[name] for name in (StreamName.STOCKS, StreamName.OPTIONS))


def test_two_days_of_one_stock_s_real_ticks_are_all_applied_and_the_last_ones_shown(
    real_data: Path, recordings: Recordings, running_simulator: Simulators
):
    """In its short form the first ticks of each day."""
    opening = not LONG
    recorded = recordings.folder("quotes", "trades", opening=opening)
    quotes, trades = (list(taq_rows(real_data, part, opening=opening)) for part in ("quotes", "trades"))
    symbol = quotes[0]["symbol"]
    portfolio = Portfolio(
        positions=(ShareHolding(id="shares", symbol=symbol, shares=300, cost_basis=150.25),)
    )

    with replayed(running_simulator(ReplayMarket(recorded, speed=0)), portfolio) as snapshot:
        stocks = snapshot.streams[StreamName.STOCKS]
        row = compute_live_position_rows(portfolio, snapshot, stale_after_seconds=STALE).loc["shares"]

    assert stocks.received == stocks.applied == len(quotes) + len(trades)
    assert len(quotes) + len(trades) == (4 * OPENING_ROWS if opening else 131_401 + 77_263)
    assert (stocks.dropped, stocks.rejected, stocks.late) == (0, 0, 0)
    last_quote, last_trade = quotes[-1], trades[-1]
    shown = snapshot.stock_quotes[symbol]
    assert (shown.bid_price, shown.ask_price) == (
        float(last_quote["bid_price"]),
        float(last_quote["ask_price"]),
    )
    assert shown.timestamp_ns == epoch_nanoseconds(last_quote["timestamp"])
    assert snapshot.stock_trades[symbol].price == float(last_trade["price"])
    newest = max(
        epoch_nanoseconds(last_quote["timestamp"]) or 0, epoch_nanoseconds(last_trade["timestamp"]) or 0
    )
    assert snapshot.as_of == utc_datetime(newest)
    assert snapshot.market is MarketKind.REPLAY
    mid = (Decimal(last_quote["bid_price"]) + Decimal(last_quote["ask_price"])) / 2
    assert row["mark"] == pytest.approx(float(mid))
    assert row["pnl_abs"] == pytest.approx(float((mid - Decimal("150.25")) * 300))
    assert row["pnl_natural_abs"] == pytest.approx(
        float((Decimal(last_quote["bid_price"]) - Decimal("150.25")) * 300)
    )


def leg(side: Any, option_type: Any, strike: float, contracts: int = 1) -> Leg:
    return Leg(side=side, option_type=option_type, expiry=EXPIRY, strike=strike, contracts=contracts)


SPXW_PORTFOLIO = Portfolio(
    positions=(
        Position(
            id="call",
            symbol="SPXW",
            option_type="call",
            expiry=EXPIRY,
            strike=2735,
            contracts=2,
            cost_basis=3.1,
        ),
        Position(
            id="put",
            symbol="SPXW",
            option_type="put",
            expiry=EXPIRY,
            strike=2735,
            contracts=-1,
            cost_basis=5.0,
        ),
        Position(
            id="wing",
            symbol="SPXW",
            option_type="put",
            expiry=EXPIRY,
            strike=1200,
            contracts=4,
            cost_basis=0.1,
        ),
        MultiLegPosition(
            id="condor",
            symbol="SPXW",
            net_debit=-410.0,
            legs=(
                leg("long", "put", 2710),
                leg("short", "put", 2720),
                leg("short", "call", 2750),
                leg("long", "call", 2760),
            ),
        ),
        MultiLegPosition(
            id="vertical",
            symbol="SPXW",
            net_debit=900.0,
            legs=(leg("long", "call", 2725, 2), leg("short", "call", 2745, 2)),
        ),
    )
)


def contract(option_type: str, strike: float) -> str:
    return f"SPXW180105{option_type[0].upper()}{round(strike * 1000):08d}"


class RecordedQuotes:
    """The recorded closing quotes, and the arithmetic in exact decimals."""

    def __init__(self, rows: dict[str, dict[str, str]]) -> None:
        self._rows = rows

    def sides(self, option_type: str, strike: float) -> tuple[Decimal, Decimal]:
        row = self._rows[contract(option_type, strike)]
        return Decimal(row["bid"]), Decimal(row["ask"])

    def mark(self, option_type: str, strike: float) -> Decimal:
        bid, ask = self.sides(option_type, strike)
        assert ask > 0
        assert bid <= ask
        return (bid + ask) / 2

    def natural(self, option_type: str, strike: float, signed: int) -> Decimal:
        bid, ask = self.sides(option_type, strike)
        return bid if signed > 0 else ask


LAST_MINUTES = ("2018-01-05 15:59:00", 10, "2018-01-05 15:50:00")


@pytest.mark.parametrize(
    ("until", "minutes", "since"),
    [
        ("2018-01-05 10:32:00", 62, SPXW_BEGIN),
        ("2018-01-05 15:59:00", 389, SPXW_BEGIN) if LONG else LAST_MINUTES,
    ],
)
def test_a_real_spxw_day_gives_the_same_numbers_as_the_file(  # noqa: PLR0917 - a case and fixtures
    until: str, minutes: int, since: str, real_data: Path, tmp_path: Path, running_simulator: Simulators
):
    record_spxw_quotes(real_data, tmp_path, since=since, until=until)
    held = {instrument.live_symbol for instrument in SPXW_PORTFOLIO.instruments}
    rows = {
        row["contract"]: row for row in spxw_rows(real_data, EXPIRY.isoformat(), since=since, until=until)
    }
    recorded = RecordedQuotes(rows)

    with replayed(running_simulator(ReplayMarket(tmp_path, speed=0)), SPXW_PORTFOLIO) as snapshot:
        positions = compute_live_position_rows(SPXW_PORTFOLIO, snapshot, stale_after_seconds=STALE)
        structures, legs = compute_live_multileg_rows(SPXW_PORTFOLIO, snapshot, stale_after_seconds=STALE)
        totals = compute_live_totals(SPXW_PORTFOLIO, snapshot, positions, structures, legs)

    assert snapshot.streams[StreamName.OPTIONS].applied == minutes * len(held)
    assert snapshot.as_of == datetime.fromisoformat(until).replace(tzinfo=NEW_YORK)
    pnl = pnl_natural = Decimal(0)
    for position in SPXW_PORTFOLIO.singles:
        row = positions.loc[position.id]
        mark = recorded.mark(position.option_type, position.strike)
        natural = recorded.natural(position.option_type, position.strike, position.contracts)
        cost = Decimal(str(position.cost_basis))
        expected = (mark - cost) * 100 * position.contracts
        expected_natural = (natural - cost) * 100 * position.contracts
        assert row["mark"] == pytest.approx(float(mark))
        assert row["mark_source"] == "mid"
        assert row["mark_age_seconds"] == row["quote_age_seconds"] == 0
        assert row["dte"] == 0
        assert row["pnl_abs"] == pytest.approx(float(expected))
        assert row["pnl_natural_abs"] == pytest.approx(float(expected_natural))
        assert row["pnl_pct"] == pytest.approx(float(expected / abs(cost * 100 * position.contracts) * 100))
        pnl += expected
        pnl_natural += expected_natural
    for structure in SPXW_PORTFOLIO.structures:
        row = structures.loc[structure.id]
        debit = Decimal(str(structure.net_debit))
        net = sum(
            recorded.mark(leg.option_type, leg.strike) * leg.signed_contracts * 100
            for leg in structure.contract_legs
        )
        net_natural = sum(
            recorded.natural(leg.option_type, leg.strike, leg.signed_contracts) * leg.signed_contracts * 100
            for leg in structure.contract_legs
        )
        assert (row["priced_legs"], row["legs"]) == (len(structure.legs), len(structure.legs))
        assert row["net_mark"] == pytest.approx(float(net))
        assert row["net_natural"] == pytest.approx(float(net_natural))
        assert row["net_pnl_abs"] == pytest.approx(float(net - debit))
        assert row["net_pnl_natural_abs"] == pytest.approx(float(net_natural - debit))
        pnl += net - debit
        pnl_natural += net_natural - debit
    assert totals.complete
    assert totals.pnl_abs == pytest.approx(float(pnl))
    assert totals.pnl_natural_abs == pytest.approx(float(pnl_natural))


def test_what_is_quoted_of_a_real_spxw_day_after_its_contracts_ended_is_no_price(
    real_data: Path, tmp_path: Path, running_simulator: Simulators
):
    """The file goes on to a quarter past four; a series that expires that day stops at four."""
    since = SPXW_BEGIN if LONG else "2018-01-05 15:55:00"
    record_spxw_quotes(real_data, tmp_path, since=since, until="2018-01-05 16:15:00")

    with replayed(running_simulator(ReplayMarket(tmp_path, speed=0)), SPXW_PORTFOLIO) as snapshot:
        positions = compute_live_position_rows(SPXW_PORTFOLIO, snapshot, stale_after_seconds=STALE)
        structures, legs = compute_live_multileg_rows(SPXW_PORTFOLIO, snapshot, stale_after_seconds=STALE)
        totals = compute_live_totals(SPXW_PORTFOLIO, snapshot, positions, structures, legs)

    assert positions["mark"].isna().all()
    assert structures["net_mark"].isna().all()
    assert totals.pnl_abs is None
