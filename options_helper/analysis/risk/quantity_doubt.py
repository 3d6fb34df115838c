"""What rests on quantities that are the file's and not the account's, and what the worst is by the account's."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final

from options_helper.analysis.account_side import AccountSide, account_side, ended_in_account
from options_helper.analysis.deliveries import usual_instruments
from options_helper.analysis.holdings import Holdings
from options_helper.analysis.risk.extremes import (
    NOTHING_ENDED,
    BookRisk,
    EndedLegs,
    Extreme,
    Limit,
    book_risk_by_account,
)
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.text import format_holding, named

_NAMED_AT_MOST: Final = 4


@dataclass(frozen=True, slots=True)
class QuantityDoubt:
    """Where file and account are apart, in what a person calls it; with nothing in it where they are not."""

    symbols: frozenset[str] = frozenset()  # of the file's lines, in Alpaca's spelling
    labels: tuple[str, ...] = ()  # the same, in the file's order
    unread: tuple[
        str, ...
    ] = ()  # of them and of what the file lacks: how much the account holds is not known
    account_only: tuple[str, ...] = ()  # what the file lacks
    lacking: str = "the file lacks"  # what is said of them
    of_lines: tuple[str, ...] = ()  # the underlyings of the file's lines among these
    underlyings: tuple[str, ...] = ()  # and of all of these
    by_account: BookRisk | None = None  # None: nothing is apart
    # What has ended and the account still lists, whether or not anything is apart; in no figure by the account.
    ended: EndedLegs = NOTHING_ENDED
    ended_alone: EndedLegs = NOTHING_ENDED  # of these, what the file lacks

    @property
    def worst(self) -> Extreme | None:
        """The book's worst by the account's quantities; None where they are the file's."""
        return None if self.by_account is None else self.by_account.known_worst

    def ended_sentences(self, underlying: str | None = None) -> tuple[str, ...]:
        """What has ended and only the account has, each with what it is that no figure has; None: of the book."""
        ended = self.ended_alone if underlying is None else self.ended_alone.on(underlying)
        return tuple(
            f"{label} has ended and is in the account alone; what its end costs or brings is in no figure."
            for label in ended.labels
        )

    def worst_of(self, underlying: str) -> Extreme | None:
        """The same of one underlying."""
        if self.by_account is None:
            return None
        found = (one.worst for one in self.by_account.underlyings if one.name == underlying)
        return next(found, self.ended.on(underlying).alone)


def quantity_doubt(
    portfolio: Portfolio, live: LiveSnapshot, holdings: Holdings, ended: Collection[str]
) -> QuantityDoubt:
    """What is in doubt of the portfolio beside the account; `ended` are contracts of the file that are gone."""
    listed = ended_in_account(portfolio, live, holdings)
    still = EndedLegs(tuple((line.instrument.label, line) for line in listed))
    alone = EndedLegs(tuple(one for one in still.lines if one[1].instrument.live_symbol not in ended))
    side = account_side(portfolio, live, holdings)
    if side is None:
        return QuantityDoubt(ended=still, ended_alone=alone)
    gone = {*ended, *(line.instrument.live_symbol for line in listed)}
    doubtful = {
        line.instrument.live_symbol: line.instrument
        for line in portfolio.lines
        if line.instrument.live_symbol in side.in_doubt and line.instrument.live_symbol not in gone
    }
    instruments = [*doubtful.values(), *(line.instrument for line in side.all_lines)]
    return QuantityDoubt(
        symbols=frozenset(doubtful),
        labels=tuple(one.label for one in doubtful.values()),
        unread=tuple(format_holding(symbol) for symbol in side.unread if symbol not in gone),
        lacking=holdings.lacking,
        account_only=tuple(format_holding(symbol) for symbol in holdings.account_only if symbol not in gone),
        of_lines=tuple(dict.fromkeys(one.underlying for one in doubtful.values())),
        underlyings=tuple(
            dict.fromkeys(one.underlying for one in instruments if one.live_symbol not in gone)
        ),
        by_account=replace(_by_account(portfolio, side, gone, live), ended=still),
        ended=still,
        ended_alone=alone,
    )


def _by_account(
    portfolio: Portfolio, side: AccountSide, ended: Collection[str], live: LiveSnapshot
) -> BookRisk:
    known = {line.instrument.live_symbol: line.instrument.underlying for line in portfolio.lines}
    # What no portfolio has a place for is written on something that is not known here, and stands for itself.
    unread = dict.fromkeys(known.get(symbol, symbol) for symbol in side.unread if symbol not in ended)
    instruments = (*portfolio.instruments, *(line.instrument for line in side.all_lines))
    usual = usual_instruments(instruments, live.expiry_facts.records)
    return book_risk_by_account(
        portfolio, side.in_doubt, side.all_lines, ended=ended, unread=unread, usual=usual
    )


def alarms_of(doubt: QuantityDoubt, worst: Extreme) -> Iterator[str]:
    """What a person must know of it before sums are believed, a sentence each; `worst` is the file's."""
    if doubt.labels:
        yield (
            f"The account holds another quantity than the file, or may, of {_named(doubt.labels)}: the figures of "
            f"{_named(doubt.of_lines)} and of the book are by the file's."
        )
    if doubt.account_only:
        yield f"The account holds what {doubt.lacking}, and it is in no figure: {_named(doubt.account_only)}."
    if doubt.unread:
        yield f"How much the account holds is not known of {_named(doubt.unread)}."
    if (words := worst_words(doubt.worst, worst)) is not None:
        without = f" ({doubt.ended.words}: {_named(doubt.ended.labels)})" if doubt.ended.lines else ""
        yield f"By the account's quantities the greatest loss is {words}{without}."
    yield from doubt.ended_sentences()


def worst_words(by_account: Extreme | None, worst: Extreme) -> str | None:
    """What the worst is by the account's quantities; None where nothing else is known than by the file's."""
    if by_account is None or by_account == worst:
        return None
    if by_account.amount is not None:
        loss = -by_account.amount
        words = f"{loss:,.2f}" if loss >= 0 else f"none: at least +{-loss:,.2f}"
        return f"{words} {by_account.holds_words}".rstrip()
    what = "undefined" if by_account.limit is Limit.UNDEFINED else "not known"
    return f"{what}: {by_account.reason}"


def _named(labels: tuple[str, ...]) -> str:
    return named(list(labels), _NAMED_AT_MOST)
