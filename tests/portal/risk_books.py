"""Calls on shares at 100 dollars and their quotes of one moment: books whose risk a test can say in its head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from options_helper.live.screen import ScreenModel
from options_helper.model.account import AccountState
from options_helper.model.portfolio import Portfolio, load_portfolio
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.builders import quote, snapshot_with
from tests.portal import scenes
from tests.portal.scenes import OPEN
from tests.portal.test_board import file_of, screen_of

SPOT = 100.0
CALL = {"symbol": "AAPL", "option_type": "call", "expiry": "2026-12-18", "cost_basis": 3.0}
LONG = {"id": "long", "strike": 105, "contracts": 2, **CALL}
SOLD = {"id": "sold", "strike": 110, "contracts": -2, **CALL}
DEEP = {"id": "deep", "strike": 60, "contracts": 1, **CALL}
OTHER = {**CALL, "id": "other", "symbol": "MSFT", "strike": 105, "contracts": -1}
SPREAD = {
    "id": "spread",
    "symbol": "AAPL",
    "net_debit": 200,
    "legs": [
        {"side": "long", "option_type": "call", "expiry": "2026-12-18", "strike": 105, "contracts": 1},
        {"side": "short", "option_type": "call", "expiry": "2026-12-18", "strike": 110, "contracts": 1},
    ],
}
MIDDLES = {60: 40.0, 105: 3.0, 110: 1.6}


def quotes(
    book: Portfolio,
    *,
    half: float = 0.02,
    spot_age: float = 0.5,
    index: float | None = 500.0,
    without: tuple[float, ...] = (),
) -> LiveSnapshot:
    """The calls at prices of some 40 % volatility, the deep one at its intrinsic value."""
    events = [
        quote(
            item.live_symbol,
            MIDDLES[int(item.strike or 0)] - half,
            MIDDLES[int(item.strike or 0)] + half,
            as_of=OPEN,
        )
        for item in dict.fromkeys(book.instruments)
        if item.is_option and item.strike not in without
    ]
    names = dict.fromkeys(item.underlying for item in book.instruments)
    if index is not None:
        events.append(quote("SPY", index - 0.01, index + 0.01, as_of=OPEN))
    events += [quote(name, SPOT - 0.01, SPOT + 0.01, age=spot_age, as_of=OPEN) for name in names]
    return snapshot_with(*events, as_of=OPEN)


Show = Callable[..., ScreenModel]


def showing(folder: Path) -> Show:
    """Answers with the screen of these positions at these quotes."""

    def shown(
        *positions: dict[str, Any],
        hide_amounts: bool = False,
        account: AccountState | None = None,
        **market: Any,
    ) -> ScreenModel:
        path = file_of(folder, *positions)
        book = load_portfolio(path)
        live = replace(quotes(book, **market), streams=scenes.live(book).streams)
        live = live if account is None else replace(live, account=account)
        return screen_of(lambda: live, path, hide_amounts=hide_amounts)

    return shown
