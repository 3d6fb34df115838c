"""What the account holds is read row by row and written down as a portfolio file that reads back the same."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.reconcile.account_import import (
    entry_of,
    entry_text,
    import_portfolio,
    portfolio_text,
)
from options_helper.analysis.reconcile.reconciliation import reconcile
from options_helper.data.rest.account_reading import AccountReading, read_account
from options_helper.model.account import AccountPosition, AccountPositions
from options_helper.model.portfolio import Portfolio, Position, ShareHolding, load_portfolio, parse_portfolio
from tests.kit.builders import AAPL_CALL, AS_OF, holding, leg, portfolio, position, structure


def row(symbol: str = AAPL_CALL, **fields: Any) -> dict[str, Any]:
    """A position as Alpaca writes it."""
    return {
        "asset_id": "904837e3-3b76-47ec-b432-046db621571b",
        "symbol": symbol,
        "exchange": "",
        "asset_class": "us_option",
        "qty": "2",
        "side": "long",
        "avg_entry_price": "4.25",
        "cost_basis": "850",
        "market_value": "900",
        "current_price": "4.5",
        "lastday_price": "4.4",
        **fields,
    }


def shares(symbol: str = "AAPL", **fields: Any) -> dict[str, Any]:
    return row(symbol, **{"asset_class": "us_equity", "exchange": "NASDAQ", "cost_basis": None, **fields})


def read(*rows: Any, account: Any = None) -> AccountReading:
    return read_account(rows, account, AS_OF)


def imported(*rows: Any, account: Any = None) -> Portfolio:
    return import_portfolio(read(*rows, account=account).view).portfolio


def only_entry(*rows: Any) -> Any:
    (entry,) = imported(*rows).positions
    return entry


def test_a_position_is_read_to_the_cent():
    view = read(row(), account={"cash": "18250.07"}).view

    assert (view.as_of, view.cash) == (AS_OF, Decimal("18250.07"))
    assert view.positions == {
        AAPL_CALL: AccountPosition(
            symbol=AAPL_CALL,
            quantity=Decimal(2),
            is_option=True,
            average_price=Decimal("4.25"),
            cost_basis=Decimal(850),
            market_value=Decimal(900),
            current_price=Decimal("4.5"),
            lastday_price=Decimal("4.4"),
        )
    }


@pytest.mark.parametrize(
    ("qty", "side", "quantity"),
    [("2", "long", 2), ("2", "short", -2), ("-2", "short", -2), ("-2", "long", 2), ("-2", "sideways", -2)],
)
def test_the_sign_is_that_of_the_side(qty: str, side: str, quantity: int):
    """Servers write a short's quantity with a minus and without."""
    assert read(row(qty=qty, side=side)).view.positions[AAPL_CALL].quantity == quantity


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"side": "sideways"},
            f"Whether {AAPL_CALL} is held long or short is not known (its side is sideways); it was left out.",
        ),
        (
            {"side": None},
            f"Whether {AAPL_CALL} is held long or short is not known (its side is missing); it was left out.",
        ),
        ({"qty": "many"}, f"The account's quantity of {AAPL_CALL} cannot be read; it was left out."),
        ({"qty": "1.5"}, f"{AAPL_CALL} is held in parts of a contract (1.5); it was left out."),
        (
            {"symbol": "GOLD", "asset_class": "metal"},
            "GOLD is neither a US share nor an option (its class is metal); it was left out.",
        ),
    ],
)
def test_a_row_that_cannot_be_read_costs_itself_only_and_is_said(fields: dict[str, Any], problem: str):
    reading = read(row(**fields), shares("MSFT"))

    assert list(reading.view.positions) == ["MSFT"]
    assert reading.problems == (problem,)
    assert reading.view.left_out == {fields.get("symbol", AAPL_CALL)}


@pytest.mark.parametrize(
    "fields",
    [
        {"avg_entry_price": "0.0235", "cost_basis": "470"},
        {"avg_entry_price": "235", "cost_basis": "470"},
        {"avg_entry_price": "0.0235", "cost_basis": "-470", "side": "short"},
    ],
    ids=str,
)
def test_two_costs_that_do_not_fit_each_other_are_said_and_neither_is_taken(fields: dict[str, Any]):
    made = import_portfolio(read(row(**fields)).view)

    (entry,) = made.portfolio.positions
    assert isinstance(entry, Position)
    assert entry.cost_basis is None
    (problem,) = made.problems
    assert "do not fit a quantity of" in problem
    assert "the cost was left out" in problem


@pytest.mark.parametrize("cost_basis", ["850", "853", "-850", "845"])
def test_a_total_may_be_off_by_what_rounding_does(cost_basis: str):
    assert import_portfolio(read(row(cost_basis=cost_basis)).view).problems == ()


def test_two_rows_of_one_contract_are_one_position_of_both():
    """One padded and one not: the second took the place of the first."""
    view = read(
        row("SPY   261218C00690000", qty="1", avg_entry_price="3", cost_basis="300", market_value="310"),
        row("SPY261218C00690000", qty="2", avg_entry_price="6", cost_basis="1200", market_value="620"),
    ).view

    (one,) = view.positions.values()
    said = one.quantity, one.average_price, one.cost_basis, one.market_value
    assert said == tuple(map(Decimal, (3, 5, 1500, 930)))


def test_two_rows_that_go_against_each_other_have_no_cost():
    view = read(row(qty="3"), row(qty="1", side="short")).view

    (one,) = view.positions.values()
    assert one.quantity == 2
    assert one.average_price is one.cost_basis is None
    assert read(row(qty="1"), row(qty="1", side="short")).view.positions == {}


@pytest.mark.parametrize("order", [1, -1])
def test_a_row_that_cannot_be_read_leaves_the_other_of_its_contract_open(order: int):
    view = read(*(row(), row(qty="many"))[::order]).view

    assert not view.positions
    assert view.left_out == {AAPL_CALL}


@pytest.mark.parametrize(
    ("symbol", "kind"), [("ETHBTC", "crypto"), ("ETH/USDT", "crypto"), ("912797MH0", "us_treasury")]
)
def test_what_no_file_can_hold_is_remembered_by_its_symbol(symbol: str, kind: str):
    reading = read(row(symbol, asset_class=kind))

    assert not reading.view.left_out
    assert reading.view.foreign == {symbol.replace("/", "")}
    assert len(reading.problems) == 1


def test_a_coin_in_another_coin_is_said_and_leaves_nothing_open_since_no_file_can_hold_one():
    reading = read(row(symbol="ETHBTC", asset_class="crypto"), row())

    assert reading.problems == (
        "ETHBTC is neither a US share nor an option (its class is crypto); it was left out.",
    )
    assert (list(reading.view.positions), reading.view.left_out) == ([AAPL_CALL], frozenset())


@pytest.mark.parametrize("symbol", ["BTCUSD", "BTC/USD"])
def test_a_coin_in_dollars_is_held_under_its_pair(symbol: str):
    """Among positions Alpaca leaves the slash out, and in its streams it does not."""
    (held,) = read(row(symbol=symbol, asset_class="crypto", qty="0.25")).view.positions.values()

    assert (held.symbol, held.quantity, held.is_option) == ("BTC/USD", Decimal("0.25"), False)
    entry = entry_of(held)
    assert isinstance(entry, ShareHolding)
    assert (entry.id, entry.symbol, entry.shares) == ("btc-usd", "BTC/USD", 0.25)


def test_a_row_without_a_symbol_is_said():
    reading = read({"qty": "1"}, "no row at all", row())

    assert reading.problems == ("A position of the account has no symbol; it was left out.",)
    assert (list(reading.view.positions), reading.view.left_out) == ([AAPL_CALL], frozenset())
    assert reading.view.unnamed == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"exchange": "MOON", "asset_marginable": "perhaps"},
        {"asset_class": "us_derivative"},
        {"asset_class": None},
        {"symbol": "AAPL  261218C00180000"},
    ],
)
def test_words_that_nobody_knows_do_not_matter_where_the_symbol_tells(fields: dict[str, Any]):
    reading = read(row(**fields))

    assert (list(reading.view.positions), reading.problems) == ([AAPL_CALL], ())
    assert reading.view.positions[AAPL_CALL].is_option


def test_amounts_that_cannot_be_read_are_not_known():
    position = read(row(avg_entry_price=None, cost_basis="n/a", market_value="")).view.positions[AAPL_CALL]

    assert (position.average_price, position.cost_basis, position.market_value) == (None, None, None)
    assert read(row()).view.cash is None


def test_a_position_of_nothing_is_no_position():
    assert read(row(qty="0")) == AccountReading(AccountPositions(AS_OF, {}), ())


def test_a_contract_becomes_a_single_with_its_cost_per_share():
    assert only_entry(row(qty="-3", side="short", avg_entry_price="4.25", cost_basis="-1275")) == Position(
        id="aapl-18dec26-180c",
        symbol="AAPL",
        option_type="call",
        expiry=date(2026, 12, 18),
        strike=180,
        contracts=-3,
        cost_basis=4.25,
    )


def test_parts_of_shares_are_kept():
    entry = only_entry(shares("BRK.B", qty="0.123456789", avg_entry_price="480.5"))

    assert entry == ShareHolding(id="brk-b-shares", symbol="BRK-B", shares=0.123456789, cost_basis=480.5)


@pytest.mark.parametrize(
    ("symbol", "written"),
    [
        ("BRKB261218C00510000", "BRK-B"),
        ("SPXW261218C06800000", "SPXW"),
        ("AAPL1261218C00180000", "AAPL1"),
        ("F261218C00012500", "F"),
    ],
)
def test_the_entry_means_the_same_contract(symbol: str, written: str):
    entry = only_entry(row(symbol))

    assert (entry.symbol, entry.instrument.live_symbol) == (written, symbol)


def test_a_class_of_a_dollar_a_point_costs_a_dollar_a_point():
    view = read(row("NANOS261218C00600000", avg_entry_price="4.25", cost_basis="8.5")).view
    made = import_portfolio(view)

    assert made.problems == ()
    assert reconcile(made.portfolio, view, (), today=date(2026, 11, 20)).agrees is True
    (entry,) = made.portfolio.positions
    assert isinstance(entry, Position)
    assert (entry.cost_basis, entry.multiplier, entry.instrument.multiplier) == (4.25, None, 1)


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, 4.25),
        ({"avg_entry_price": None}, 4.25),
        ({"avg_entry_price": "0"}, 4.25),
        # What was moved in has no cost until one is known; what is held is worth something, and 0 would be all profit.
        ({"avg_entry_price": "0", "cost_basis": "0"}, None),
        ({"avg_entry_price": "-4.25"}, 4.25),
        ({"avg_entry_price": None, "cost_basis": None}, None),
    ],
)
def test_the_cost_is_what_the_account_says_and_never_a_guess(fields: dict[str, Any], cost: float | None):
    assert only_entry(row(**fields)).cost_basis == cost


@pytest.mark.parametrize(
    ("average", "cost_basis", "multiplier"),
    [
        ("4.25", "850", 100),
        ("4.25", "85", 10),
        ("4.2533", "850.66", 100),
        ("4.25", "900", None),
        (None, "850", None),
        ("0", "0", None),
    ],
)
def test_the_multiplier_of_an_adjusted_contract_follows_from_its_two_costs(
    average: str | None, cost_basis: str, multiplier: int | None
):
    entry = only_entry(row("AAPL1261218C00180000", avg_entry_price=average, cost_basis=cost_basis))

    assert entry.multiplier == multiplier


@pytest.mark.parametrize(
    ("symbol", "identity"),
    [
        ("BAC.PRL", "bac-prl-shares"),
        ("ACHR.WS", "achr-ws-shares"),
        ("SPAQ.U", "spaq-u-shares"),
        ("ABC.RT", "abc-rt-shares"),
        ("384CVR015", "384cvr015-shares"),
        ("BRK.B", "brk-b-shares"),
    ],
)
def test_preferreds_warrants_units_rights_and_numbered_shares_are_imported_and_reconcile_clean(
    symbol: str, identity: str
):
    """A file that was just imported differed for ever, and the share was left out of it."""
    view = read(shares(symbol)).view

    made = import_portfolio(view)

    assert (made.problems, [entry.id for entry in made.portfolio.positions]) == ((), [identity])
    written = parse_portfolio(portfolio_text(made.portfolio), "made.json")
    found = reconcile(written, view, [], today=AS_OF.date())
    assert (found.agrees, found.remarks, [row.symbol for row in found.rows]) == (True, (), [symbol])


def test_what_no_file_can_hold_is_left_out_and_said():
    made = import_portfolio(read(shares("ESCROW.CASH5"), shares("MSFT")).view)

    assert [entry.id for entry in made.portfolio.positions] == ["msft-shares"]
    assert made.problems == ("ESCROW.CASH5 (2) cannot be a position of a portfolio; it was left out.",)


def test_entries_are_in_order_of_underlying_shares_and_expiry():
    made = imported(
        row("MSFT261218C00500000"),
        row("AAPL270115C00180000"),
        row("AAPL261218P00180000"),
        shares("MSFT"),
        shares("AAPL"),
    )

    assert [entry.id for entry in made.positions] == [
        "aapl-shares",
        "aapl-18dec26-180p",
        "aapl-15jan27-180c",
        "msft-shares",
        "msft-18dec26-500c",
    ]


def test_the_text_is_written_as_people_write_it():
    text = portfolio_text(
        portfolio(
            position(contracts=-2, cost_basis=None, identity="call"),
            structure(leg("long", 172.5), leg("short", 175), net_debit=-120.5, identity="vertical"),
            cash=1000.0,
        )
    )

    assert text == (
        """\
{
  "base_currency": "USD",
  "cash": 1000,
  "positions": [
    {
      "id": "call",
      "symbol": "AAPL",
      "option_type": "call",
      "expiry": "2026-12-18",
      "strike": 180,
      "contracts": -2
    },
    {
      "id": "vertical",
      "symbol": "AAPL",
      "net_debit": -120.5,
      "legs": [
        {"side": "long", "option_type": "call", "expiry": "2026-12-18", "strike": 172.5, "contracts": 1},
        {"side": "short", "option_type": "call", "expiry": "2026-12-18", "strike": 175, "contracts": 1}
      ]
    }
  ]
}
"""
    )


def test_an_empty_account_is_an_empty_portfolio():
    assert parse_portfolio(portfolio_text(imported()), "empty.json") == Portfolio(positions=())


def test_the_sample_reads_back_the_same_but_of_now(repository: Path):
    """What is written holds what the account holds now, whatever day the file before it was a picture of."""
    sample = load_portfolio(repository / "portfolio.json")
    assert sample.as_of is not None

    assert parse_portfolio(portfolio_text(sample), "sample.json") == sample.changed(as_of=None)


def test_an_entry_is_one_that_json_can_read():
    assert json.loads(entry_text(holding())) == {
        "id": "AAPL-shares",
        "symbol": "AAPL",
        "shares": 100,
        "cost_basis": 250,
    }


def test_costs_that_make_no_multiplier_leave_no_position_out():
    """Whatever Alpaca says of the two: what is held is in the file, and the multiplier is for its owner to name."""
    (held,) = imported(row("SDS1261218C00000001", qty="1", avg_entry_price="0.000001")).singles

    assert (held.contracts, held.multiplier) == (1, None)


AMOUNTS = st.decimals(0, 100_000, places=6).map(str)
CONTRACTS = st.builds(
    lambda root, side, strike, quantity, price: row(
        f"{root}261218{side}{strike:08d}", qty=str(quantity), avg_entry_price=price
    ),
    st.sampled_from(["AAPL", "SPXW", "BRKB", "F", "SDS1"]),
    st.sampled_from("CP"),
    st.integers(1, 99_999_999),
    st.integers(1, 5_000),
    st.none() | AMOUNTS,
)
SHARES = st.builds(
    lambda symbol, quantity, side: shares(symbol, qty=str(quantity), side=side),
    st.sampled_from(["AAPL", "BRK.B", "F"]),
    st.decimals("0.000000001", 100_000, places=9),
    st.sampled_from(["long", "short"]),
)


@given(st.lists(CONTRACTS | SHARES, max_size=8), st.none() | AMOUNTS)
def test_whatever_the_account_holds_the_file_holds_when_it_is_read_again(
    rows: list[dict[str, Any]], cash: str | None
):
    view = read(*rows, account={"cash": cash}).view

    made = parse_portfolio(portfolio_text(import_portfolio(view).portfolio), "made.json")

    assert made.cash == (None if cash is None else float(cash))
    held = {one.instrument.live_symbol: float(one.contracts) for one in made.singles}
    held |= {one.instrument.live_symbol: one.shares for one in made.shares}
    assert held == {symbol: float(one.quantity) for symbol, one in view.positions.items()}
