"""A portfolio and a snapshot → everything that needs a hand, the cockpit of today's expiries, and what ended before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from options_helper.analysis.account_side import account_side
from options_helper.analysis.attention.assignments import closing, odd_short_entries, short_entries
from options_helper.analysis.attention.at_end import AtEnd
from options_helper.analysis.attention.cockpit import CockpitLine, cockpit_lines
from options_helper.analysis.attention.early_exercise import (
    LegLife,
    early_entries,
    leg_lives,
    unread_dividends,
)
from options_helper.analysis.attention.entries import AttentionKind, Entry, in_order
from options_helper.analysis.attention.evidence import (
    account_entries,
    quote_entries,
    stream_entries,
    term_entries,
)
from options_helper.analysis.attention.ex_dates import ex_dividend_entries, unread_for_shares, unread_owed
from options_helper.analysis.attention.expiring import (
    Ending,
    Moment,
    Power,
    Settled,
    ending_entries,
    endings,
    settlements,
)
from options_helper.analysis.attention.held_legs import HeldLine, by_contract, held_lines
from options_helper.analysis.attention.morning_after import EndedContract, EndedState, ended_contracts
from options_helper.analysis.attention.pins import pin_entries
from options_helper.analysis.attention.remedies import CLOSE_IT, Remedy
from options_helper.analysis.attention.reports import earnings_entries
from options_helper.analysis.attention.two_books import TwoBooks, two_books
from options_helper.analysis.attention.undefined_risk import undefined_entries
from options_helper.analysis.contract_terms import TermWords
from options_helper.analysis.live_health import Level
from options_helper.analysis.priced_lines import PricedLines
from options_helper.analysis.reconcile.reconciliation import Behind
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.model.earnings import Earnings
from options_helper.model.portfolio import Portfolio
from options_helper.model.risk_inputs import Dividend
from options_helper.model.snapshot import LiveSnapshot


@dataclass(frozen=True, slots=True)
class Attention:
    """What needs a hand at one instant."""

    as_of: datetime
    entries: tuple[Entry, ...]  # worst first
    cockpit: tuple[CockpitLine, ...]  # empty unless something is traded for the last time today
    morning_after: tuple[EndedContract, ...]  # oldest end first
    not_judged: tuple[str, ...]  # sentences
    unjudged: Mapping[
        AttentionKind, frozenset[str]
    ]  # contracts that may need a hand of the kind: nobody can say
    buying_power: float | None  # dollars, for options; None: not known
    buying_power_at: datetime | None  # when the account was asked
    activities_at: datetime | None = None  # when it was asked what became of what ended; None: it was not

    @property
    def needs_a_hand(self) -> bool:
        """Whether something is graver than to be known, not explained, or could not be judged."""
        return (
            any(one.level in (Level.ERROR, Level.WARNING) for one in self.entries)
            or any(one.state is EndedState.UNEXPLAINED for one in self.morning_after)
            or bool(self.not_judged)
        )


def assess_attention(
    portfolio: Portfolio,
    live: LiveSnapshot,
    *,
    priced: PricedLines,
    book: BookFigures | None = None,
    earnings: Sequence[Earnings] = (),
    behind: Behind | None = None,
    own_dividends: Mapping[str, tuple[Dividend, ...]] = MappingProxyType({}),
    doubts: Sequence[TermWords] = (),
) -> Attention:
    """All of it, as of the snapshot; `priced` are the lines of the book in its order.

    `book` are the risk figures of the same portfolio and snapshot.

    Without them volatility, delta and the models' view of exercise are not known, and pins are judged by quotes alone.
    `behind` says what today's executions explain of the difference to the account, `own_dividends` are the user's, by
    symbol; `doubts` are what of the file's own words on a contract cannot be.
    """
    moment = Moment.of(live.as_of, live.told_sessions)
    holdings = priced.holdings
    side = account_side(portfolio, live, holdings)
    each = held_lines(portfolio, live, priced=priced, book=book)
    # A contract that several entries have is one position of the account: it is told once, with all of it.
    merged = by_contract(each)
    books = two_books(merged, side, live)
    lines = books.of_file
    view = live.account.view
    power = None if view is None or view.options_buying_power is None else float(view.options_buying_power)
    found, lives = endings(books, moment), leg_lives((*lines, *books.account_alone), live, own_dividends)
    money = Power.of(power, found)
    settled = settlements(found, money)
    at_end = AtEnd(books, found, settled, money)
    early = tuple(
        early_entries(
            lives,
            live,
            moment,
            money,
            _remedies_at_end(found, settled),
            books=books,
            found=found,
            settle=at_end,
        )
    )
    told = {symbol for one in early for symbol in one.symbols}
    by_entry = books if len(merged) == len(each) else two_books(each, side, live)
    unread_shares = unread_for_shares(books, live, own_dividends)
    entries = (
        *ending_entries(found, moment, money, settled),
        *pin_entries(found, moment, money),
        *short_entries(books, found, moment, money, at_end, told=told),
        *odd_short_entries(books, found, moment, at_end),
        *early,
        *undefined_entries(by_entry, at_end, power),
        *ex_dividend_entries(lives, live, moment, books, found=found, own_dividends=own_dividends),
        *earnings_entries(lines, earnings, moment),
        *account_entries(holdings, behind),
        *term_entries(doubts),
        *quote_entries(lines),
        *stream_entries(live),
    )
    return Attention(
        as_of=live.as_of,
        entries=in_order(entries),
        # The cockpit has every entry's legs.
        cockpit=cockpit_lines(
            found if by_entry is books else endings(by_entry, moment), by_entry.entries, moment
        ),
        morning_after=ended_contracts(portfolio, live),
        not_judged=(
            *_unjudged(found, lines),
            *unread_dividends(lives),
            *unread_owed(unread_shares, live),
            *_odd_shorts((*lines, *books.account_alone), {symbol for one in found for symbol in one.symbols}),
        ),
        unjudged=_unjudged_kinds(found, books, lives, unread_shares),
        buying_power=power,
        buying_power_at=None if view is None else view.as_of,
        activities_at=live.expiry_facts.executions_read_at,
    )


def _remedies_at_end(found: Sequence[Ending], settled: Settled) -> Mapping[str, Remedy]:
    """Of sold contracts that end soon what can be done, where closing them is not all that it takes."""
    each = (
        (one.instrument.live_symbol, closing(one, ending, settled[ending.settles, ending.underlying]))
        for ending in found
        if not ending.is_over
        for one in ending.all_legs
        if one.is_short and one.is_in_the_money
    )
    return {symbol: remedy for symbol, remedy in each if remedy.words != CLOSE_IT}


def _unjudged_kinds(
    found: Sequence[Ending], books: TwoBooks, lives: Sequence[LegLife], unread_shares: Sequence[HeldLine]
) -> Mapping[AttentionKind, frozenset[str]]:
    """By kind the contracts without the price or the dividends that it takes; of adjusted ones nothing is computed.

    Of what is sold uncovered, all that is held on an underlying of which a quantity is not known.
    """
    lines = books.of_file
    unplaced = [one for one in lines if _is_unplaced(one)]
    ending = [one for each in found if not each.is_over for one in each.all_legs if _is_unplaced(one)]
    unread = [leg.held for leg in lives if leg.dividends is not None and leg.dividends.is_unknown]
    odd = [one for one in (*lines, *books.account_alone) if _is_odd_short(one)]
    early = (*unplaced, *(one for one in unread if one.instrument.option_type == "call"), *odd)
    return {
        AttentionKind.PIN: _symbols(ending),
        AttentionKind.LONG_WITHOUT_MONEY: _symbols(one for one in ending if not one.is_short),
        AttentionKind.IN_THE_MONEY_SHORT: _symbols(
            (*(one for one in unplaced if one.is_short), *(one for one in odd if one.sure_inside is None))
        ),
        AttentionKind.EARLY_EXERCISE: _symbols(early),
        AttentionKind.EX_DIVIDEND: _symbols((*unread, *unread_shares)),
        AttentionKind.UNDEFINED_RISK: _symbols(
            one for one in lines if one.instrument.underlying in books.unread_on
        ),
    }


def _is_odd_short(one: HeldLine) -> bool:
    """Whether it was sold and delivers something else, so that its time value a share is not computed."""
    return one.instrument.is_option and one.is_short and not one.ended and one.delivers_something_else


def _odd_shorts(lines: Iterable[HeldLine], told: Collection[str]) -> Iterator[str]:
    """Adjusted contracts that were sold, a sentence each; what ends soon is told already."""
    for one in lines:
        if _is_odd_short(one) and one.instrument.live_symbol not in told:
            delivers = "" if one.life is None or not one.life.delivers else f" ({one.life.delivers} each)"
            early = "may be assigned early or for a dividend"
            what = f"is in the money, or {early}," if one.sure_inside is None else early
            yield f"{one.instrument.label}: it is adjusted{delivers}, so whether it {what} cannot be judged."


def _is_unplaced(one: HeldLine) -> bool:
    """Whether nobody can say on which side of its strike the price is."""
    instrument = one.instrument
    return instrument.is_option and not one.ended and not instrument.adjusted and one.spot is None


def _symbols(lines: Iterable[HeldLine]) -> frozenset[str]:
    return frozenset(one.instrument.live_symbol for one in lines)


def _unjudged(found: Sequence[Ending], lines: Sequence[HeldLine]) -> Iterator[str]:
    """What ends soon and of which nobody can say where it stands, a sentence each."""
    for ending in found:
        if ending.is_over:
            continue
        for one in ending.all_legs:
            if one.is_in_the_money is None and one.sure_inside is None:
                yield f"{one.instrument.label}: whether it is in the money cannot be judged."
    names = dict.fromkeys(
        one.instrument.underlying for one in lines if one.life is not None and one.life.settles is None
    )
    for name in names:
        yield f"{name}: when its options end is not known; the calendar does not reach so far."
