"""A coin of the portfolio, from the file to its row: streamed by the real client, held by the simulated account."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from options_helper.analysis.live_portfolio_metrics import compute_live_position_rows
from options_helper.analysis.marks import QuoteWarning
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.live.session import RunSettings, config_for, plan_for
from options_helper.model.market_hours import new_york_date
from options_helper.model.snapshot import LiveSnapshot
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, portfolio
from tests.kit.simulated import settings_for
from tests.kit.waiting import FOREVER, wait_until

BTC = "BTC/USD"
DOUBTS = {
    QuoteWarning.NOT_SUBSCRIBED,
    QuoteWarning.STALE_QUOTE,
    QuoteWarning.AFTER_HOURS,
    QuoteWarning.OTHER_SESSION,
    QuoteWarning.QUANTITY_IN_DOUBT,
    QuoteWarning.ACCOUNT_DIFFERS,
}
BOOK = portfolio(holding(BTC, 0.5, cost_basis=60_000.0))


def is_known(snapshot: LiveSnapshot) -> bool:
    account = snapshot.account
    return (
        BTC in snapshot.quotes
        and account.view is not None
        and account.executions_day is not None
        and BTC in account.closes
    )


def test_a_coin_is_streamed_priced_and_found_in_the_account(
    running_simulator: Callable[..., SimulatorServer],
):
    server = running_simulator(SeededMarket(BOOK))
    manager = LiveStreamManager(settings_for(server), watch=WatchPolicy(initial_delay=0.0))
    choices = RunSettings()
    manager.start(config_for(choices, plan_for(BOOK, choices)))
    try:
        wait_until(lambda: is_known(manager.snapshot()), saw=manager.snapshot)
        snapshot = manager.snapshot()
    finally:
        manager.stop()

    (row,) = compute_live_position_rows(BOOK, snapshot, stale_after_seconds=FOREVER).to_dict("records")
    assert 50_000.0 < row["mark"] < 70_000.0
    assert row["mark_source"] == "mid"
    assert DOUBTS.isdisjoint(row["warnings"])
    assert snapshot.account.view is not None
    assert snapshot.account.view.positions[BTC].quantity == Decimal("0.5")
    began = snapshot.account.closes[BTC]
    assert began.day == new_york_date(snapshot.as_of) - timedelta(days=1)
    assert row["day_pnl"] == pytest.approx(0.5 * (row["mark"] - float(began.price)))


def test_coins_that_are_held_and_books_that_are_looked_at_share_one_stream():
    choices = RunSettings(book_pairs=("ETH/USD",))
    both = config_for(choices, plan_for(BOOK, choices))
    books_only = config_for(choices, plan_for(portfolio(holding("AAPL")), choices))

    assert (both.crypto, both.crypto_channels) == ((BTC, "ETH/USD"), ("quotes", "trades", "orderbooks"))
    assert (books_only.crypto, books_only.crypto_channels) == (("ETH/USD",), ("orderbooks",))
