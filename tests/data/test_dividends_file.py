"""The user's own dividends come from a small file, and a slip of the finger in it is a sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from options_helper.data.dividends_file import load_dividends, parse_dividends
from options_helper.errors import ConfigError
from options_helper.model.risk_inputs import Dividend

ONE = (
    '[[dividends]]\nsymbol = "MSFT"\nex_date = 2027-02-18\namount = 0.91\nsaid_by = "their page"\n'
    "entered = 2026-11-20\n"
)


def test_dividends_are_read_by_symbol_and_day_in_the_spelling_of_the_streams(tmp_path: Path):
    path = tmp_path / "dividends.toml"
    sooner = ONE.replace("2027-02-18", "2026-12-02")
    path.write_text(ONE + sooner + ONE.replace("MSFT", "BRK-B").replace("0.91", "1"), encoding="utf-8")

    found = load_dividends(path)

    assert found.keys() == {"MSFT", "BRK.B"}
    assert found["MSFT"][1] == Dividend(
        "MSFT", date(2027, 2, 18), 0.91, said_by="their page", entered=date(2026, 11, 20)
    )
    assert [one.ex_date for one in found["MSFT"]] == [date(2026, 12, 2), date(2027, 2, 18)]
    assert found["BRK.B"][0].amount == 1


def test_without_a_file_there_are_none(tmp_path: Path):
    assert load_dividends(tmp_path / "dividends.toml") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[dividends", "is no TOML"),
        ("MSFT = 0.91", "'MSFT' stands outside"),
        ("dividends = 3", "is no list of tables"),
        (ONE.replace("amount", "amuont"), "dividends 1: 'amuont' is no known field"),
        (ONE.replace('said_by = "their page"\n', ""), "dividends 1: said_by is missing"),
        (
            ONE.replace("ex_date = 2027-02-18", 'ex_date = "soon"'),
            "dividends 1: ex_date is missing, or is no day",
        ),
        (ONE.replace("0.91", "'much'"), "dividends 1: amount is missing, or is no number"),
        (
            ONE.replace("0.91", "'0.91'"),
            "amount is missing, or is no number: write it without quotation marks",
        ),
        (ONE.replace("0.91", "true"), "dividends 1: amount is missing, or is no number"),
        (ONE.replace("0.91", "nan"), "dividends 1: amount is missing, or is no number"),
        (ONE.replace("0.91", "0"), "dividends 1: amount is 0, and not between"),
        (ONE.replace("0.91", "-0.91"), "dividends 1: amount is -0.91, and not between"),
        (ONE.replace("0.91", "9100"), "dividends 1: amount is 9100, and not between"),
        (ONE + ONE, "dividends 2: MSFT has another of this ex_date"),
        (ONE + ONE.replace("entered = 2026-11-20\n", ""), "dividends 2: entered is missing"),
    ],
)
def test_what_is_no_dividend_is_said_with_what_to_write(text: str, said: str):
    with pytest.raises(ConfigError, match=said) as raised:
        parse_dividends(text, "dividends.toml")

    assert str(raised.value).startswith("dividends.toml")
    assert "2027-02-18" in str(raised.value)
