"""The command `risk`, as a person at a terminal meets it; the server is a simulated one, QuantLib the judge."""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from math import exp
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.cli import app, main
from options_helper.commands.portfolio_display import Screen
from options_helper.commands.risk_run import RiskRequest, tell_risk
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RestPolicy
from options_helper.errors import ConfigError, RestError
from options_helper.model.portfolio import PortfolioEntry
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.conditions import Conditions
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, nanoseconds, portfolio, position
from tests.kit.simulated import PATIENT_REST

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


def test_a_what_if_says_of_each_underlying_what_it_adds(
    market: SimulatorServer, file_of: Callable[..., Path]
):
    """And what of it is no model's."""
    told = json.loads(command(file_of(*BOOK), "--json", "--what-if", "spot=-5%,days=7").stdout)

    parts = {one["symbol"]: one["what_if"] for one in told["underlyings"]}
    assert parts.keys() == {"AAPL", "MSFT"}
    assert sum(one["change"] for one in parts.values()) == pytest.approx(told["what_if"]["change"])
    assert (parts["MSFT"]["by_model"], parts["MSFT"]["of"]) == (1, 1)
    lines = command(file_of(*BOOK), "--what-if", "days=40").stdout.splitlines()
    assert any(line.startswith("  MSFT: a change of ") for line in lines)
    assert any("ended by then" in line and "MSFT 18 Dec 26 480 P" in line for line in lines)


def test_the_profit_of_today_is_that_of_the_accounts_day(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path]
):
    """Marks against the closes of the session before, since nothing was traded."""
    made = SeededMarket(portfolio(*BOOK), start=NOW)
    serve(made)
    told = json.loads(command(file_of(*BOOK), "--json").stdout)

    def moved(symbol: str) -> float:
        close = made.snapshot(symbol, nanoseconds(NOW), date(2026, 11, 19)).daily_bars[date(2026, 11, 19)][
            "c"
        ]
        mark = next(one["mark"] for one in told["legs"] if one["symbol"] == symbol)
        return float(mark - close)

    aapl, msft = (one["pnl_today"] for one in told["underlyings"])
    assert msft == pytest.approx(-200 * moved("MSFT261218P00480000"))
    assert aapl == pytest.approx(100 * moved("AAPL") - 100 * moved("AAPL261218C00270000"))
    assert told["book"]["pnl_today"] == pytest.approx(aapl + msft)
    assert told["book"]["pnl_today_reasons"] == []


@pytest.mark.parametrize(
    ("at", "close"),
    [
        (datetime(2026, 11, 20, 23, tzinfo=UTC), "2026-11-20T16:00:00-05:00"),
        (datetime(2026, 11, 22, 15, tzinfo=UTC), "2026-11-20T16:00:00-05:00"),
        (datetime(2026, 11, 27, 19, tzinfo=UTC), "2026-11-27T13:00:00-05:00"),
        (NOW, None),
    ],
    ids=["evening", "Sunday", "after a half day", "in the session"],
)
def test_when_nothing_is_traded_the_close_says_the_volatility(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path], at: datetime, close: str | None
):
    """The object of JSON says of which close it is."""

    class Closed(SeededMarket):
        """Whose contracts are quoted no later than at their close."""

        def snapshot(self, symbol: str, now_ns: int, last_session: date) -> Any:
            is_over = close is not None and len(symbol) > 15
            at_ns = nanoseconds(datetime.fromisoformat(str(close))) if is_over else now_ns
            return super().snapshot(symbol, at_ns, last_session)

    serve(Closed(portfolio(*BOOK), start=at))

    told = json.loads(command(file_of(*BOOK), "--json").stdout)

    put = next(one for one in told["legs"] if one["position_id"] == "put")
    assert put["iv_at"] == close
    assert (put["iv_state"], put["delta_state"]) == ("ok", "ok")


def test_a_file_that_holds_something_else_has_no_profit_of_today_and_says_why(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path]
):
    """The risk of what it holds is known all the same."""
    serve(SeededMarket(portfolio(*BOOK), start=NOW))
    other = position("MSFT", 480, "put", contracts=-3, cost_basis=8.0, expiry=EXPIRY)

    result = command(file_of(other), "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (told["book"]["pnl_today"], told["underlyings"][0]["pnl_today"]) == (None, None)
    assert any("another quantity" in one for one in told["book"]["pnl_today_reasons"])
    assert told["legs"][0]["delta"] > 0


def test_a_coin_has_the_price_of_its_book_and_no_option_figures(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path]
):
    """Its beta is not known, so it is named and not counted."""
    coins = (holding("BTC/USD", 0.5, cost_basis=90_000.0),)
    serve(SeededMarket(portfolio(*coins), start=NOW))

    result = command(file_of(*coins), "--json")

    told = json.loads(result.stdout)
    (line,) = told["legs"]
    assert (result.exit_code, line["delta"], line["iv_state"]) == (1, 0.5, None)
    assert line["mark"] > 0
    assert line["delta_dollars"] == pytest.approx(0.5 * line["spot"])
    (problem,) = told["problems"]
    assert problem.startswith("Not in the beta-weighted delta: BTC/USD: the beta of BTC/USD is not known")


@pytest.mark.parametrize(
    ("path", "is_priced", "unknown"),
    [
        ("/v1beta3/crypto/us/bars", True, "what coins were worth when the day began"),
        ("/v1beta3/crypto/us/latest/orderbooks", False, "the prices of coins"),
    ],
)
def test_what_a_coin_was_worth_at_midnight_and_what_it_is_worth_now_fail_each_alone(
    serve: Callable[..., SimulatorServer],
    file_of: Callable[..., Path],
    path: str,
    unknown: str,
    *,
    is_priced: bool,
):
    coins = (holding("BTC/USD", 0.5, cost_basis=90_000.0),)
    server = serve(SeededMarket(portfolio(*coins), start=NOW))
    server.set_faults(Faults(rest_path=path, rest_status=403))

    told = json.loads(command(file_of(*coins), "--json").stdout)

    assert (told["legs"][0]["mark"] is not None, told["book"]["pnl_today"]) == (is_priced, None)
    assert sum(f"Not known now: {unknown}." in one and path in one for one in told["problems"]) == 1


def test_the_price_of_a_cheap_coin_is_not_said_as_0(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path]
):
    coins = (holding("SHIB/USD", 50_000_000, cost_basis=0.0000125),)
    serve(SeededMarket(portfolio(*coins), start=NOW))

    row = next(line for line in command(file_of(*coins)).stdout.splitlines() if line.startswith("SHIB/USD"))

    price = row.split()[1]
    assert 0 < float(price) < 0.001


@pytest.mark.parametrize("from_account", [False, True])
def test_nothing_held_is_nothing_risked(
    serve: Callable[..., SimulatorServer],
    file_of: Callable[..., Path],
    from_account: bool,  # noqa: FBT001 - by name in the list above
):
    """No figure is missing, since there is none."""
    serve(SeededMarket(portfolio(), start=NOW))

    result = command(*(("--account",) if from_account else (file_of(),)), "--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["legs"], told["underlyings"], told["problems"]) == (0, [], [], [])
    book = told["book"]
    amounts = (
        "delta_beta_weighted",
        "dollars_per_percent",
        "theta",
        "vega",
        "max_loss",
        "pnl_today",
        "unrealized",
    )
    assert [book[name] for name in amounts] == [0] * 7


def test_what_has_ended_is_a_line_and_in_no_sum(market: SimulatorServer, file_of: Callable[..., Path]):
    """Also where its day is over and nobody has settled it yet."""
    ended = position(
        "MSFT", 480, "put", contracts=-1, cost_basis=8.0, expiry=date(2026, 11, 13), identity="ended"
    )

    told = json.loads(command(file_of(*BOOK, ended), "--json").stdout)

    line = next(one for one in told["legs"] if one["position_id"] == "ended")
    assert (line["iv_state"], line["delta"], line["has_ended"]) == ("expired", None, True)
    assert told["book"]["coverage"]["theta"] == {"known": 2, "bound": 0, "of": 2}
    assert told["book"]["vega_by_expiry"].keys() == {"2026-12-18"}


FAULTY = (
    *BOOK,
    position("SPXW", 6500, "put", contracts=-1, cost_basis=50.0, expiry=EXPIRY, identity="index"),
)


@pytest.mark.parametrize(
    ("path", "sentence", "unknown"),
    [
        ("/v2/calendar", "the market's hours, so the program's calendar stands", ()),
        ("/v1/corporate-actions", "dividends", ()),
        ("/v2/stocks/bars", "daily bars, and so betas", ()),
        ("/v2/stocks/snapshots", "some prices", ("call", "put")),
        ("/v1beta1/options/snapshots", "some prices", ("call", "put", "index")),
        (
            "/v1beta1/options/snapshots/SPX",
            "what the options of SPX imply",
            ("index",),
        ),
        ("/v1beta1/options/snapshots/MSFT", "what the options of MSFT imply", ()),
        ("/v2/account/activities", "what is held and was traded today", ()),
        ("/v2/orders", "what is held and was traded today", ()),
        ("/v2/positions", "what is held and was traded today", ()),
    ],
)
@pytest.mark.parametrize(
    "fault", [{"rest_status": 403}, {"rest_truncated": True}], ids=["refused", "cut off"]
)
def test_a_question_that_fails_costs_what_needs_its_answer_and_is_said(
    serve: Callable[..., SimulatorServer],
    path: str,
    sentence: str,
    unknown: tuple[str, ...],
    fault: dict[str, Any],
):
    """Exit code 1, and every other figure is there."""
    server = serve(SeededMarket(portfolio(*FAULTY), start=NOW))
    server.set_faults(Faults(rest_path=path, **fault))

    code, told = looked_at(FAULTY)

    assert code == 1
    assert any(f"Not known now: {sentence}" in one and f"{path}" in one for one in told["problems"])
    options = {one["position_id"]: one["delta"] for one in told["legs"] if one["iv_state"] is not None}
    assert {name for name, delta in options.items() if delta is None} == set(unknown)
    known = len(options) - len(unknown)
    assert told["book"]["coverage"]["vega"] == {"known": known, "bound": 0, "of": 3}


def test_a_question_that_nobody_answers_is_given_up_and_said(serve: Callable[..., SimulatorServer]):
    """The others are asked all the same."""
    server = serve(SeededMarket(portfolio(*BOOK), start=NOW))
    server.set_faults(Faults(rest_path="/v1/corporate-actions", rest_hang=True))
    impatient = replace(PATIENT_REST, read_seconds=4.0, answer_seconds=4.0)

    code, told = looked_at(BOOK, impatient)

    assert code == 1
    assert any("Not known now: dividends." in one for one in told["problems"])
    options = [one for one in told["legs"] if one["iv_state"] is not None]
    assert [(one["dividends_state"], one["delta"] is not None) for one in options] == [("unknown", True)] * 2


def test_a_market_that_is_nobodys_account_has_no_profit_of_today_and_no_problem(
    serve: Callable[..., SimulatorServer],
):
    """As a recording that is played."""
    server = serve(SeededMarket(portfolio(*BOOK), start=NOW))
    server.set_faults(Faults(rest_path="/v2/positions", rest_status=404))

    code, told = looked_at(BOOK)

    assert (code, told["book"]["pnl_today"], told["problems"]) == (0, None, [])
    assert any("/v2/positions" in one for one in told["book"]["pnl_today_reasons"])


def test_a_clock_that_fails_alone_leaves_this_computers(serve: Callable[..., SimulatorServer]):
    """The keys are good and everything else answers."""
    server = serve(SeededMarket(portfolio(*BOOK), start=NOW))
    server.set_faults(Faults(rest_path="/v2/clock", rest_status=404))

    code, told = looked_at(BOOK)

    assert (code, told["as_of"][:10]) == (1, "2026-11-20")
    assert sum("the market's time, so this computer's clock stands" in one for one in told["problems"]) == 1
    assert told["legs"][0]["delta"] is not None


@pytest.mark.parametrize("fault", [{"rest_status": 401}, {"rest_status": 403}])
def test_refused_keys_are_an_error_and_no_book_of_unknowns(
    serve: Callable[..., SimulatorServer], fault: dict[str, Any]
):
    """It says which settings to look at."""
    server = serve(SeededMarket(portfolio(*BOOK), start=NOW))
    server.set_faults(Faults(**fault))

    with pytest.raises(RestError, match="APCA_API_KEY_ID"):
        looked_at(BOOK)


def looked_at(book: tuple[Any, ...], policy: RestPolicy = PATIENT_REST) -> tuple[int, dict[str, Any]]:
    """What the command says of a book, with clients that ask once; the exit code, and the object of JSON."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "portfolio.json")
        path.write_text(portfolio_text(portfolio(*book)), encoding="utf-8")
        code = tell_risk(
            RiskRequest(path),
            as_json=True,
            screen=Screen(Console(file=said, width=200)),
            now=lambda: NOW,
            rest_cls=partial(AlpacaRest, policy=policy),
        )
    return code, json.loads(said.getvalue())


def test_a_second_opinion_without_quantlib_says_what_to_install(
    file_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Exit code 2, before anything is asked for: nobody listens here."""
    monkeypatch.setitem(sys.modules, "QuantLib", None)
    monkeypatch.setattr(sys, "argv", ["options-helper", "risk", str(file_of(*BOOK)), "--second-opinion"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "options-helper[risk]" in capsys.readouterr().err


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


def test_ones_own_dividends_are_read_from_their_file(
    market: SimulatorServer, file_of: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = tmp_path / "dividends.toml"
    own.write_text(
        '[[dividends]]\nsymbol = "MSFT"\nex_date = 2026-12-01\namount = 3.5\nsaid_by = "me"\nentered = 2026-11-02\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("OH_RISK_DIVIDENDS", str(own))

    legs = json.loads(command(file_of(*BOOK), "--json").stdout)["legs"]

    said = [
        reason
        for leg in legs
        for reason in leg["reasons"]
        if "$3.5 on 1 Dec 26 (me, entered 2 Nov 26)" in reason
    ]
    assert said != []


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


def test_for_a_person_there_is_a_table_with_a_row_for_each_underlying(
    market: SimulatorServer, file_of: Callable[..., Path]
):
    """The same figures as in the object of JSON, each with its age, and that it is no advice."""
    told = json.loads(command(file_of(*BOOK), "--json").stdout)

    lines = command(file_of(*BOOK)).stdout.splitlines()

    assert "Not financial advice." in lines[0]
    head, aapl, msft, book = (line.split() for line in lines[1:5])
    assert head[:6] == ["underlying", "price", "$", "age", "delta", "sh"]
    assert (aapl[0], msft[0], book[0]) == ("AAPL", "MSFT", "book")
    put = told["underlyings"][1]
    assert msft[4:8] == [f"{put[name]:,.2f}" for name in ("delta", "gamma", "vega", "theta")]
    assert msft[8:12] == ["94,400.00", "18", "Dec", "26"]
    assert book[-2:] == [f"{told['book'][name]:,.2f}" for name in ("pnl_today", "unrealized")]


def test_an_old_quote_is_said_beside_the_table_with_its_age(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path]
):
    """Its market is open, so a figure of it would look new."""

    class Still(SeededMarket):
        """In which the put was quoted a minute ago for the last time."""

        def snapshot(self, symbol: str, now_ns: int, last_session: date) -> Any:
            late_ns = 60_000_000_000 if symbol == "MSFT261218P00480000" else 0
            return super().snapshot(symbol, now_ns - late_ns, last_session)

    serve(Still(portfolio(*BOOK), start=NOW))
    told = json.loads(command(file_of(*BOOK), "--json").stdout)
    lines = command(file_of(*BOOK)).stdout.splitlines()

    put = next(one for one in told["legs"] if one["position_id"] == "put")
    assert put["delta"] is not None
    assert put["greek_age_seconds"] >= 60
    assert any(one.startswith("Its quote is stale: 60 s old") for one in put["reasons"])
    (msft,) = (line for line in lines if line.startswith("MSFT"))
    assert msft.split()[2:4] == ["60", "s"]
    assert any(line.startswith("note: MSFT 18 Dec 26 480 P: Its quote is stale: 60 s old") for line in lines)


def test_on_the_last_day_theta_is_said_to_be_what_is_left(
    serve: Callable[..., SimulatorServer], file_of: Callable[..., Path]
):
    """A rate per day would promise more than there is to lose."""
    book = (position("MSFT", 490, "put", contracts=-1, cost_basis=8.0, expiry=NOW.date(), identity="last"),)
    serve(SeededMarket(portfolio(*book), start=NOW))

    told = json.loads(command(file_of(*book), "--json").stdout)
    lines = command(file_of(*book)).stdout.splitlines()

    (leg,) = told["legs"]
    intrinsic = max(490 - leg["spot"], 0)
    assert leg["is_last_day"]
    assert leg["theta"] == pytest.approx(100 * (leg["mark"] - intrinsic), abs=2)
    assert any(line.startswith("note: MSFT 20 Nov 26 490 P: It ends within a day") for line in lines)


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


def test_a_greatest_loss_that_is_not_known_is_exit_code_1_also_beside_one_without_an_end(
    market: SimulatorServer, file_of: Callable[..., Path]
):
    gift = position("MSFT", 470, "put", expiry=EXPIRY, cost_basis=None, identity="gift")
    naked = position("AAPL", 270, contracts=-1, expiry=EXPIRY, identity="naked")

    known, unknown = (command(file_of(*held), "--json") for held in ((naked,), (naked, gift)))

    assert (known.exit_code, unknown.exit_code) == (0, 1)
    assert json.loads(known.stdout)["problems"] == []
    assert json.loads(unknown.stdout)["problems"] == [
        "MSFT: its greatest loss is not known: what was paid is not known of gift."
    ]


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
