"""Reports come from a small file of the user's own, and a slip of the finger in it is a sentence."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from options_helper.data.earnings_file import load_earnings, parse_earnings
from options_helper.errors import ConfigError
from options_helper.model.earnings import Earnings

APPLE = '[[earnings]]\nsymbol = "AAPL"\nday = 2027-01-29\nsaid_by = "you"\nentered = 2026-11-20\n'


def test_reports_are_read_by_day_in_the_spelling_of_the_streams(tmp_path: Path):
    path = tmp_path / "events.toml"
    other = APPLE.replace("AAPL", "BRK-B").replace("2027-01-29", "2027-01-05")
    path.write_text(APPLE + other, encoding="utf-8")

    assert load_earnings(path) == (
        Earnings("BRK.B", date(2027, 1, 5), "you", date(2026, 11, 20)),
        Earnings("AAPL", date(2027, 1, 29), "you", date(2026, 11, 20)),
    )


def test_without_a_file_there_are_none(tmp_path: Path):
    assert load_earnings(tmp_path / "events.toml") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[earnings", "is no TOML"),
        ("AAPL = 2027-01-29", "'AAPL' stands outside"),
        ("earnings = 3", "is no list of tables"),
        (APPLE.replace("symbol", "sybmol"), "earnings 1: 'sybmol' is no known field"),
        (APPLE.replace('said_by = "you"\n', ""), "earnings 1: said_by is missing"),
        (APPLE.replace("2027-01-29", "'soon'"), "earnings 1: day is missing, or is no day"),
        (APPLE.replace("2027-01-29", "2027-01-29T16:00:00"), "earnings 1: day is missing, or is no day"),
        (APPLE + APPLE.replace("entered = 2026-11-20\n", ""), "earnings 2: entered is missing"),
    ],
)
def test_what_is_no_report_is_said_with_what_to_write(text: str, said: str):
    with pytest.raises(ConfigError, match=said) as raised:
        parse_earnings(text, "events.toml")

    assert str(raised.value).startswith("events.toml")
    assert "2027-01-29" in str(raised.value)


@pytest.mark.parametrize(("content", "said"), [(b"\xff", "UTF-8"), (None, "Cannot read")])
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, content: bytes | None, said: str):
    path = tmp_path / "events.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=said):
        load_earnings(path)
