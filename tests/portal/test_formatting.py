"""How the page says numbers, ages and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from math import nan
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.streamlit.components.board_cell import written
from apps.streamlit.components.formatting import age, arrow, clock, money, percent, plain, rate
from options_helper.model.text import without_amounts


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (1234.5, "+$1,234.50"),
        (-65.0, "−$65.00"),
        (0.0, "$0.00"),
        (-0.001, "$0.00"),
        (None, "—"),
        (nan, "—"),
    ],
)
def test_money_has_its_sign_and_what_is_missing_is_no_zero(amount, words):
    assert money(amount, signed=True) == words


def test_hidden_money_says_nothing_but_that_there_is_some():
    assert money(1.0, hidden=True) == money(-99_999.0, hidden=True) == "•••••"
    assert money(None, hidden=True) == "—"


@given(
    value=st.one_of(
        st.floats(-1e9, 1e9), st.floats(-1.0, 1.0), st.integers(-2_000, 2_000).map(lambda n: n / 1_000)
    ),
    digits=st.integers(0, 4),
    signed=st.booleans(),
)
@example(value=-0.0, digits=2, signed=True)
@example(value=-0.5, digits=0, signed=True)
@example(value=0.005, digits=2, signed=True)
@example(value=nan, digits=1, signed=True)
def test_a_figure_in_the_table_has_the_sign_of_what_is_written(value: float, digits: int, signed: bool):  # noqa: FBT001 - drawn
    """The number is rounded first, as Python does: what comes out as nothing is neither a gain nor a loss."""
    rounded = round(value, digits)
    sign = "−" if rounded < 0 else "+" if signed and rounded > 0 else ""

    assert written(value, digits, signed=signed) == f"{sign}{abs(rounded):,.{digits}f}"


@pytest.mark.parametrize(("value", "words"), [(8.254, "+8.25 %"), (-0.5, "−0.50 %"), (nan, "—"), (None, "—")])
def test_percentages_keep_two_digits(value, words):
    assert percent(value, signed=True) == words


@pytest.mark.parametrize(("amount", "sign"), [(0.01, "▲"), (-5.0, "▼"), (0.001, ""), (nan, ""), (None, "")])
def test_the_arrow_agrees_with_the_figure_beside_it(amount, sign):
    assert arrow(amount) == sign


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-0.2, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (5_900.0, "98 min"),
        (6_000.0, "2 h"),
        (172_700.0, "48 h"),
        (200_000.0, "2 d"),
        (None, "—"),
        (nan, "—"),
    ],
)
def test_ages_are_short_and_never_negative(seconds, words):
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("per_second", "words"), [(0, "0/s"), (0.25, "0.2/s"), (41.6, "42/s"), (12_345, "12,345/s")]
)
def test_rates(per_second, words):
    assert rate(per_second) == words


def test_a_time_names_its_zone_and_its_day_unless_it_is_today():
    moment = datetime(2018, 1, 5, 15, 32, 4, tzinfo=UTC)
    new_york = ZoneInfo("America/New_York")

    assert clock(moment, new_york, today=moment) == "10:32:04 EST"
    assert clock(moment, new_york, today=datetime(2026, 11, 20, tzinfo=UTC)) == "Fri 5 Jan 2018 10:32:04 EST"
    assert clock(moment, ZoneInfo("America/Sao_Paulo")) == "13:32:04 America/Sao_Paulo"
    assert clock(None, new_york) == "—"


@pytest.mark.parametrize(
    ("problem", "hidden"),
    [
        (
            "p.json, position 'x2', cost_basis: must be 0 or more, found -2.35 (1 more after this one).",
            "p.json, position 'x2', cost_basis: must be 0 or more, found ••••• (1 more after this one).",
        ),
        (
            "p.json, position 'a', net_debit: must be below 500.25.",
            "p.json, position 'a', net_debit: must be below •••••.",
        ),
        ("There is no p.json; check the name.", "There is no p.json; check the name."),
    ],
)
def test_a_problem_of_the_file_can_be_told_without_its_amounts(problem, hidden):
    assert without_amounts(problem) == hidden


@pytest.mark.parametrize(
    "text", ["**b** [t](u)", "$x$ _i_ `c`", ":red[x] <b>", "# h | ~~s~~ \\", "a & &#42;"]
)
def test_a_text_of_any_origin_is_no_markup(text):
    assert not re.search(r"[*_`$\[\]<>~|\\]|&(?!#\d+;)|(?<!&)#", plain(text))
    assert unescape(plain(text)).replace("\u2060", "") == text


def test_a_colon_before_a_name_makes_no_icon():
    assert ":material" not in plain(":material/delete:")
    assert plain("done 15:32:04 UTC: all") == "done 15:32:04 UTC: all"
