"""The lines of the file and those of the account: what ends, ends in the account's quantities and takes its money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from msgspec import structs

from options_helper.analysis.account_side import AccountSide
from options_helper.analysis.attention.collateral import all_set_aside
from options_helper.analysis.attention.held_legs import Entries, HeldLine, lone_line
from options_helper.model.contract_symbols import is_contract_symbol, root_of, underlying_of_root
from options_helper.model.portfolio import PortfolioLine
from options_helper.model.snapshot import LiveSnapshot


class Quantities(StrEnum):
    """Whose quantities a figure is of, as it is said before its colon."""

    AGREED = ""
    ACCOUNT = ", by the account's quantities"
    IN_DOUBT = ", by the file's quantities, which are in doubt"
    LAST_KNOWN = ", by the account's quantities as last known, which are in doubt"
    ACCOUNT_ALONE = ", of what the account alone holds"
    FILE = ", by the file's quantities and not by the account's"

    @property
    def is_in_doubt(self) -> bool:
        """Whether how much the account holds is not known at this moment."""
        return self in (Quantities.IN_DOUBT, Quantities.LAST_KNOWN)


@dataclass(frozen=True)
class TwoBooks:
    """Every line by either side; one and the same where file and account agree, or no account is known.

    Without slots: what follows from the lines is asked for again and again, and worked out once.
    """

    of_file: tuple[HeldLine, ...]
    of_account: tuple[HeldLine, ...]
    unread: frozenset[str] = frozenset()  # symbols of which the account's quantity is not known
    # The account's with what it held last of the unread; those of which not even that is known are in `unknown`.
    of_last_known: tuple[HeldLine, ...] = ()
    unknown: frozenset[str] = frozenset()
    # Underlyings of which the account may hold something else than when its buying power was asked; None: it was not.
    changed_since: frozenset[str] | None = None

    @cached_property
    def file_on(self) -> Mapping[str, Sequence[HeldLine]]:
        """The file's lines by their underlyings."""
        return _by_underlying(self.of_file)

    @cached_property
    def account_on(self) -> Mapping[str, Sequence[HeldLine]]:
        """The account's."""
        return self.file_on if self.of_account is self.of_file else _by_underlying(self.of_account)

    @cached_property
    def last_known_on(self) -> Mapping[str, Sequence[HeldLine]]:
        """Those that were known last."""
        return _by_underlying(self.of_last_known)

    @cached_property
    def entries(self) -> Entries:
        """The file's lines by its entries."""
        return Entries(self.of_file)

    @cached_property
    def account_alone(self) -> tuple[HeldLine, ...]:
        """What the file lacks."""
        return tuple(one for one in self.of_account if one.account_alone)

    @cached_property
    def unread_on(self) -> frozenset[str]:
        """The underlyings of what is unread."""
        return frozenset(
            one.instrument.underlying for one in self.of_file if one.instrument.live_symbol in self.unread
        )

    def has_last_known(self, underlying: str) -> bool:
        """Whether of all that is unread on one underlying it is known what the account held last."""
        return not any(
            one.instrument.underlying == underlying and one.instrument.live_symbol in self.unknown
            for one in self.of_file
        )

    def is_as_asked(self, underlying: str) -> bool:
        """Whether the buying power is of the very quantities that count."""
        if self.changed_since is None or underlying in self.changed_since:
            return False
        return not self.quantities(underlying).is_in_doubt

    def quantities(self, underlying: str) -> Quantities:
        """Whose quantities count for what ends on one underlying: the account's wherever they are known."""
        if underlying not in self._apart:
            return Quantities.AGREED
        return Quantities.IN_DOUBT if underlying in self.unread_on else Quantities.ACCOUNT

    @cached_property
    def _apart(self) -> frozenset[str]:
        """The underlyings of what the account holds otherwise than the file."""
        return frozenset(
            one.instrument.underlying
            for one in (*self.of_file, *self.account_alone)
            if one.in_doubt or one.account_alone
        )


def _by_underlying(lines: Iterable[HeldLine]) -> dict[str, list[HeldLine]]:
    found: dict[str, list[HeldLine]] = {}
    for one in lines:
        found.setdefault(one.instrument.underlying, []).append(one)
    return found


def two_books(lines: Sequence[HeldLine], side: AccountSide | None, live: LiveSnapshot) -> TwoBooks:
    """Both, of the file's lines and of what the account holds in place of some (`None`: nothing is apart)."""
    if side is None:
        same = tuple(lines)
        return TwoBooks(same, same, changed_since=_changed_since(live, same))
    theirs = {line.instrument.live_symbol: line for line in side.lines}
    times = Counter(one.instrument.live_symbol for one in lines)
    unread = frozenset(side.unread)
    of_file = tuple(
        structs.replace(one, in_doubt=True, in_account=_of_this_alone(one, theirs, times, unread))
        if one.instrument.live_symbol in side.in_doubt
        else one
        for one in lines
    )
    alone = [line for entry in side.only for line in entry.lines]
    of_account = (
        *(one for one in of_file if not one.in_doubt),
        *_in_their_quantities(of_file, theirs),
        *(lone_line(line.instrument, float(line.quantity), live, beside=lines) for line in alone),
    )
    first = {one.instrument.live_symbol: one for one in reversed(of_file)}
    held_last = (
        structs.replace(first[symbol], quantity=float(quantity), in_account=float(quantity))
        for symbol, quantity in side.last_known.items()
        if quantity and symbol in first
    )
    return TwoBooks(
        of_file,
        of_account,
        unread,
        (*of_account, *held_last),
        unread - side.last_known.keys(),
        _changed_since(live, of_account),
    )


def _changed_since(live: LiveSnapshot, lines: Iterable[HeldLine]) -> frozenset[str] | None:
    """None too where what is set aside for these lines may not be there: a buying power of 0 may hide a deficit.

    What is above 0 is left after it; at 0 the cash has to be as much.
    """
    account = live.account
    view = account.view
    if view is None or view.options_buying_power is None:
        return None
    if view.options_buying_power <= 0 and float(view.cash or 0) < all_set_aside(lines):
        return None
    symbols = {
        *(one.symbol for one in account.later),
        *account.unsettled,
        *account.unexplained,
        *account.moved,
    }
    symbols |= view.left_out
    return frozenset(
        underlying_of_root(root_of(one)) if is_contract_symbol(one) else one for one in symbols if one
    )


def _of_this_alone(
    one: HeldLine, theirs: Mapping[str, PortfolioLine], times: Mapping[str, int], unread: frozenset[str]
) -> float | None:
    """How much the account holds of a line; None where that is not known, or several lines hold the same."""
    symbol = one.instrument.live_symbol
    if symbol in unread or times[symbol] > 1:
        return None
    return float(theirs[symbol].quantity) if symbol in theirs else 0.0


def _in_their_quantities(
    of_file: Sequence[HeldLine], theirs: Mapping[str, PortfolioLine]
) -> Iterator[HeldLine]:
    """Each symbol in doubt once, as much as the account holds of it."""
    first = {one.instrument.live_symbol: one for one in reversed(of_file)}
    for symbol, line in theirs.items():
        yield structs.replace(first[symbol], quantity=float(line.quantity))
