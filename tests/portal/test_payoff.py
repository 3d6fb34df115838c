"""The tab *Payoff*: what is sent of its curves, what is said of them, and nothing of hidden amounts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apps.streamlit.components.live_payoff import (
    Layers,
    payoff_rows,
    payoff_sentences,
    payoff_spec,
    progress_sentences,
    subject_of_row,
)
from apps.streamlit.components.style import LIGHT, WORD_JOINER
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.extremes import Extreme, Limit
from options_helper.analysis.risk.payoff_progress import progress_of
from options_helper.analysis.risk.payoff_view import PayoffView, Subject, payoff_view, subjects
from options_helper.analysis.risk.what_if import WhatIf
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.screen import Preferences, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.account import AccountState
from options_helper.model.portfolio import load_portfolio
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.conftest import html
from tests.portal.scenes import SAMPLE, manager_for

View = Callable[..., PayoffView]


@pytest.fixture
def risk() -> Iterator[BookFigures]:
    """The risk figures of the live scene."""
    session = LiveSession(build_manager=manager_for(scenes.live), housekeeping_seconds=3_600)
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    session.start(book, RunSettings(), Settings())
    options = ViewOptions(Preferences(), ZoneInfo("UTC"))
    yield build_screen(session, book, options, now=scenes.OPEN).risk
    session.stop()


@pytest.fixture
def view_of(risk: BookFigures) -> View:
    """The payoff of one thing that is held in the live scene."""

    def made(key: str = "u:AAPL", what_if: WhatIf | None = None) -> PayoffView:
        found = payoff_view(risk, next(one for one in subjects(risk) if one.key == key), what_if or WhatIf())
        assert isinstance(found, PayoffView), found
        return found

    return made


def column(view: PayoffView, name: str, *, hide_amounts: bool = False) -> list[Any]:
    values = payoff_rows(view, hide_amounts=hide_amounts).column(name).to_pylist()
    return [value for value in values if value is not None]


def test_each_price_is_a_row_and_the_marks_stand_in_columns_of_their_own(view_of: View):
    view = view_of()

    assert len(column(view, "price")) == len(column(view, "today")) == len(view.prices)
    assert column(view, "spot") == [view.spot]
    assert column(view, "spot_y") == [round(view.now, 2)]
    assert column(view, "gain") == [max(value, 0.0) for value in column(view, "end")]


def test_a_what_if_brings_its_curve_and_its_point(view_of: View):
    view = view_of(what_if=WhatIf(spot_percent=2, days=5))

    assert len(column(view, "elsewhere")) == len(view.prices)
    assert column(view, "there") == [pytest.approx(view.spot * 1.02)]
    assert column(view, "there_words") != []


def test_hidden_amounts_are_parts_of_the_largest_and_nowhere_in_words(view_of: View):
    view = view_of(what_if=WhatIf(spot_percent=2))
    amounts = [
        abs(value)
        for name in ("end", "today", "elsewhere", "spot_y", "there_y")
        for value in column(view, name, hide_amounts=True)
    ]
    spec = str(payoff_spec(LIGHT, hide_amounts=True, layers=Layers.of(view)))

    assert max(amounts) == 1
    assert column(view, "there_words", hide_amounts=True) == []
    assert "$" not in " ".join(payoff_sentences(view, WhatIf(spot_percent=2), hidden=True))
    assert "'labels': False" in spec
    assert "At the end" not in spec


def test_every_mark_that_is_drawn_refuses_a_tooltip_of_its_own(view_of: View):
    """Streamlit gives one to whoever says nothing."""
    spec = payoff_spec(LIGHT, hide_amounts=False, layers=Layers.of(view_of()))

    with_tooltip = [layer for layer in spec["layer"] if "tooltip" not in layer["mark"]]
    assert [layer["encoding"]["tooltip"][0]["title"] for layer in with_tooltip] == ["Price"]


def test_a_chart_has_no_layer_of_what_there_is_nothing_of(view_of: View):
    view = view_of()
    fields = set(
        re.findall(r"'field': '(\w+)'", str(payoff_spec(LIGHT, hide_amounts=False, layers=Layers.of(view))))
    )

    assert fields <= set(payoff_rows(view, hide_amounts=False).column_names)
    assert "elsewhere" not in fields


def test_the_words_say_which_curve_is_which_and_what_is_in_none(view_of: View):
    view = view_of()
    said = " ".join(payoff_sentences(view, WhatIf(), hidden=False))

    assert "Blue: today" in said
    assert f"({view.by_model} by the model)" in said
    assert "Most to win" in said
    assert "sticky strike" in said
    assert "Early exercise, assignment, dividends to shares and fees are in none" in said


@pytest.mark.parametrize(
    ("row", "subject"),
    [
        ("g:AAPL", "u:AAPL"),
        ("s:aapl-call-vertical", "e:aapl-call-vertical"),
        ("l:aapl-call-vertical:1", "e:aapl-call-vertical"),
        ("p:spy-call-today", "e:spy-call-today"),
        ("p:msft-shares", "u:MSFT"),
        ("c:msft-shares", "u:MSFT"),
        ("book", None),
        ("s:gone", None),
    ],
)
def test_a_row_of_the_table_says_what_is_drawn(risk: BookFigures, row: str, subject: str | None):
    assert subject_of_row(row, risk) == subject


def test_the_row_that_is_selected_is_drawn_until_another_is_chosen(portal):
    tab = portal.show(scenes.live)
    tab.session_state["tabs"] = "Payoff"
    tab.query_params["selected"] = "g:NVDA"
    tab.run()
    assert tab.selectbox(key="payoff-subject").value == "u:NVDA"

    tab.selectbox(key="payoff-subject").set_value("u:SPY").run()
    assert tab.selectbox(key="payoff-subject").value == "u:SPY"
    tab.query_params["selected"] = "g:AAPL"
    tab.run()
    assert tab.selectbox(key="payoff-subject").value == "u:AAPL"


def test_the_tab_is_drawn_when_it_is_open_and_costs_nothing_while_it_is_closed(portal, monkeypatch):
    drawn: list[str] = []

    def noted(book: BookFigures, subject: Subject, what_if: WhatIf) -> PayoffView | str:
        drawn.append(subject.key)
        return payoff_view(book, subject, what_if)

    monkeypatch.setattr("apps.streamlit.components.live_payoff.payoff_view", noted)
    tab = portal.show(scenes.live)
    assert drawn == []

    tab.session_state["tabs"] = "Payoff"
    tab.run()
    assert drawn != []
    assert "Blue: today" in html(tab)


def said_of(view: PayoffView, *, hidden: bool = False) -> str:
    return " ".join(payoff_sentences(view, WhatIf(), hidden=hidden))


def number(amount: int) -> Extreme:
    return Extreme(Limit.NUMBER, Decimal(amount))


def test_what_wins_or_loses_at_every_price_says_that_nothing_is_lost_or_won(view_of: View):
    sure = replace(view_of(), best=number(1_500), worst=number(1_050))
    lost = replace(view_of(), best=number(-200), worst=number(-500))

    assert "Most to win $1,500.00, to lose nothing (at least $1,050.00 is won)" in said_of(sure)
    assert "Most to win nothing (at least $200.00 is lost), to lose $500.00" in said_of(lost)
    until = replace(lost, worst=replace(lost.worst, until=date(2026, 11, 20)))
    assert "to lose $500.00 until 20 Nov 26" in said_of(until)


def test_what_the_worst_is_by_the_accounts_quantities_is_said_where_it_is_another(view_of: View):
    view = replace(view_of(), worst=number(-500))
    undefined = replace(view, worst_by_account=Extreme(Limit.UNDEFINED, reason="calls are sold"))
    more = replace(view, worst_by_account=number(-900))

    assert "To lose by the account's quantities: undefined." in said_of(undefined)
    assert "To lose by the account's quantities: $900.00." in said_of(more)
    assert "900" not in said_of(more, hidden=True)
    for same in (view, replace(view, worst_by_account=number(-500))):
        assert "account" not in said_of(same)


def test_how_far_it_has_come_and_the_accounts_capital_stand_below_the_curves_with_their_age(
    risk: BookFigures,
):
    """The account has twice as many of the legs as the structure, so half of their cost is its own."""
    portfolio = load_portfolio(SAMPLE)
    subject = next(one for one in subjects(risk) if one.key == "e:aapl-call-vertical")
    (entry,) = (one for one in portfolio.positions if one.id == "aapl-call-vertical")
    account = scenes.known_account()
    view = account.view
    assert view is not None
    costs = {
        line.instrument.live_symbol: replace(
            view.positions[line.instrument.live_symbol],
            quantity=2 * line.quantity,
            cost_basis=Decimal(1000 if line.quantity > 0 else 400),
        )
        for line in entry.lines
    }
    view = replace(
        view,
        positions={**view.positions, **costs},
        options_buying_power=Decimal(18250),
        as_of=risk.as_of - timedelta(seconds=12),
    )
    progress = progress_of(subject, risk, portfolio, replace(account, view=view))
    unrealized, best = risk.profits.unrealized["aapl-call-vertical"], subject.held.best.amount
    assert unrealized is not None
    assert best is not None

    assert progress.percent_of_best == pytest.approx(100 * unrealized / float(best))
    assert progress.cost_by_account == 300.0
    assert progress.percent_of_best is not None
    said = " ".join(progress_sentences(progress, hidden=False)).replace(WORD_JOINER, "")
    assert "By the account (read 12 s ago) $300.00 was paid for it" in said
    assert "options buying power is $18,250.00" in said
    assert f"Lost so far: as much as {-progress.percent_of_best:.0f} % of the most to win." in said
    won = replace(progress, percent_of_best=35.2)
    assert next(progress_sentences(won, hidden=False)) == "35 % of the most to win is made."
    assert "$" not in " ".join(progress_sentences(progress, hidden=True))


def test_what_is_not_known_of_a_trade_is_said_with_its_reason(risk: BookFigures):
    portfolio = load_portfolio(SAMPLE)
    subject = next(one for one in subjects(risk) if one.key == "e:aapl-call")
    unread = progress_of(subject, risk, portfolio, AccountState())
    unnamed = progress_of(subject, risk, portfolio, scenes.known_account())

    assert (unread.percent_of_best, unread.why_no_percent) == (None, "there is no most to win")
    assert (unread.cost_by_account, unread.account_age_seconds) == (None, None)
    assert unnamed.cost_by_account is None
    assert "names no cost of" in " ".join(progress_sentences(unnamed, hidden=False))
