"""Where file and account are apart, what the account holds instead: so that figures can be told by its quantities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from options_helper.analysis.contract_terms import with_told_multiplier
from options_helper.analysis.holdings import Holdings, account_quantities, is_unread
from options_helper.analysis.reconcile.account_import import NotImportableError, entry_of, opening_price
from options_helper.model.account import AccountPosition, AccountState
from options_helper.model.contract_hours import has_ended
from options_helper.model.contract_records import named_at_open
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.portfolio import Instrument, Portfolio, PortfolioEntry, PortfolioLine
from options_helper.model.snapshot import LiveSnapshot


@dataclass(frozen=True, slots=True)
class AccountSide:
    """What of the file is in doubt, and what stands in its place; symbols in Alpaca's spelling."""

    in_doubt: frozenset[str]  # of the file
    lines: tuple[PortfolioLine, ...]  # the account's of each symbol in doubt that it holds, one each
    only: tuple[PortfolioEntry, ...]  # what the file lacks
    unread: tuple[
        str, ...
    ]  # how much the account holds of these is not known, or no portfolio has a place for them
    # How much it held, signed, of what is unread when it was read last; without what could not be read then either.
    last_known: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def all_lines(self) -> tuple[PortfolioLine, ...]:
        """Everything that takes the place of what is in doubt."""
        return (*self.lines, *(line for entry in self.only for line in entry.lines))


def account_side(portfolio: Portfolio, live: LiveSnapshot, holdings: Holdings) -> AccountSide | None:
    """The account's quantities, with what was executed since they were read; None where the file's are the same.

    `holdings` are of the same portfolio and account. A line has the account's cost, and none
    where it has changed since; what the file lacks counts by Alpaca's records where its costs tell no multiplier.
    """
    account, records = live.account, live.expiry_facts.records
    if not holdings.in_doubt and not holdings.account_only:
        return None
    instruments = {one.live_symbol: one for one in portfolio.instruments}
    only: list[PortfolioEntry] = []
    unread = list(holdings.unread)
    for symbol in holdings.account_only:
        try:
            only.append(with_told_multiplier(entry_of(_position(symbol, account, holdings)), records))
        except NotImportableError:
            unread.append(symbol)
    return AccountSide(
        in_doubt=holdings.in_doubt,
        lines=tuple(_lines(instruments, account, holdings)),
        only=tuple(only),
        unread=tuple(unread),
        last_known=MappingProxyType(dict(_last_known(account, holdings))),
    )


def ended_in_account(
    portfolio: Portfolio, live: LiveSnapshot, holdings: Holdings
) -> tuple[PortfolioLine, ...]:
    """The contracts that the account lists though they have ended by now, a line each; file or no file has them.

    Until it has booked their end, what that costs or brings is in no quantity and no cash of its own.
    """
    view = live.account.view
    if view is None:
        return ()
    instruments = {one.live_symbol: one for one in portfolio.instruments}
    found: list[PortfolioLine] = []
    for symbol, quantity in account_quantities(view, live.account).items():
        if not is_contract_symbol(symbol) or view.is_foreign(symbol) or symbol in holdings.unread:
            continue
        instrument = instruments.get(symbol) or _instrument_of(view.positions.get(symbol), live)
        if quantity and instrument is not None and _is_over(instrument, live):
            found.append(PortfolioLine(instrument, quantity, None))
    return tuple(found)


def _instrument_of(position: AccountPosition | None, live: LiveSnapshot) -> Instrument | None:
    try:
        entry = None if position is None else entry_of(position)
    except NotImportableError:
        return None
    return None if entry is None else with_told_multiplier(entry, live.expiry_facts.records).instruments[0]


def _is_over(one: Instrument, live: LiveSnapshot) -> bool:
    at_open = named_at_open(one, live.expiry_facts.records)
    return one.expiry is not None and has_ended(
        one.live_symbol, one.expiry, live.as_of, live.told_sessions, at_open=at_open
    )


def _last_known(account: AccountState, holdings: Holdings) -> Iterator[tuple[str, Decimal]]:
    view = account.view
    for symbol in () if view is None else holdings.unread:
        if view is not None and not is_unread(view, symbol):
            read = view.positions.get(symbol)
            yield symbol, Decimal(0) if read is None else read.quantity


def _lines(
    instruments: dict[str, Instrument], account: AccountState, holdings: Holdings
) -> Iterator[PortfolioLine]:
    for symbol in holdings.other_quantity:
        quantity, instrument = holdings.of_account[symbol], instruments[symbol]
        price = opening_price(_position(symbol, account, holdings), instrument.multiplier)
        yield PortfolioLine(instrument, quantity, None if price is None else price * quantity)


def _position(symbol: str, account: AccountState, holdings: Holdings) -> AccountPosition:
    """What the account holds of it now; without a cost where that is another quantity than it was asked for."""
    quantity = holdings.of_account[symbol]
    read = None if account.view is None else account.view.positions.get(symbol)
    if read is not None and read.quantity == quantity:
        return read
    return AccountPosition(
        symbol=symbol,
        quantity=quantity,
        is_option=is_contract_symbol(symbol),
        average_price=None,
        cost_basis=None,
        market_value=None,
        current_price=None,
    )
