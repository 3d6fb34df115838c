"""A recorded hour through the wire: on each refresh, today's curve at the price of now is what the marks come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from options_helper.analysis.risk.payoff_view import PayoffView, payoff_view, subjects
from options_helper.clock import utc_now
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.snapshot import LiveSnapshot
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import leg, portfolio, position, structure
from tests.kit.pace import runs
from tests.kit.recordings import record_spxw_quotes
from tests.kit.simulated import settings_for
from tests.kit.waiting import FOREVER, until_no_thread, wait_until

# An hour in a quarter of a minute, or, where there is time, in two minutes.
SPEED = 3_600 / runs(quick=15, long=120)
pytestmark = pytest.mark.timeout(240)

Simulators = Callable[..., SimulatorServer]
DAY = date(2018, 1, 5)
UNTIL = "2018-01-05 10:31:00"
# Both types of each strike, so that they imply the index.
BOX = structure(
    leg("long", 2720, "put", expiry=DAY),
    leg("short", 2730, "put", expiry=DAY),
    leg("short", 2730, expiry=DAY),
    leg("long", 2720, expiry=DAY),
    symbol="SPXW",
    identity="box",
    net_debit=900.0,
)
STRADDLE = structure(
    leg("short", 2740, "put", expiry=DAY),
    leg("short", 2740, expiry=DAY),
    symbol="SPXW",
    identity="straddle",
    net_debit=-700.0,
)
BOOK = portfolio(
    position("SPXW", 2735, "call", contracts=2, cost_basis=3.0, expiry=DAY, identity="call"),
    position("SPXW", 2735, "put", contracts=-1, cost_basis=4.0, expiry=DAY, identity="put"),
    BOX,
    STRADDLE,
)
PAID = Decimal(2 * 300 - 400 + 900 - 700)
HELD = BOOK.quantities


@contextmanager
def looking(server: SimulatorServer) -> Iterator[Callable[[], ScreenModel]]:
    """What a viewer of a run on this server sees, refresh by refresh."""
    session = LiveSession(
        # Nothing is asked for over REST: an answer may overtake old ticks, which then count as late.
        build_manager=lambda _: LiveStreamManager(settings_for(server), rest_cls=None),
        housekeeping_seconds=3_600,
    )
    book = PortfolioFile(Path("spxw.json"), name="spxw.json", portfolio=BOOK)
    session.start(book, RunSettings(stream_fills=False), settings_for(server))
    view = ViewOptions(Preferences(), ZoneInfo("UTC"))
    try:
        yield lambda: build_screen(session, book, view, now=utc_now())
    finally:
        session.stop()
        until_no_thread("live-")


def sum_of_marks(snapshot: LiveSnapshot) -> Decimal | None:
    """Dollars, in exact decimals from the quotes themselves; None until each has a bid and an ask."""
    worth = Decimal(0)
    for contract, quantity in HELD.items():
        quote = snapshot.quotes.get(contract)
        if quote is None or not quote.bid_price or not quote.ask_price:
            return None
        worth += 100 * quantity * (Decimal(str(quote.bid_price)) + Decimal(str(quote.ask_price))) / 2
    return worth


def test_on_each_refresh_of_a_recorded_hour_today_at_the_price_of_now_is_the_sum_of_the_marks(
    real_data: Path, tmp_path: Path, running_simulator: Simulators
):
    record_spxw_quotes(real_data, tmp_path, until=UNTIL)
    server = running_simulator(ReplayMarket(tmp_path, speed=SPEED, symbols=HELD))
    minutes: set[datetime] = set()
    screen: ScreenModel | None = None
    with looking(server) as look:
        while (screen := next_screen(look, screen)) is not None:
            worth = sum_of_marks(screen.snapshot)
            if worth is not None and agrees(screen, worth - PAID):
                minutes.add(screen.snapshot.as_of.replace(second=0, microsecond=0))

    # A busy machine makes fewer refreshes of an hour that plays by its own clock; each of them must hold.
    assert len(minutes) >= 30


def next_screen(look: Callable[[], ScreenModel], before: ScreenModel | None) -> ScreenModel | None:
    """What the next refresh shows of another instant, once all is quoted; None when the hour is over."""

    def is_next(screen: ScreenModel) -> bool:
        is_other = before is None or screen.snapshot.as_of != before.snapshot.as_of
        return is_other and sum_of_marks(screen.snapshot) is not None

    found = wait_until(lambda: screen if is_next(screen := look()) else None, timeout=FOREVER)
    return None if found is None or found.snapshot.played_out else found


def agrees(screen: ScreenModel, profit: Decimal) -> bool:
    """Whether there is a curve; where there is one it goes through the marks, to the cent."""
    view = payoff_view(screen.risk, next(one for one in subjects(screen.risk) if one.key == "u:SPX"))
    if not isinstance(view, PayoffView):
        return False
    assert view.now == pytest.approx(float(profit), abs=0.005), screen.snapshot.as_of
    (place,) = np.flatnonzero(view.prices == view.spot)
    assert view.today[place] == pytest.approx(float(profit), abs=0.005), screen.snapshot.as_of
    return True
