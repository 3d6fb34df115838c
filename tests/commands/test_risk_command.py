"""The command `risk`, as a person at a terminal meets it; the server is a simulated one, QuantLib the judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from math import exp
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.cli import app
from options_helper.errors import ConfigError
from options_helper.model.portfolio import PortfolioEntry
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.conditions import Conditions
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, nanoseconds, portfolio, position

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
EXPIRY = date(2026, 12, 18)
SETTLED = datetime(2026, 12, 18, 21, 0, tzinfo=UTC)
BOOK = (
    holding("AAPL", 100.0, cost_basis=200.0),
    position("AAPL", 270, "call", contracts=-1, cost_basis=5.0, expiry=EXPIRY, identity="call"),
    position("MSFT", 480, "put", contracts=-2, cost_basis=8.0, expiry=EXPIRY, identity="put"),
)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["risk", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[..., Path]:
    """Write a portfolio file of these entries."""

    def write(*entries: PortfolioEntry) -> Path:
        path = tmp_path / "portfolio.json"
        path.write_text(portfolio_text(portfolio(*entries)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SimulatorServer]]:
    """Start a server of a market and lead the command to it with its keys."""
    servers: list[SimulatorServer] = []

    def start(market: Any) -> SimulatorServer:
        server = SimulatorServer(market, key=DEMO_KEY, secret=DEMO_SECRET)
        server.start()
        servers.append(server)
        for name, value in {
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
            "OH_RISK_RATES": "2026-11-20 0.04",
        }.items():
            monkeypatch.setenv(name, value)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def market(serve: Callable[..., SimulatorServer]) -> SimulatorServer:
    """A market with American prices and dividends."""
    return serve(SeededMarket(portfolio(*BOOK), start=NOW, conditions=Conditions(american=True)))


def by_quantlib(leg: dict[str, Any], at: datetime, *, strike: float, call: bool) -> dict[str, float]:
    """Volatility and delta of one contract from its mark, by QuantLib alone."""
    ql = pytest.importorskip("QuantLib")
    years = (SETTLED - at).total_seconds() / (365 * 86_400)
    today = ql.Date(1, 1, 2100)
    days, counted = 36_500, ql.Actual365Fixed()
    stretch = years / 100

    def price(spot: float, volatility: float) -> float:
        # What goes ex is in the forward that is told.
        rate = leg["rate"]
        inside = leg["forward"] * 2.718281828459045 ** (-rate * years) * spot / leg["spot"]

        def flat(value: float) -> Any:
            return ql.YieldTermStructureHandle(ql.FlatForward(today, value * stretch, counted))

        variance = ql.BlackConstantVol(today, ql.NullCalendar(), volatility * stretch**0.5, counted)
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(ql.SimpleQuote(inside)),
            flat(0.0),
            flat(rate),
            ql.BlackVolTermStructureHandle(variance),
        )
        kind = ql.Option.Call if call else ql.Option.Put
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(kind, strike), ql.AmericanExercise(today, today + days)
        )
        option.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme()))
        return float(option.NPV())

    low, high = 0.02, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if price(leg["spot"], middle) < leg["mark"] else (low, middle)
    step = leg["spot"] * 1e-3
    delta = (price(leg["spot"] + step, low) - price(leg["spot"] - step, low)) / (2 * step)
    return {"iv": low, "delta": delta}


def test_every_figure_has_its_key_and_equals_quantlibs(market: SimulatorServer, file_of: Callable[..., Path]):
    """Through the simulator's wire and the real clients; the judge sees prices and inputs alone."""
    result = command(file_of(*BOOK), "--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["problems"]) == (0, [])
    at = datetime.fromisoformat(told["as_of"])
    assert list(told)[:5] == ["as_of", "what_if", "book", "underlyings", "legs"]
    legs = {one["position_id"]: one for one in told["legs"]}
    put = legs["put"]
    assert put["iv_state"] == "ok"
    judged = by_quantlib(put, at, strike=480, call=False)
    assert put["iv"] == pytest.approx(judged["iv"], abs=0.002)
    assert put["delta"] == pytest.approx(-200 * judged["delta"], abs=0.6)
    assert put["delta"] > 0
    assert put["vendor_delta"] is not None
    assert put["second_delta"] == pytest.approx(put["delta"], abs=6)
    assert legs["AAPL-shares"]["delta"] == 100
    assert told["book"]["coverage"]["delta"]["of"] == 2
    assert [one["symbol"] for one in told["underlyings"]] == ["AAPL", "MSFT"]
    # A put that was sold for 16 hundred dollars and shares that were bought for 20,000, with 500 for the call.
    assert told["book"]["max_loss"] == 2 * (48_000 - 800) + 20_000 - 500


def test_a_what_if_says_what_the_book_is_worth_there(market: SimulatorServer, file_of: Callable[..., Path]):
    """Nothing else changes by it."""
    result = command(file_of(*BOOK), "--json", "--what-if", "spot=-5%,vol=+3,days=7")

    told = json.loads(result.stdout)["what_if"]
    assert told["words"] == "spot -5 %, volatility +3 points, 7 days later"
    assert told["change"] == pytest.approx(told["worth"] - told["worth_now"])
    assert told["change"] < 0


def test_a_second_opinion_stands_beside_ours(market: SimulatorServer, file_of: Callable[..., Path]):
    """QuantLib's, of the position."""
    pytest.importorskip("QuantLib")

    told = json.loads(command(file_of(*BOOK), "--json", "--second-opinion").stdout)

    put = next(one for one in told["legs"] if one["position_id"] == "put")
    assert put["quantlib_delta"] == pytest.approx(put["delta"], abs=0.6)


INDEX = (
    position("SPXW", 6500, "put", contracts=-1, cost_basis=50.0, expiry=EXPIRY, identity="low"),
    position("SPXW", 6600, "call", contracts=1, cost_basis=90.0, expiry=date(2026, 12, 4), identity="near"),
)


@pytest.mark.parametrize("index_yield", [0.0, 0.03])
def test_options_on_an_index_have_figures_by_the_forward_that_their_expiry_implies(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path], index_yield: float
):
    """Nothing has a price of the index; what its shares pay is in the forward."""
    made = SeededMarket(portfolio(*INDEX), start=NOW, conditions=Conditions(index_yield=index_yield))
    serve(made)

    told = json.loads(command(file_of(*INDEX), "--json").stdout)

    level = made.price("SPX")
    assert level is not None
    legs = {one["position_id"]: one for one in told["legs"]}
    for leg, expiry in zip(legs.values(), (SETTLED, datetime(2026, 12, 4, 21, tzinfo=UTC)), strict=True):
        years = (expiry - NOW).total_seconds() / (365 * 86_400)
        assert leg["forward"] == pytest.approx(level * exp((0.04 - index_yield) * years), rel=2e-4)
        assert (leg["iv_state"], leg["dividends_state"], leg["delta_state"]) == ("ok", "none", "ok")
        assert leg["spot_age_seconds"] < 5
    assert told["book"]["coverage"]["delta"] == {"known": 2, "bound": 0, "of": 2}


PUT = (position("MSFT", 480, "put", contracts=-2, cost_basis=8.0, expiry=EXPIRY, identity="put"),)


@pytest.mark.parametrize(
    ("peculiar", "is_doubted"),
    [
        (Conditions(american=True), False),
        (Conditions(american=True, skew=3), False),
        (Conditions(american=True, off_spot="MSFT"), True),
        (Conditions(american=True, hard_to_borrow="MSFT"), True),
        (Conditions(american=True, silent_dividend="MSFT"), True),
    ],
)
def test_a_price_that_its_options_contradict_is_an_alarm(
    serve: Callable[..., SimulatorServer],
    file_of: Callable[..., Path],
    peculiar: Conditions,
    is_doubted: bool,  # noqa: FBT001 - by name in the list above
):
    """Beside the figures, which rest on the price that is quoted; an honest market raises none."""
    serve(SeededMarket(portfolio(*PUT), start=NOW, conditions=peculiar))

    told = json.loads(command(file_of(*PUT), "--json").stdout)

    alarms = [one for one in told["book"]["alarms"] if one.startswith("MSFT: options imply ")]
    assert bool(alarms) == is_doubted
    (leg,) = told["legs"]
    assert any("Options imply a price of" in one for one in leg["reasons"]) == is_doubted
    assert leg["delta"] is not None


def test_a_price_that_stands_still_is_an_alarm(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path]
):
    """The options of a share whose price is old know the new one."""

    class Moved(SeededMarket):
        """Of which an hour has passed when somebody asks."""

        def snapshot(self, symbol: str, now_ns: int, last_session: date) -> Any:
            if symbol == "MSFT":
                for _ in range(20_000):
                    self._opening._move()  # noqa: SLF001 - its time is that of its steps
            self._running = self._opening
            return super().snapshot(symbol, now_ns, last_session)

    serve(Moved(portfolio(*PUT), start=NOW, conditions=Conditions(american=True, stale_spot="MSFT")))

    told = json.loads(command(file_of(*PUT), "--json").stdout)

    assert any(one.startswith("MSFT: options imply ") for one in told["book"]["alarms"])


def test_for_a_person_there_is_a_line_for_each_underlying(
    market: SimulatorServer, file_of: Callable[..., Path]
):
    """With the greatest loss, the next expiry, and that it is no advice."""
    result = command(file_of(*BOOK))

    lines = result.stdout.splitlines()
    assert "Not financial advice." in lines[0]
    assert lines[1].startswith("AAPL at ")
    assert "next expiry 18 Dec 26" in lines[1]
    assert "greatest loss" in lines[2]


def test_what_cannot_be_judged_is_said_and_is_exit_code_1(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path]
):
    """A market without prices: no figure, and no 0 either."""
    serve(SilentMarket(start_ns=nanoseconds(NOW)))

    result = command(file_of(*BOOK), "--json")

    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["book"]["theta"] is None or told["book"]["coverage"]["theta"]["known"] == 0
    assert told["underlyings"][1]["delta"] is None
    assert any("MSFT" in one for one in told["problems"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--what-if", "spot=up"), "The what-if has 'spot=up'"),
        (("--account",), "Choose one"),
    ],
)
def test_bad_input_is_a_sentence(file_of: Callable[..., Path], arguments: tuple[str, ...], sentence: str):
    """Before anything is asked for."""
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        command(file_of(*BOOK), *arguments)


def test_the_accounts_book_needs_no_file(market: SimulatorServer):
    """Its positions are grouped by rule."""
    result = command("--account", "--json")

    told = json.loads(result.stdout)
    assert told["legs"]
    assert {one["underlying"] for one in told["legs"]} == {"AAPL", "MSFT"}
