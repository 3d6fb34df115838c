"""What rules are judged by: the figures of one look, with source, age and caveat, or with the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.analysis.alerts.figures import book_readings
from options_helper.analysis.alerts.messages import sentence, value_text
from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.data.alerts_file import load_rules, parse_rules
from options_helper.model.account import (
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
    ExecutionKind,
    RestPhase,
    RestReport,
    RestTask,
    Source,
)
from options_helper.model.alerts import (
    FIGURES,
    Elapsed,
    Reading,
    Readings,
    RuleState,
    Side,
    SubjectKind,
    Verdict,
)
from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.portfolio import Portfolio, PortfolioEntry, load_portfolio
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import CorporateActions, RiskInputs
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.text import between_words, with_minus
from tests.analysis.attention.world import dividend, live_at
from tests.analysis.risk.test_book_risk import index_chain
from tests.kit.builders import holding, leg, new_york, portfolio, position, quote, snapshot_with, structure
from tests.portal import scenes

STARTER = Path(__file__).parents[3] / "config" / "alerts.toml.example"
SAMPLE = load_portfolio(scenes.SAMPLE)
DECEMBER = date(2026, 12, 18)
SHORT_PUT = position("AAPL", 180, "put", contracts=-1, cost_basis=4.0, expiry=DECEMBER, identity="put")


def look_at(book: Portfolio, live: LiveSnapshot) -> BookLook:
    return look_at_book(book, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)


def readings_of(book: Portfolio, live: LiveSnapshot, *asked: tuple[str, str], rules: str = "") -> Readings:
    """The figures that rules about these subjects ask for."""
    texts = [_rule(n, subject, figure) for n, (subject, figure) in enumerate(asked)]
    return book_readings(
        parse_rules("\n".join([*texts, rules]), "alerts.toml"), book, live, look_at(book, live)
    )


def _rule(n: int, subject: str, figure: str) -> str:
    needs = "" if figure.startswith("attention") or figure == "fills" else 'operator = "<"\nlevel = 0\n'
    return f'[[rules]]\nname = "{n}"\nsubject = "{subject}"\nfigure = "{figure}"\n{needs}'


def reading(
    entries: list[PortfolioEntry], live: LiveSnapshot, subject: str, figure: str, name: str
) -> Reading:
    kind = SubjectKind(subject.rpartition("each ")[2].rpartition(" ")[2].partition(":")[0])
    return readings_of(portfolio(*entries), live, (subject, figure))[kind, figure][name]


def market(*quotes: tuple[str, float, float], at: str = "2026-11-20 10:00", age: float = 1.0) -> LiveSnapshot:
    """A snapshot of these quotes, each so many seconds old."""
    instant = new_york(at).astimezone(UTC)
    return snapshot_with(
        *(quote(symbol, bid, ask, age=age, as_of=instant) for symbol, bid, ask in quotes), as_of=instant
    )


PUT = "AAPL261218P00180000"


def test_a_leg_says_what_it_is_with_source_and_age():
    live = market(("AAPL", 189.9, 190.1), (PUT, 1.9, 2.1))

    def of_put(figure: str) -> Reading:
        return reading([SHORT_PUT], live, f"leg:{PUT}", figure, PUT)

    assert of_put("mark") == Reading(2.0, "AAPL 18 Dec 26 180 P", "its mid by stream", 1.0, side=Side.SHORT)
    assert of_put("natural").value == 2.1
    assert of_put("unrealized").value == pytest.approx(200)
    assert of_put("spread").value == pytest.approx(10.0)
    assert of_put("dte").value == 28
    assert of_put("age").value == 1.0
    # 180 is 10 below 190, so it is that far out of the money.
    assert of_put("distance_to_strike").value == pytest.approx(100 * 10 / 190)
    values = {figure: of_put(figure).value for figure in ("iv", "delta", "theta")}
    assert values["iv"] == pytest.approx(39, abs=15)  # per cent, not a fraction
    assert values["delta"] == pytest.approx(25, abs=15)  # shares; of a put that was sold
    assert values["theta"] == pytest.approx(8, abs=7)  # dollars a day, gained


def test_where_more_is_bid_than_asked_there_is_no_width_and_no_middle():
    crossed = market(("AAPL", 189.9, 190.1), (PUT, 2.1, 1.9), ("MSFT", 402.0, 398.0))

    width = reading([SHORT_PUT], crossed, f"leg:{PUT}", "spread", PUT)
    assert (width.value, width.why) == (None, "its quote has not two sides in order")
    elsewhere = reading([SHORT_PUT], crossed, "underlying:MSFT", "price", "MSFT")
    assert (elsewhere.value, elsewhere.why) == (None, "it is not held, and no price of it is read")


def test_what_is_not_known_says_why_and_what_is_no_figure_of_it_is_left_out():
    live = market(("AAPL", 189.9, 190.1))
    shares = holding("AAPL", 100, cost_basis=180.0)

    for figure in ("mark", "natural", "unrealized", "spread", "age", "iv", "delta"):
        found = reading([SHORT_PUT], live, "each leg", figure, PUT)
        assert found.value is None, figure
        assert found.why, figure
    for figure in ("iv", "dte", "theta", "distance_to_strike"):
        assert readings_of(portfolio(shares), live, ("each leg", figure))[SubjectKind.LEG, figure] == {}
    assert reading([shares], live, "each leg", "delta", "AAPL").value == 100


def test_a_price_that_is_not_of_the_first_grade_is_said():
    stale = market(("AAPL", 189.9, 190.1), (PUT, 1.9, 2.1), age=60)

    assert reading([SHORT_PUT], stale, "each leg", "mark", PUT).caveat == "stale"
    for subject, figure, name in (
        ("each leg", "distance_to_strike", PUT),
        ("each underlying", "price", "AAPL"),
    ):
        assert reading([SHORT_PUT], stale, subject, figure, name).caveat == "the underlying's price is stale"
    over_night = market(("AAPL", 189.9, 190.1), (PUT, 1.9, 2.1), at="2026-11-20 20:00", age=60)
    assert reading([SHORT_PUT], over_night, "each underlying", "price", "AAPL").caveat == ""


@pytest.mark.parametrize(("spot", "share"), [(2.01, 49.75), (2.0, 50.0), (0.0, 100.0)])
def test_the_share_of_the_greatest_profit(spot: float, share: float):
    live = market(("AAPL", 189.9, 190.1), (PUT, max(spot - 0.01, 0), spot + 0.01))
    found = reading([SHORT_PUT], live, "each structure", "percent_of_max_profit", "put")

    assert found.value == pytest.approx(share, abs=0.3 if spot == 0 else 1e-6)


def test_a_profit_without_end_has_no_share():
    call = position("AAPL", 180, "call", expiry=DECEMBER, identity="call")
    live = market(("AAPL", 189.9, 190.1), ("AAPL261218C00180000", 12.0, 12.2))

    assert (
        readings_of(portfolio(call), live, ("each structure", "percent_of_max_profit"))[
            SubjectKind.STRUCTURE, "percent_of_max_profit"
        ]
        == {}
    )


def test_one_contract_in_two_entries_is_one_leg():
    spread = structure(
        leg("short", 180, "put", expiry=DECEMBER, cost_basis=4.0),
        leg("long", 170, "put", expiry=DECEMBER, cost_basis=2.0),
        net_debit=None,
    )
    live = market(("AAPL", 189.9, 190.1), (PUT, 1.9, 2.1), ("AAPL261218P00170000", 0.9, 1.1))

    one = reading([SHORT_PUT], live, "each leg", "delta", PUT).value
    both = reading([SHORT_PUT, spread], live, "each leg", "delta", PUT).value

    assert one is not None
    assert both == pytest.approx(2 * one)
    assert reading([SHORT_PUT, spread], live, "each leg", "unrealized", PUT).value == pytest.approx(400)


def test_sums_of_the_book_are_those_of_the_look_and_say_what_they_lack():
    live = scenes.live()
    look = look_at(SAMPLE, live)

    found = readings_of(
        SAMPLE, live, *(("book", name) for name in ("unrealized", "pnl_today", "delta", "theta", "dte"))
    )
    of_book = {figure: one[""] for (kind, figure), one in found.items() if kind is SubjectKind.BOOK}

    assert of_book["unrealized"].value == look.totals.pnl_abs
    assert of_book["pnl_today"].value == look.risk.profits.book_today
    assert of_book["dte"].value == 0
    for figure in ("delta", "theta"):
        total = getattr(look.risk.sums, figure)
        assert of_book[figure].value == (None if total.missing else total.amount)
        assert (of_book[figure].why == "") is (not total.missing)


def test_a_profit_of_which_a_part_lacks_says_how_much_is_known_and_with_amounts_what_that_comes_to():
    live = scenes.with_account(without_close=["SPY261120C00681000"])()
    day = look_at(SAMPLE, live).totals.day
    found = readings_of(SAMPLE, live, ("book", "pnl_today"))[SubjectKind.BOOK, "pnl_today"][""]
    rules = parse_rules(_rule(0, "book", "pnl_today"), "alerts.toml")
    rule = next(one for one in rules if one.figure == "pnl_today")

    why = "only 9 of 10 profits are known. There is no close of 19 Nov 26: SPY 20 Nov 26 681 C"
    assert (found.value, found.why) == (None, why)
    said = f"The book: profit today cannot be judged: {why}."
    assert sentence(rule, found, Verdict.UNKNOWN, with_amounts=False) == said
    amount = f"{'−' if day.known < 0 else ''}${abs(day.known):,.2f}"
    assert sentence(rule, found, Verdict.UNKNOWN) == (
        f"{said} What is known of it comes to {amount}, in 9 of 10."
    )


def test_every_figure_of_the_book_can_be_read_of_each_of_its_subjects():
    """With prices and without; a reading has a value or a reason, and no other."""
    pairs = [
        (f"each {kind}" if kind not in ("book", "account") else str(kind), name)
        for name, figure in FIGURES.items()
        for kind in sorted(figure.subjects)
        if kind not in (SubjectKind.RUN, SubjectKind.JOB, SubjectKind.PROVIDER, SubjectKind.STREAM)
    ]
    for scene in (scenes.live, scenes.stale, scenes.connecting):
        found = readings_of(SAMPLE, scene(), *pairs)
        for key, of_key in found.items():
            for name, one in of_key.items():
                assert (one.value is None) is bool(one.why), (key, name, one)
                assert one.label, (key, name)
                assert one.value is None or one.value == one.value, (key, name)


def test_a_share_that_is_only_named_has_what_the_run_hears_of_it():
    live = market(("AAPL", 189.9, 190.1), (PUT, 1.9, 2.1), ("SPY", 599.9, 600.1))
    asked = [("underlying:SPY", "price"), ("underlying:QQQ", "price"), ("each underlying", "price")]

    found = readings_of(portfolio(SHORT_PUT), live, *asked)[SubjectKind.UNDERLYING, "price"]

    assert {name: (one.value, one.is_held) for name, one in found.items()} == {
        "AAPL": (190.0, True),
        "SPY": (600.0, False),
        "QQQ": (None, False),
    }


COIN, CLASS_SHARES = holding("BTC/USD", 0.25, cost_basis=80_000.0), holding("BRK/B", 10, cost_basis=480.0)
CLASS_PUT = position("BRK-B", 480, "put", contracts=-1, cost_basis=4.0, expiry=DECEMBER, identity="brk-put")


@pytest.mark.parametrize("spell", [str, str.lower], ids=["as it is", "in small letters"])
@pytest.mark.parametrize(
    ("kind", "figure"),
    [
        ("underlying", "price"),
        ("underlying", "age"),
        ("underlying", "unrealized"),
        ("underlying", "delta"),
        ("underlying", "attention:stale"),
        ("leg", "mark"),
        ("leg", "unrealized"),
    ],
)
def test_a_rule_that_names_what_is_held_reads_what_a_rule_about_each_reads(
    kind: str, figure: str, spell: Callable[[str], str]
):
    """Shares, class shares, contracts on them, and coins: by the name that the other rule has for it."""
    book = portfolio(COIN, CLASS_SHARES, CLASS_PUT, SHORT_PUT)
    live = market(
        ("AAPL", 189.9, 190.1),
        (PUT, 1.9, 2.1),
        ("BTC/USD", 80_000, 80_001),
        ("BRK.B", 489, 490),
        ("BRKB261218P00480000", 5.0, 5.2),
    )
    of_each = readings_of(book, live, (f"each {kind}", figure))[SubjectKind(kind), figure]

    assert len(of_each) == {"underlying": 3, "leg": 4}[kind]
    for name, expected in of_each.items():
        rules = parse_rules(_rule(1, f"{kind}:{spell(name)}", figure), "alerts.toml")
        found = book_readings(rules, book, live, look_at(book, live))[SubjectKind(kind), figure]
        assert found[rules[-1].subject.name or ""] == expected
        assert expected.value is not None


def test_fills_are_counted_by_day_each_once():
    live = market(("AAPL", 189.9, 190.1))
    fill = Execution(
        "a", ExecutionKind.FILL, "AAPL", Decimal(1), Decimal(190), date(2026, 11, 20), None, None, Source.REST
    )
    expiry = replace(fill, identity="b", kind=ExecutionKind.EXPIRY)
    account = AccountState(executions=(fill, expiry), later=(fill,), executions_day=date(2026, 11, 20))

    def fills(state: AccountState) -> Reading:
        return readings_of(portfolio(holding()), replace(live, account=state), ("account", "fills"))[
            SubjectKind.ACCOUNT, "fills"
        ][""]

    assert (fills(account).value, fills(account).period) == (1.0, "2026-11-20")
    assert fills(AccountState()).why == "today's executions are not known"
    # As it is for a moment after midnight, and before a market that is played has told its day.
    yesterday = replace(account, executions_day=date(2026, 11, 19))
    assert (fills(yesterday).value, fills(yesterday).why) == (None, "today's executions are not known")


def test_buying_power_is_the_accounts_with_its_age():
    live = market(("AAPL", 189.9, 190.1))
    view = AccountPositions(
        live.as_of - timedelta(seconds=30), MappingProxyType({}), options_buying_power=Decimal(5_000)
    )
    found = readings_of(
        portfolio(holding()), replace(live, account=AccountState(view=view)), ("account", "buying_power")
    )[SubjectKind.ACCOUNT, "buying_power"][""]

    assert (found.value, found.age_seconds) == (5_000.0, 30.0)


def test_attention_of_a_kind_is_of_its_legs_its_underlying_and_the_book():
    live = market(("AAPL", 179.9, 180.1), (PUT, 3.9, 4.1), at="2026-12-18 15:00")
    held = [SHORT_PUT, holding("MSFT", 10, cost_basis=400.0)]

    def of(subject: str) -> dict[str, float | str | None]:
        kind = SubjectKind(subject.rpartition(" ")[2])
        found = readings_of(portfolio(*held), live, (subject, "attention:expiring"))
        return {name: one.value for name, one in found[kind, "attention:expiring"].items()}

    assert of("each leg") == {PUT: 1.0, "MSFT": 0.0}
    assert of("each underlying") == {"AAPL": 1.0, "MSFT": 0.0}
    assert of("book") == {"": 1.0}


def test_a_message_of_what_needs_a_hand_says_what_can_be_done_and_amounts_only_where_they_may_go():
    """A naked call of a ratio: one of the three that were sold is covered."""
    ratio = structure(leg("long", 180, expiry=DECEMBER), leg("short", 185, contracts=3, expiry=DECEMBER))
    live = live_at("2026-11-20 12:00", {}, held=[ratio])
    found = reading([ratio], live, "book", "attention:undefined_risk", "")
    (rule,) = (
        one
        for one in parse_rules(_rule(0, "book", "attention:undefined_risk"), "alerts.toml")
        if one.name == "0"
    )

    text = sentence(rule, found, Verdict.MET, with_amounts=False)
    assert "What it could cost is undefined" in text
    assert "Close what is uncovered, or cover that with calls that end no sooner" in text
    assert not any(said in text for said in ("2 of 3", "200", "$"))
    whole = sentence(rule, found, Verdict.MET)
    assert "Uncovered: 2 of 3 contracts of AAPL 18 Dec 26 185 C" in whole
    assert "Close 2 of 3 contracts of AAPL 18 Dec 26 185 C" in whole


def test_what_is_to_be_done_for_several_is_said_once():
    puts = [
        position("AAPL", strike, "put", contracts=-1, expiry=date(2026, 11, 20), identity=f"{strike}")
        for strike in (200, 205)
    ]
    live = live_at("2026-11-20 12:00", {"AAPL": (189.9, 190.1)}, held=puts)
    found = reading(puts, live, "book", "attention:in_the_money_short", "")

    assert found.said.count("is in the money") == 2
    assert found.said.count("Close it, or roll it to a later expiry.") == 1


@pytest.mark.parametrize(
    ("phase", "is_read", "why"),
    [
        (RestPhase.OFF, False, ""),
        (RestPhase.REQUESTING, False, "the account has not been read"),
        (RestPhase.REQUESTING, True, ""),
    ],
)
def test_beside_an_account_that_has_not_answered_nobody_knows_what_is_sold_uncovered(
    phase: RestPhase, why: str, *, is_read: bool
):
    """Read as "not met" until then it would fire at each restart; without an account the file's word counts."""
    naked = position("AAPL", 180, contracts=-1, expiry=DECEMBER)
    live = live_at("2026-11-20 12:00", {}, held=[naked])
    reports = MappingProxyType(
        {**live.account.reports, RestTask.POSITIONS: RestReport(RestTask.POSITIONS, phase)}
    )
    view = live.account.view if is_read else None
    live = replace(live, account=replace(live.account, reports=reports, view=view))

    for book, value in (([naked], 1.0), ([SHORT_PUT], 0.0 if not is_read else 1.0)):
        found = reading(book, live, "book", "attention:undefined_risk", "")
        assert (found.value, found.why) == (None if why else value, why)


@pytest.mark.parametrize("subject", ["each leg", "book"])
@pytest.mark.parametrize(
    ("kind", "contracts", "at", "is_known"),
    [
        ("in_the_money_short", -1, "2026-12-14 10:00", False),
        ("in_the_money_short", 1, "2026-12-14 10:00", True),
        ("early_exercise", -1, "2026-12-14 10:00", False),
        ("pin", -1, "2026-12-17 10:00", False),
        ("pin", -1, "2026-12-14 10:00", True),  # it does not end soon, wherever the price is
        ("long_without_money", 1, "2026-12-17 10:00", False),
        ("long_without_money", -1, "2026-12-17 10:00", True),
    ],
)
def test_what_needs_a_price_is_not_judged_without_one(
    subject: str, kind: str, contracts: int, at: str, *, is_known: bool
):
    """A run begins without prices: "not met" would arm what was met before it, and fire it at every restart."""
    held = position("AAPL", 180, "put", contracts=contracts, cost_basis=4.0, expiry=DECEMBER)
    blind = market((PUT, 3.9, 4.1), at=at)
    found = reading([held], blind, subject, f"attention:{kind}", PUT if subject == "each leg" else "")

    assert (found.value, found.why) == (
        (0.0, "") if is_known else (None, "price or dividends are not known of 1 contract")
    )


def test_a_leg_that_can_be_judged_is_whatever_another_lacks():
    other = position("MSFT", 400, "put", contracts=-1, cost_basis=4.0, expiry=DECEMBER, identity="other")
    live = market(("AAPL", 169.9, 170.1), (PUT, 10.0, 10.2), at="2026-12-18 15:00")
    figure = "attention:in_the_money_short"

    assert reading([SHORT_PUT, other], live, "each leg", figure, PUT).value == 1.0
    assert reading([SHORT_PUT, other], live, "book", figure, "").value == 1.0
    assert (
        reading([SHORT_PUT, other], live, "each leg", figure, other.instruments[0].live_symbol).value is None
    )


def test_dividends_that_were_not_read_are_no_dividends_that_are_not_there():
    live = market(("AAPL", 179.9, 180.1), (PUT, 3.9, 4.1))

    assert reading([SHORT_PUT], live, "each leg", "attention:ex_dividend", PUT).value is None
    read = replace(
        live, risk_inputs=RiskInputs(actions={"AAPL": CorporateActions("AAPL", live.as_of, DECEMBER)})
    )
    assert reading([SHORT_PUT], read, "each leg", "attention:ex_dividend", PUT).value == 0.0


def test_file_and_account_are_not_compared_before_the_account_was_asked():
    live = market(("AAPL", 179.9, 180.1), (PUT, 3.9, 4.1))

    assert reading([SHORT_PUT], live, "book", "attention:file_account", "").value is None


def starter_says(at: str, spot: float, mark: float, states: dict[str, RuleState] | None = None) -> set[str]:
    """Which rules of the starter file are met for a short put at 180 that was sold for 4."""
    live = market(("AAPL", spot - 0.1, spot + 0.1), (PUT, mark - 0.01, mark + 0.01), at=at)
    book, rules = portfolio(SHORT_PUT), load_rules(STARTER)
    readings = book_readings(rules, book, live, look_at(book, live))
    found = evaluate(rules, readings, states or {}, at=live.as_of, now=live.as_of, elapsed=Elapsed(0.0))
    return {one.rule.name for one in found.judgements if one.verdict is Verdict.MET}


@pytest.mark.parametrize(
    ("at", "spot", "mark", "met"),
    [
        ("2026-11-20 10:00", 190.0, 2.01, set()),
        ("2026-11-20 10:00", 190.0, 2.0, {"50 % of the greatest profit"}),
        ("2026-11-20 10:00", 180.01, 3.0, set()),
        ("2026-11-20 10:00", 180.0, 3.0, {"tested strike"}),
        ("2026-11-26 10:00", 190.0, 3.0, set()),
        ("2026-11-27 10:00", 190.0, 3.0, {"21 days to expiry"}),
        ("2026-12-17 10:00", 190.0, 3.0, {"21 days to expiry"}),
        ("2026-12-18 10:00", 190.0, 3.0, {"21 days to expiry", "expires today"}),
    ],
)
def test_the_starter_file_judges_the_usual_management_at_its_edges(
    at: str, spot: float, mark: float, met: set[str]
):
    assert starter_says(at, spot, mark) == met


def test_the_starter_file_judges_the_sample_without_an_error():
    live = scenes.live()
    rules = load_rules(STARTER)
    readings = book_readings(rules, SAMPLE, live, look_at(SAMPLE, live))

    found = evaluate(rules, readings, {}, at=live.as_of, now=live.as_of, elapsed=Elapsed(0.0))

    assert found.firings == ()
    judged = {one.rule.name for one in found.judgements}
    assert judged >= {
        "50 % of the greatest profit",
        "21 days to expiry",
        "tested strike",
        "expires today",
        "pin",
        "loss of the day",
        "fill",
        "stream is down",
    }


class TestCaveatsOfSums:
    """A sum that a rule is judged by says what speaks against it, as the tiles do."""

    PUT = "AAPL261218P00180000"
    LIVE = market(("AAPL", 199.99, 200.01), (PUT, 2.0, 2.02), ("SPY", 599.9, 600.1))

    def beside(self, quantity: int) -> LiveSnapshot:
        positions = {
            self.PUT: AccountPosition(
                self.PUT,
                Decimal(quantity),
                is_option=True,
                average_price=None,
                cost_basis=None,
                market_value=None,
                current_price=None,
            )
        }
        view = AccountPositions(self.LIVE.as_of, MappingProxyType(positions))
        return replace(self.LIVE, account=AccountState(view=view))

    @pytest.mark.parametrize(
        ("subject", "name"),
        [
            ("each structure", "put"),
            ("underlying:AAPL", "AAPL"),
            ("expiry:2026-12-18", "2026-12-18"),
            ("book", ""),
        ],
    )
    def test_a_quantity_that_is_not_the_accounts_is_said(self, subject: str, name: str):
        same, apart = (
            reading([SHORT_PUT], self.beside(quantity), subject, "delta", name) for quantity in (-1, -2)
        )

        assert (same.caveat, apart.caveat) == ("", "1 with a quantity in doubt")

    def test_the_beta_weighted_delta_names_its_bounds(self):
        worthless = position("SPY", 400, "put", contracts=1, expiry=DECEMBER)
        live = market(("SPY", 599.9, 600.1), ("SPY261218P00400000", 0.0, 0.05))

        found = reading([worthless], live, "book", "delta_beta_weighted", "")

        assert isinstance(found.value, float)
        low, high = sorted((0.0, found.value))
        assert found.caveat == f"a bound of SPY 18 Dec 26 400 P, between {between_words((low, high))}"
        assert low < high

    def test_theta_says_how_much_of_it_is_no_rate(self):
        today = position("AAPL", 200, contracts=1, expiry=date(2026, 11, 20))
        live = market(("AAPL", 199.99, 200.01), ("AAPL261120C00200000", 1.0, 1.02))

        found = reading([today], live, "book", "theta", "")

        assert (
            found.caveat
            == f"of which {with_minus(float(found.value or 0), ',.2f')} is time value left in 1 leg"
        )


def test_a_short_leg_that_may_be_exercised_early_is_in_the_money_all_the_same():
    """It is told once, by the graver kind; a rule about the other one goes on being met."""
    call = position("AAPL", 180, contracts=-1, expiry=DECEMBER)
    live = live_at(
        "2026-11-19 12:00",
        {"AAPL": (189.99, 190.01), "AAPL261218C00180000": (10.1, 10.3)},
        held=[call],
        actions=[dividend("AAPL", date(2026, 11, 20), 0.26)],
    )
    found = readings_of(
        portfolio(call),
        live,
        ("book", "attention:in_the_money_short"),
        ("book", "attention:early_exercise"),
        ("book", "attention:pin"),
    )

    values = {figure: of_kind[""].value for (_, figure), of_kind in found.items()}
    assert values == {
        "attention:in_the_money_short": 1.0,
        "attention:early_exercise": 1.0,
        "attention:pin": 0.0,
    }


def test_that_the_file_is_the_accounts_is_not_known_while_a_fill_is_not_in_its_positions():
    """Else a rule would be armed anew by a moment in which nobody can say, and fire twice."""
    live = market(("AAPL", 189.9, 190.1))
    held = AccountPosition(
        symbol="AAPL",
        quantity=Decimal(100),
        is_option=False,
        average_price=None,
        cost_basis=None,
        market_value=None,
        current_price=None,
    )
    view = AccountPositions(live.as_of, MappingProxyType({"AAPL": held}))
    book = [holding("AAPL", 100), holding("MSFT", 5)]

    def of(account: AccountState, subject: str = "book", name: str = "") -> Reading:
        return reading(book, replace(live, account=account), subject, "attention:file_account", name)

    assert of(AccountState()).why == "the account has not been read"
    is_open = AccountState(view=view, unsettled=frozenset({"AAPL"}))
    assert of(replace(is_open, unsettled=frozenset({"MSFT"}))).value is None
    assert of(is_open, "each leg", "AAPL").value is None
    assert of(is_open, "each leg", "MSFT").value == 1.0, "what differs all the same is told"
    assert of(AccountState(view=view), "each leg", "AAPL").value == 0.0


def test_a_line_without_a_price_is_none_to_tell_of_before_the_first_prices_could_have_come():
    """Each restart begins without prices; what had one before it would be told at each of them."""
    msft = market(("MSFT", 400.0, 400.1))

    def told(live: LiveSnapshot, **report: Any) -> Reading:
        reports = {**live.account.reports, RestTask.PRICES: RestReport(RestTask.PRICES, **report)}
        asked = replace(live, account=replace(live.account, reports=reports))
        return reading([SHORT_PUT], asked, "book", "attention:unpriced", "")

    for phase in (RestPhase.WAITING, RestPhase.REQUESTING):
        assert told(msft, phase=phase).why == "the first prices have not come yet"
        # Asked again after they came, or could not be had.
        assert told(msft, phase=phase, finished_at=msft.as_of).value == 1.0
        assert told(msft, phase=phase, problems=(Problem("HTTP 500"),)).value == 1.0
    for phase in (RestPhase.OFF, RestPhase.DONE, RestPhase.FAILED):
        assert told(msft, phase=phase).value == 1.0
        assert told(market(), phase=phase).why == "the first prices have not come yet"


def test_a_restart_tells_of_no_line_without_a_price_that_has_one_a_moment_later():
    rules = parse_rules(_rule(0, "book", "attention:unpriced"), "alerts.toml")
    rule = next(one for one in rules if one.name == "0")
    book, at = portfolio(SHORT_PUT), new_york("2026-11-20 10:00")
    priced = market(("AAPL", 189.9, 190.1), (PUT, 1.9, 2.1))
    states: Mapping[str, RuleState] = {}
    fired = []
    for seconds, live in enumerate((priced, priced, market(), priced, market(("AAPL", 189.9, 190.1)))):
        found = evaluate(
            [rule],
            book_readings([rule], book, live, look_at(book, live)),
            states,
            at=at + timedelta(seconds=seconds),
            now=at,
            elapsed=Elapsed(seconds),
        )
        states = found.states
        fired.append(len(found.firings))

    assert fired == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("kind", ["pin", "in_the_money_short", "long_without_money"])
def test_that_nothing_ends_badly_today_is_not_known_without_a_price(kind: str):
    side = -1 if kind == "in_the_money_short" else 1
    call = position("AAPL", 180, contracts=side, expiry=date(2026, 11, 20))
    at = "2026-11-20 15:30"
    unpriced = market(("MSFT", 400.0, 400.1), at=at)

    assert reading([call], unpriced, "book", f"attention:{kind}", "").why == (
        "price or dividends are not known of 1 contract"
    )


@pytest.mark.parametrize(("kind", "strike", "away"), [("put", 5_700, 5.0), ("call", 5_970, -0.5)])
def test_how_far_an_index_is_from_a_strike_is_said_by_the_price_that_its_options_imply(
    kind: str, strike: float, away: float
):
    """No quote says what it costs, and a strike that was sold is tested all the same."""
    sold = position("SPXW", strike, kind, contracts=-1, expiry=DECEMBER)
    live = live_at("2026-12-18 14:30", {}, held=[sold])
    quotes = {
        one.symbol: quote(one.symbol, one.bid_price, one.ask_price, age=1, as_of=live.as_of)
        for one in index_chain(6_000, strikes=range(5_900, 6_101, 50))
    }
    live = replace(live, quotes=MappingProxyType(quotes))
    symbol = f"SPXW261218{kind[0].upper()}{strike * 1000:08.0f}"

    found = reading([sold], live, "each short leg", "distance_to_strike", symbol)
    assert found.value == pytest.approx(away, abs=0.05)
    assert "from options" in found.source


@pytest.mark.parametrize("multiplier", [100, None], ids=["named", "by its record"])
def test_how_far_an_adjusted_contract_is_from_its_strike_is_judged_by_what_its_record_says(
    multiplier: int | None,
):
    """It delivers 110 shares for 26,500 dollars, 240.91 for each, and attention calls it in the money by 24.09."""
    sold = position("AAPL1", 265, contracts=-1, expiry=DECEMBER, multiplier=multiplier)
    (symbol,) = portfolio(sold).quantities
    record = ContractRecord(
        symbol=symbol, multiplier=Decimal(100), deliverables=(Deliverable("AAPL", Decimal(110)),)
    )
    prices: dict[str, tuple[float | None, float | None]] = {"AAPL": (264.99, 265.01), symbol: (24.0, 28.0)}
    live = live_at("2026-11-20 10:00", prices, held=[sold], records=[record])

    found = reading([sold], live, "each short leg", "distance_to_strike", symbol)
    assert found.value == pytest.approx(-100 * (265 - 26_500 / 110) / 265)
    assert "110 shares by Alpaca's record" in found.source
    unread = live_at("2026-11-20 10:00", prices, held=[sold])
    assert reading([sold], unread, "each short leg", "distance_to_strike", symbol).value is None


@pytest.mark.parametrize(("value", "said"), [(-0.004, "−0.004%"), (0.0, "0.0%"), (-0.26, "−0.3%")])
def test_a_percentage_that_is_not_zero_does_not_read_as_zero(value: float, said: str):
    figure = next(one for one in FIGURES.values() if one.unit == "%")

    assert value_text(value, figure) == said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("price", 0.0000125, "$0.0000125 a share"),
        ("price", 0.1534, "$0.1534 a share"),
        ("price", 80_000.5, "$80,000.50 a share"),
        ("unrealized", -0.004, "−$0.004"),
        ("unrealized", 12.345, "$12.35"),
        ("delta", 0.04, "0.04 shares"),
        ("delta", 0.25, "0.25 shares"),
        ("delta", -12.34, "−12.3 shares"),
        ("dte", 14.0, "14 days"),
        ("age", 0.4, "0.4 s"),
        ("age", 0.96, "1 s"),
        ("age", -0.96, "−1 s"),
    ],
)
def test_a_value_reads_as_what_it_is_however_small(name: str, value: float, said: str):
    assert value_text(value, FIGURES[name]) == said
