"""Ex-dates that are to be known: in the life of options, and of shares, with what they bring or are owed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import fsum
from typing import Final

from msgspec import Struct

from options_helper.analysis.attention.deadlines import before_ex_date, share_before_ex_date
from options_helper.analysis.attention.early_exercise import LegLife
from options_helper.analysis.attention.entries import AttentionKind, Deadline, Entry, due
from options_helper.analysis.attention.expiring import Ending, Moment
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.over_ex_date import endings_today, held_shares, paid_words
from options_helper.analysis.attention.two_books import TwoBooks
from options_helper.analysis.attention.words import dollars, listed
from options_helper.analysis.live_health import Level
from options_helper.analysis.risk.dividends import dividends_of_leg
from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.contract_symbols import plain_number
from options_helper.model.risk_inputs import Dividend
from options_helper.model.snapshot import LiveSnapshot

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
# Farther ahead than anything is announced.
_AHEAD: Final = timedelta(days=365)
_RULE: Final = "Who holds the share before that day has the dividend; who is short pays it."


class _Shares(Struct, frozen=True, gc=False):
    """Shares of one name over its next ex-date."""

    name: str
    dividends: tuple[Dividend, ...]  # all of one ex-date: a special one may come with a regular one
    held: float  # signed
    ending: float  # shares that what ends today brings at the price of now, or takes where negative
    in_doubt: bool  # how many the account holds is not known
    is_next: bool  # it goes ex in the next session

    @property
    def over(self) -> float:
        """Held over the ex-date, signed."""
        return self.held + self.ending

    @property
    def owed(self) -> float | None:
        """Dollars; None: nothing."""
        return max(0.0, -self.over) * self.per_share or None

    @property
    def ex_date(self) -> date:
        """From this day on who buys has none of them."""
        return self.dividends[0].ex_date

    @property
    def per_share(self) -> float:
        """Dollars."""
        return fsum(one.amount for one in self.dividends)

    @property
    def what(self) -> str:
        """A sentence more without amounts."""
        if self.over < 0:
            ends = " by what ends today, at the price of now" if self.ending < 0 else ""
            return f" The account is short of it over that day{ends}, and owes the dividend."
        return " Its shares are held." if self.over > 0 else ""

    @property
    def amounts(self) -> str:
        """A sentence."""
        if not self.over:
            return ""
        doubt = "By the file's quantity, which is in doubt: " if self.in_doubt else ""
        amount = dollars(abs(self.over) * self.per_share)
        count = f"{plain_number(abs(self.over))} {self.name}"
        said = (
            f"short of {count}, {amount} is owed" if self.over < 0 else f"{count} held over it bring {amount}"
        )
        return f"{doubt}{said}." if doubt else f"{said[0].upper()}{said[1:]}."


def ex_dividend_entries(
    lives: Sequence[LegLife],
    live: LiveSnapshot,
    moment: Moment,
    books: TwoBooks,
    *,
    found: Sequence[Ending],
    own_dividends: Mapping[str, tuple[Dividend, ...]],
) -> Iterator[Entry]:
    """What goes ex while legs live or shares are held, an entry for each underlying; what is in doubt of it is said."""
    of_name: dict[str, list[LegLife]] = {}
    for leg in lives:
        if leg.dividends is not None and not leg.dividends.is_unread:
            of_name.setdefault(leg.held.instrument.underlying, []).append(leg)
    # Of others no shares can be over a day, so nothing more is looked up.
    with_shares = dict.fromkeys((*_with_shares(books), *(one.underlying for one in found)))
    for name in of_name | with_shares:
        own = own_dividends.get(name, ())
        dividends = _next_dividends(name, live, moment, own) if name in with_shares else ()
        shares = _shares(name, dividends, moment, books, found)
        entry = _entry(name, of_name.get(name, []), shares, live, moment)
        if entry is not None:
            yield entry


def _with_shares(books: TwoBooks) -> Iterator[str]:
    for one in (*books.of_file, *books.account_alone):
        if _is_share(one):
            yield one.instrument.underlying


def _shares(
    name: str,
    dividends: tuple[Dividend, ...],
    moment: Moment,
    books: TwoBooks,
    found: Sequence[Ending],
) -> _Shares | None:
    """None: there are none over the next ex-date, or none is known."""
    if not dividends:
        return None
    in_doubt = name in books.unread
    held = held_shares(name, books)
    if in_doubt:
        lines = books.file_on.get(name, ())
        held = fsum(one.quantity for one in lines if not one.instrument.is_option and not one.ended)
    is_next = dividends[0].ex_date == moment.following
    outcomes = [one.judged.outcome for one in endings_today(name, found, moment)] if is_next else []
    ending = fsum(one.shares for one in outcomes if one is not None)
    shares = _Shares(name, dividends, held, ending, in_doubt, is_next)
    return shares if held or shares.over else None


def _next_dividends(
    name: str, live: LiveSnapshot, moment: Moment, own: tuple[Dividend, ...]
) -> tuple[Dividend, ...]:
    """What goes ex next, as it is announced or the user wrote it down; a special one is paid to shares too."""
    actions = live.risk_inputs.actions.get(name)
    # The same instant all day, so that what is remembered of the day is found.
    end = datetime.combine(moment.today + _AHEAD, time(), UTC)
    found = list(dividends_of_leg(actions, live.as_of, end, own=own).dividends)
    if actions is not None:
        found += [one for one in actions.dividends if one.special and one.ex_date > moment.today]
    first = min((one.ex_date for one in found), default=None)
    return tuple(one for one in found if one.ex_date == first)


def unread_for_shares(books: TwoBooks, live: LiveSnapshot, own: Collection[str]) -> tuple[HeldLine, ...]:
    """Shares of which nobody says what they pay, or not all of it.

    Neither were their dividends read, nor did the user write any down; or one is announced and cannot be read.
    """
    return tuple(
        one
        for one in (*books.of_file, *books.account_alone)
        if _is_share(one) and one.counted and _is_unknown(one.instrument.underlying, live, own)
    )


def _is_unknown(name: str, live: LiveSnapshot, own: Collection[str]) -> bool:
    actions = live.risk_inputs.actions.get(name)
    return name not in own and (actions is None or bool(actions.unreadable))


def unread_owed(unread: Iterable[HeldLine], live: LiveSnapshot) -> Iterator[str]:
    """Of which shares sold short nobody can say whether a dividend is owed, a sentence each name."""
    for name in dict.fromkeys(one.instrument.underlying for one in unread if one.is_short):
        is_read = name in live.risk_inputs.actions
        why = "one that is announced cannot be read" if is_read else "none was read"
        yield f"{name}: whether a dividend is owed on what is sold short cannot be judged, since {why}."


def _is_share(one: HeldLine) -> bool:
    return not one.instrument.is_option and not is_coin_pair(one.instrument.live_symbol) and not one.ended


def _entry(
    name: str, legs: Sequence[LegLife], shares: _Shares | None, live: LiveSnapshot, moment: Moment
) -> Entry | None:
    longest = max(legs, key=_end, default=None)
    of_legs = None if longest is None else longest.dividends
    known = () if of_legs is None else of_legs.dividends
    notes = () if of_legs is None else of_legs.notes
    if not known and not notes and shares is None:
        return None
    touched = [leg for leg in legs if leg.dividends is not None and (leg.dividends.dividends or not known)]
    said = (
        [f"{name} goes ex {listed([paid_words(one) for one in known])} in the life of its options."]
        if known
        else []
    )
    if more := [] if shares is None else [one for one in shares.dividends if one not in known]:
        said.append(f"{name} goes ex {listed([paid_words(one) for one in more])}.")
    deadlines = _deadlines(touched, known, shares, live, moment)
    is_owed = shares is not None and shares.owed is not None
    symbols = [leg.held.instrument.live_symbol for leg in touched]
    return Entry(
        kind=AttentionKind.EX_DIVIDEND,
        level=Level.WARNING if shares is not None and is_owed and shares.is_next else Level.INFO,
        subject=name,
        symbols=tuple(dict.fromkeys([*symbols, *([] if shares is None else [name])])),
        what=f"{' '.join(said)}{'' if shares is None else shares.what} {' '.join(notes)}".strip(),
        by=due(deadlines, moment.at),
        deadlines=deadlines,
        amounts="" if shares is None else shares.amounts,
        remedy="" if not known and shares is None else _RULE,
        needs=None if shares is None else shares.owed,
    )


def _deadlines(
    touched: Sequence[LegLife],
    known: Sequence[Dividend],
    shares: _Shares | None,
    live: LiveSnapshot,
    moment: Moment,
) -> tuple[Deadline, ...]:
    """The instants before the first of the ex-dates."""
    if shares is not None and (not known or shares.ex_date <= known[0].ex_date):
        of_shares = share_before_ex_date(shares.ex_date, moment.told)
    else:
        of_shares = ()
    if not known or (shares is not None and shares.ex_date < known[0].ex_date):
        return of_shares
    instrument = touched[0].held.instrument
    of_options = before_ex_date(instrument, known[0].ex_date, live.expiry_facts, moment.told, held=True)
    return tuple(sorted((*of_options, *of_shares), key=lambda one: one.at))


def _end(leg: LegLife) -> datetime:
    settles = None if leg.held.life is None else leg.held.life.settles
    return _NEVER if settles is None else settles
