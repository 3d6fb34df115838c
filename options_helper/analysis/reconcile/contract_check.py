"""Lay what the file says of a contract beside Alpaca's record of it: a wrong multiplier makes wrong figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from options_helper.model.alpaca_symbols import is_coin_pair, option_root, to_repo_symbol
from options_helper.model.contract_hours import is_settled_at_open, last_trading_day
from options_helper.model.contract_records import ContractRecord, is_usual
from options_helper.model.contract_symbols import root_of, short_date, usual_multiplier
from options_helper.model.portfolio import Instrument, Portfolio
from options_helper.model.text import format_price

# A cost that is so many times the contract's close is one per contract, or in cents. A close below that price says
# nothing: many a contract that was dear goes there.
_TIMES_OFF: Final = 20
_LEAST_TELLING_CLOSE: Final = Decimal("0.50")
_COMPARE: Final = "Compare its symbol with the account's."


@dataclass(frozen=True, slots=True)
class NamedContract:
    """One contract as one entry of the file has it."""

    entry_id: str
    instrument: Instrument
    cost_basis: Decimal | None  # opening price per share


def named_contracts(portfolio: Portfolio) -> Iterator[NamedContract]:
    """Every contract of the file with the entry that has it, in the order of the file."""
    for entry in portfolio.positions:
        for line in entry.lines:
            if line.instrument.is_option:
                yield NamedContract(entry.id, line.instrument, line.cost_basis)


def record_findings(held: NamedContract, record: ContractRecord) -> Iterator[str]:
    """A sentence for everything that the file says differently from Alpaca's record."""
    yield from _listing(held.instrument, record)
    if record.status in (None, "active"):
        for sentence in (*_terms(held.instrument, record), *_cost(held, record)):
            yield f"'{held.entry_id}': {sentence}"


def _listing(one: Instrument, record: ContractRecord) -> Iterator[str]:
    what = f"{one.label} ({one.live_symbol})"
    if record.status not in (None, "active"):
        yield f"Alpaca lists {what} as {record.status}."
    elif record.tradable is False:
        yield f"Alpaca lists {what} as not tradable: it can be neither bought nor sold there."


def _terms(one: Instrument, record: ContractRecord) -> Iterator[str]:
    yield from _multiplier(one, record)
    if not one.adjusted and not is_usual(one, {one.live_symbol: record}):
        yield (
            f"{one.label} delivers {record.delivers} by Alpaca's record, and a standard contract delivers "
            f"{usual_multiplier(root_of(one.live_symbol))}. {_COMPARE}"
        )
    root = root_of(one.live_symbol)
    if record.root is not None and option_root(record.root) != root:
        yield f"{one.label} has the root {root}, and Alpaca's record says {record.root}. Correct the symbol."
    if record.underlying is not None and record.underlying != one.underlying:
        yield _other_underlying(one, record.underlying)
    yield from _settlement(one, record)
    if one.exercise_style and record.exercise_style and one.exercise_style != record.exercise_style:
        yield (
            f"{one.label} is {one.exercise_style.capitalize()} in the file, and "
            f"{record.exercise_style.capitalize()} by Alpaca's record. Correct its exercise_style."
        )


def _multiplier(one: Instrument, record: ContractRecord) -> Iterator[str]:
    said = record.multiplier
    if said is None or said == one.multiplier:
        return
    known = "names no multiplier" if one.multiplier is None else f"counts {one.multiplier} dollars per point"
    number = f"{said.normalize():f}"
    remedy = f'. Write "multiplier": {number}.' if said % 1 == 0 else f", which no file can hold. {_COMPARE}"
    yield f"{one.label} {known}, and Alpaca's record says {number}{remedy}"


def _other_underlying(one: Instrument, underlying: str) -> str:
    same_root = option_root(underlying) == option_root(one.symbol)
    remedy = f' Write "symbol": "{to_repo_symbol(underlying)}".' if same_root and not one.adjusted else ""
    return f"{one.label} is written on {underlying} by Alpaca's record, and the file takes {one.underlying}.{remedy}"


def _settlement(one: Instrument, record: ContractRecord) -> Iterator[str]:
    if one.expiry is None:
        return
    at_open = is_settled_at_open(one.live_symbol, one.expiry, named=one.settled_at_open)
    if record.settled_at_open is not None and record.settled_at_open != at_open:
        words = {True: "at the open", False: "at the close"}
        yield (
            f"{one.label} is settled {words[record.settled_at_open]} by Alpaca's record, and is taken here to be "
            f'settled {words[at_open]}. Write "settlement": "{"am" if record.settled_at_open else "pm"}".'
        )
    last_day = last_trading_day(one.live_symbol, one.expiry, at_open=one.settled_at_open)
    if record.last_trading_day is not None and record.last_trading_day != last_day:
        yield (
            f"{one.label} is traded until {short_date(record.last_trading_day)} by Alpaca's record, and is taken "
            f"here to be traded until {short_date(last_day)}."
        )


def _cost(held: NamedContract, record: ContractRecord) -> Iterator[str]:
    cost, close = held.cost_basis, record.close_price
    if not cost or not close or close < 0:
        return
    too_much = cost >= _TIMES_OFF * close and close >= _LEAST_TELLING_CLOSE
    if not too_much and close < _TIMES_OFF * cost:
        return
    times = cost / close if too_much else close / cost
    day = f" of {short_date(record.close_day)}" if record.close_day else ""
    what = "times" if too_much else "times less than"
    yield (
        f"a cost_basis of {format_price(cost)} is {times:.0f} {what} the close{day} ({format_price(close)}). "
        "It is the price per share, not per contract: is it meant?"
    )


def share_findings(
    symbol: str, asset_class: str | None, status: str | None, *, tradable: bool | None
) -> Iterator[str]:
    """A sentence for what the file calls a share or a coin, or writes contracts on, and Alpaca lists otherwise."""
    kind, expected = ("coin", "crypto") if is_coin_pair(symbol) else ("share", "us_equity")
    if asset_class not in (None, expected):
        yield f"Alpaca lists {symbol} as {asset_class}, and the file as a {kind}. Remove it, or correct the symbol."
    elif status not in (None, "active"):
        yield f"Alpaca lists {symbol} as {status}."
    elif tradable is False:
        yield f"Alpaca lists {symbol} as not tradable: it can be neither bought nor sold there."
