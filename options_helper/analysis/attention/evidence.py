"""What of a book cannot be believed, and why: the file beside the account, quotes, streams and clocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.contract_terms import TermWords
from options_helper.analysis.holdings import Holdings
from options_helper.analysis.live_health import Level
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.reconcile.reconciliation import Behind
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.text import format_count, named

_NAMED_AT_MOST: Final = 6
_STALE: Final = frozenset({QuoteWarning.STALE_QUOTE, QuoteWarning.STALE_TRADE})
_WIDE: Final = frozenset({QuoteWarning.WIDE_SPREAD, QuoteWarning.TOO_WIDE})
_UNPRICED: Final = frozenset(
    {QuoteWarning.MISSING_QUOTE, QuoteWarning.REFUSED_SYMBOL, QuoteWarning.NOT_SUBSCRIBED}
)
_CHANGING: Final = frozenset({QuoteWarning.CHANGES_TODAY})
_DEAF: Final = {
    Phase.FAILED: (Level.ERROR, "has failed"),
    Phase.RECONNECTING: (Level.WARNING, "was lost and is being made again"),
    Phase.STOPPED: (Level.WARNING, "was stopped"),
    Phase.STALLED: (Level.WARNING, "is silent though it should move"),
}


def quote_entries(book: Sequence[HeldLine]) -> Iterator[Entry]:
    """Lines without a price, with an old one, one that says little, or one of another share; one entry of each kind."""
    lines = [one for one in book if not one.ended]
    for kind, level, warnings, said, remedy in (
        (
            AttentionKind.UNPRICED,
            Level.ERROR,
            _UNPRICED,
            "without a price",
            "Without a price it is in no sum; look at its symbol and its stream.",
        ),
        (
            AttentionKind.STALE,
            Level.WARNING,
            _STALE,
            "with a quote that is too old",
            "The market is open, and the mark is as old as that.",
        ),
        (
            AttentionKind.WIDE,
            Level.INFO,
            _WIDE,
            "quoted wide",
            "The mark is a rough guess; natural is what closing would fetch.",
        ),
        (
            AttentionKind.FILE_ACCOUNT,
            Level.WARNING,
            _CHANGING,
            "of a share that a split or the like changes today",
            "Value, P&L and what is in the money are not known until the account has booked it; then look at it there.",
        ),
    ):
        held = {one.instrument.live_symbol: one for one in lines if one.warnings & warnings}
        if held:
            labels = named([one.instrument.label for one in held.values()], _NAMED_AT_MOST)
            yield Entry(
                kind=kind,
                level=level,
                subject=format_count(len(held), "line"),
                symbols=tuple(held),
                what=f"{format_count(len(held), 'line')} {said}: {labels}.",
                remedy=remedy,
            )


def term_entries(doubts: Iterable[TermWords]) -> Iterator[Entry]:
    """What the file says of a contract, and its record or all of its kind contradict, an entry each."""
    for one in doubts:
        yield Entry(
            kind=AttentionKind.FILE_ACCOUNT,
            level=Level.WARNING,
            subject="File",
            symbols=(one.symbol,),
            what=one.sentence,
            remedy="options-helper portfolio check compares the file with Alpaca's records.",
        )


def account_entries(holdings: Holdings, behind: Behind | None) -> Iterator[Entry]:
    """Where file and account hold different things, or nobody can say."""
    if behind is not None:
        yield Entry(
            kind=AttentionKind.FILE_ACCOUNT,
            level=Level.WARNING,
            subject="Account",
            symbols=tuple(sorted(behind.symbols)),
            what="The file is behind the account.",
            amounts=behind.sentence,
            remedy="Bring the file up to date; options-helper portfolio reconcile says how.",
        )
    explained = behind.symbols if behind is not None else ()
    differing = [
        symbol
        for symbol in dict.fromkeys((*holdings.account_only, *holdings.file_only, *holdings.other_quantity))
        if symbol not in explained
    ]
    if sentences := holdings.sentences(explained):
        yield Entry(
            kind=AttentionKind.FILE_ACCOUNT,
            level=Level.WARNING,
            subject="Account",
            symbols=tuple(differing),
            what=" ".join(sentences),
            remedy="Look for them on Alpaca's own page; no figure here has them."
            if holdings.is_account
            else "options-helper portfolio reconcile says what to change in the file.",
        )
    if holdings.unanswered == "it could not be read":
        yield Entry(
            kind=AttentionKind.FILE_ACCOUNT,
            level=Level.WARNING,
            subject="Account",
            symbols=(),
            what=f"The {'quantities are' if holdings.is_account else 'file is'} {holdings.not_compared}.",
            remedy="Look at the account's keys and at its server.",
        )


def stream_entries(live: LiveSnapshot) -> Iterator[Entry]:
    """Streams that hear nothing, and a clock that is wrong."""
    for health in live.streams.values():
        if health.phase not in _DEAF or (health.phase is Phase.STOPPED and not live.running):
            continue
        level, said = _DEAF[health.phase]
        why = f": {health.last_error.rstrip('.')}" if health.last_error else ""
        yield Entry(
            kind=AttentionKind.DEAF,
            level=level,
            subject=str(health.name),
            symbols=health.requested,
            what=f"The stream {health.name} {said}{why}.",
            remedy=(
                "What it would tell is not heard; options-helper doctor looks for the reason."
                if health.phase is Phase.FAILED
                else "It goes on by itself when its owner begins again; until then nothing is heard."
                if health.phase is Phase.STOPPED
                else "It is made again by itself; what it would tell meanwhile is not heard."
            ),
        )
    skew = live.clock_skew
    if skew is not None and skew.matters:
        yield Entry(
            kind=AttentionKind.CLOCK_SKEW,
            level=Level.WARNING,
            subject="Clock",
            symbols=(),
            what=f"This computer's clock is {skew.words}; ages and countdowns are put right by that.",
            remedy="Set the clock.",
        )
