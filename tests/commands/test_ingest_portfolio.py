"""An ingestion follows its portfolio: changes are told, and a file that is broken leaves what it said before."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from options_helper.commands.ingest_portfolio import FollowedPortfolio
from options_helper.errors import ConfigError


def write(path: Path, *symbols: str, stamp: int) -> None:
    """Shares of these, in a file that was changed then."""
    shares = [{"id": symbol, "symbol": symbol, "shares": 1, "cost_basis": 1.0} for symbol in symbols]
    path.write_text(json.dumps({"positions": shares}))
    os.utime(path, (stamp, stamp))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "portfolio.json"
    write(path, "SPY", "AAPL", stamp=1)
    return path


def test_what_is_new_and_what_is_gone_is_told_and_asked_for_from_then_on(path: Path):
    portfolio = FollowedPortfolio(path)
    assert portfolio.look() == []

    write(path, "SPY", "QQQ", stamp=2)

    assert portfolio.look() == [
        "New in the portfolio, and asked for from now on: QQQ.",
        "No more in the portfolio, and no more asked for: AAPL.",
    ]
    assert portfolio.selection.stocks == ("SPY", "QQQ")
    assert portfolio.look() == []


def test_a_broken_file_leaves_what_it_said_before_until_it_can_be_read(path: Path):
    portfolio = FollowedPortfolio(path)
    path.write_text('{"half')

    (said,) = portfolio.look()

    assert said == portfolio.problem
    assert said.startswith("portfolio.json is not valid JSON at line 1")
    assert said.endswith("What it said before is asked for meanwhile.")
    assert portfolio.selection.stocks == ("SPY", "AAPL")
    assert portfolio.look() == [], "it is said once"
    write(path, "SPY", "AAPL", stamp=3)
    assert portfolio.look() == ["portfolio.json can be read again."]
    assert portfolio.problem is None


def test_a_file_that_is_gone_is_told(path: Path):
    portfolio = FollowedPortfolio(path)
    path.unlink()

    assert "portfolio.json cannot be read" in portfolio.look()[0]
    assert portfolio.selection.stocks == ("SPY", "AAPL")


def test_a_coin_that_comes_in_is_told_as_what_is_not_asked_for(path: Path):
    portfolio = FollowedPortfolio(path)
    write(path, "SPY", "AAPL", "BTC/USD", stamp=2)

    assert portfolio.look() == ["Coins are not asked for: BTC/USD."]


def test_nothing_begins_with_a_file_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"portfolio\.json cannot be read"):
        FollowedPortfolio(tmp_path / "portfolio.json")
