"""What can be done about legs that end together: only what leaves nothing worse than doing nothing does is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from options_helper.analysis.attention.aftermath import Missing
from options_helper.analysis.attention.closings import Closed
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.shortage import Part, Settlement, Way, may_offset
from options_helper.analysis.attention.words import dollars, listed
from options_helper.model.contract_symbols import plain_number
from options_helper.model.text import format_count

CLOSE_IT: Final = "Close it, or roll it to a later expiry."
# Of the file alone, and of what is being read anew, nothing is closed: it may not be there, and would be opened.
CORRECT_THE_FILE: Final = "Correct the file: by the account's quantities nothing of this is to be closed."
SEE_FIRST: Final = "Close nothing before it is known what the account holds: how much that is, is in doubt."
_PAIR: Final = 2
_LISTED_AT_MOST: Final = 8  # what takes more legs is all that there is, nearly always
_ONE_OF_TWO: Final = "Do one of the two, not both."
_RISK_TOO: Final = "Then nothing is missing at the price of now. In place of that, to end the risk too: "
LESS: Final = " Less of that may be enough: not all was tried."
_NOT_KNOWN: Final = "alone that may leave more missing, which cannot be judged."


class Remedy(NamedTuple):
    """What can be done, and the same without how much is held (empty: it names nothing of that)."""

    words: str
    discreet: str = ""


def part_words(one: Part, *, with_amounts: bool = True) -> str:
    """How many of a leg's contracts: "2 of 3 contracts of AAPL 18 Dec 26 180 C"; of all of them its label."""
    label = one.leg.instrument.label
    if not one.leg.instrument.is_option:
        return (
            f"{plain_number(one.contracts)} {label} sold short" if with_amounts else f"the {label} sold short"
        )
    if one.is_whole:
        return label
    if not with_amounts:
        return f"a part of {label}"
    return f"{plain_number(one.contracts)} of {format_count(round(abs(one.leg.quantity)), 'contract')} of {label}"


def to_close(one: HeldLine, legs: Sequence[HeldLine], settled: Settlement | None) -> Remedy:
    """What can be done about a leg that was sold and ends with these `legs`; None: what they bring is not known."""
    if settled is None:
        return Remedy(_together_with_all(one)) if may_offset(one, legs) else Remedy(CLOSE_IT)
    whole = {one.instrument.live_symbol: abs(one.quantity)}
    ways = settled.ways if settled.is_known else ()
    if not ways:
        return _close_it(one, [settled]) if settled.is_safe(whole) else _together(one, settled)
    own = next((way for way in ways if any(part.symbol in whole for part in way)), None)
    if own is not None:
        return _way_and_others(own, ways, settled, own=one)
    if settled.is_safe(whole) and not any(settled.missing({**_closed(way), **whole}) for way in ways):
        return _close_it(one, [settled])
    return _what_helps(one, ways, settled)


def to_close_early(one: HeldLine, settled: Settlement) -> Remedy | None:
    """What a leg must not be closed without; None: alone it may be."""
    return (
        None if settled.is_safe({one.instrument.live_symbol: abs(one.quantity)}) else _together(one, settled)
    )


def _close_it(one: HeldLine, sides: Iterable[Settlement]) -> Remedy:
    """To close a leg, which is safe alone; whose closing is told too, and would not be safe after it."""
    whole = {one.instrument.live_symbol: abs(one.quantity)}
    for side in sides:
        rival = side.rival_of(whole)
        if rival is not None:
            missing = side.missing({**whole, **_closed([rival])})
            words, discreet = (
                f"{CLOSE_IT} But not {rival.leg.instrument.label} as well: without both, {what} missing."
                for what in (f"{missing_words(missing, one.instrument.underlying)} are", "more is")
            )
            return Remedy(words, discreet)
    return Remedy(CLOSE_IT)


def _what_helps(one: HeldLine, ways: Sequence[Way], settled: Settlement) -> Remedy:
    """Of a leg that is in no way: one, and what closing this leg alone would leave missing."""
    words, discreet = _way_and_others(ways[0], ways, settled)
    whole = {one.instrument.live_symbol: abs(one.quantity)}
    if settled.is_safe(whole):
        return Remedy(words, discreet)
    label, name = one.instrument.label, one.instrument.underlying
    said, unsaid = (
        f" To close {label} alone {_leaves(whole, settled, name, with_amounts=amounts)}."
        for amounts in (True, False)
    )
    return Remedy(f"{words}{said}", f"{discreet or words}{unsaid}")


def _leaves(closed: Closed, settled: Settlement, name: str, *, with_amounts: bool) -> str:
    """What is worse after a closing: "leaves $9,000 missing"; without amounts "leaves more money missing"."""
    missing, harm = settled.missing(closed), settled.harm(closed)
    if harm is not None and not (with_amounts and missing.is_more_than(settled.missing())):
        return harm.words
    return f"leaves {missing_words(missing, name) if with_amounts else 'some'} missing"


def _together_with_all(one: HeldLine) -> str:
    return f"Close it together with all on {one.instrument.underlying} that ends with it: {_NOT_KNOWN}"


def to_close_on_either_side(
    one: HeldLine,
    legs: Sequence[HeldLine],
    settled: Settlement | None,
    sides: Sequence[Settlement | None],
) -> Remedy:
    """What can be done about a leg that may end on either side of its strike; `sides` are settled a cent beyond it."""
    known = [side for side in sides if side is not None]
    if settled is None or len(known) < len(sides):
        return Remedy(_together_with_all(one)) if may_offset(one, legs) else Remedy(CLOSE_IT)
    if settled.is_safe({one.instrument.live_symbol: abs(one.quantity)}):
        return _close_it(one, known)
    return _together(one, settled)


def _together(one: HeldLine, settled: Settlement) -> Remedy:
    """With what a leg is to be closed that must not be closed alone, and why."""
    whole = {one.instrument.live_symbol: abs(one.quantity)}
    parts = settled.with_what_offsets(whole)
    first = [part for part in parts if part.symbol in whole]
    return together_words((*first, *(part for part in parts if part.symbol not in whole)), settled)


def together_words(parts: Sequence[Part], settled: Settlement) -> Remedy:
    """That the first of these must not go without the others, and what is to be closed first."""
    harm = settled.harm(_closed(parts[:1]))
    alone = "" if harm is None else f": alone that {harm.words}"
    order, less = _order(parts), _less(parts, settled)
    words, discreet = (
        f"Close {part_words(parts[0], with_amounts=amounts)} together with "
        f"{_parts_words(parts[1:], settled, with_amounts=amounts)}{order}{alone}.{less}"
        for amounts in (True, False)
    )
    return Remedy(words, "" if words == discreet else discreet)


def _less(parts: Iterable[Part], settled: Settlement) -> str:
    """That a remedy is enough, and may be more than that; empty where all was tried."""
    return LESS if settled.may_take_less(parts) else ""


def _parts_words(parts: Sequence[Part], settled: Settlement, *, with_amounts: bool) -> str:
    """What is closed, leg by leg; of many that are all there is, that."""
    if not parts:
        return "what it covers"
    ending = {one.instrument.live_symbol for one in settled.after.ending}
    closed = {part.symbol for part in parts}
    left = len(ending - closed)
    is_all = left <= 1 and closed <= ending and all(part.is_whole for part in parts)
    if len(parts) > _LISTED_AT_MOST and is_all:
        return f"all{' else' if left else ''} on {parts[0].leg.instrument.underlying} that ends with it"
    return listed([part_words(part, with_amounts=with_amounts) for part in parts])


def _order(parts: Iterable[Part]) -> str:
    """What is bought back first, where something that is held may cover it until then; empty: that makes no odds."""
    sold = [part for part in parts if part.leg.quantity < 0]
    if not sold or all(part.leg.quantity < 0 for part in parts):
        return ""
    return f", the sold {'leg' if len(sold) == 1 else 'legs'} first"


def to_end_risk(
    own: Sequence[Part],
    others: Sequence[Part],
    sides: Sequence[Settlement],
    *,
    is_all: bool,
    is_near: bool,
    less: str = "",
) -> Remedy:
    """How to close what has no cover, its `own` parts, where that alone leaves something worse when it ends.

    `sides` are what all of it ends with; `is_all`: nothing is left of the options; `less`: that less may do. What
    is missing at the price of now counts where the end `is_near`.
    """
    closed, name = _closed(own), own[0].leg.instrument.underlying
    harmed = next((side for side in sides if side.harm(closed, counts_bought=True) is not None), None)
    words, discreet = (
        f"Close {what} together with {with_them}{_order((*own, *others))}"
        f"{'' if harmed is None else f': alone that {_leaves(closed, harmed, name, with_amounts=amounts)}'}.{less}"
        for amounts, what, with_them in (
            (True, counted_words(own), _others_words(others, name, is_all=is_all, with_amounts=True)),
            (False, "what is uncovered", _others_words(others, name, is_all=is_all, with_amounts=False)),
        )
    )
    near = next((side for side in sides if side.is_known and side.ways), None) if is_near else None
    if near is None:
        return Remedy(words, discreet)
    first = _way_and_others(near.ways[0], near.ways, near)
    return Remedy(
        f"{first.words} {_RISK_TOO}{_lowered(words)}",
        f"{first.discreet or first.words} {_RISK_TOO}{_lowered(discreet)}",
    )


def counted_words(parts: Sequence[Part]) -> str:
    """Each with how many contracts: "1 contract of AAPL 18 Dec 26 180 C and 2 of 3 contracts of …"."""
    return listed(
        [
            f"{format_count(round(part.contracts), 'contract')} of {part.leg.instrument.label}"
            if part.is_whole
            else part_words(part)
            for part in parts
        ]
    )


def _others_words(others: Sequence[Part], name: str, *, is_all: bool, with_amounts: bool) -> str:
    if is_all and len(others) > _LISTED_AT_MOST:
        return f"all other options on {name}"
    return listed([part_words(part, with_amounts=with_amounts) for part in others])


def to_sell(settled: Settlement) -> tuple[Way, Remedy] | None:
    """The long legs without whose exercise less is missing, with what can be done; None: there are none."""
    for way in settled.ways:
        longs = tuple(part for part in way if part.leg.quantity > 0 and settled.helps(_closed([part])))
        if longs:
            words, discreet = _way_and_others(way, settled.ways, settled, own=longs[0].leg)
            gives_up = _given_up(longs)
            return longs, Remedy(f"{words}{gives_up}", f"{discreet}{gives_up}" if discreet else "")
    return None


def missing_words(missing: Missing, name: str) -> str:
    """As in "200 SPY and $1,200"."""
    shares = [f"{plain_number(missing.shares)} {name}"] if missing.shares else []
    return listed([*shares, *([dollars(missing.dollars)] if missing.dollars else [])] or ["nothing"])


def _way_and_others(
    way: Way, ways: Sequence[Way], settled: Settlement, *, own: HeldLine | None = None
) -> Remedy:
    """One way, and after it that another would do in its place; `own` is the leg that is spoken of."""
    others = [other for other in ways if other is not way]
    words, discreet = (
        " ".join(
            [
                _way_words(way, own, settled, with_amounts=amounts),
                *(
                    f"Or instead: {_lowered(_way_words(other, None, settled, with_amounts=amounts))}"
                    for other in others
                ),
                *([_ONE_OF_TWO] if others else []),
            ]
        )
        for amounts in (True, False)
    )
    return Remedy(words, "" if words == discreet else discreet)


def _way_words(way: Way, own: HeldLine | None, settled: Settlement, *, with_amounts: bool) -> str:
    parts = _parts_words(way, settled, with_amounts=with_amounts)
    if len(way) > 1 and any(part.leg.quantity < 0 for part in way):
        order = _order(way)
        # Of three and more it would be longer than what is to be done.
        told = way if len(way) == _PAIR else ()
        alone = [words for part in told if (words := _alone_words(part, settled, with_amounts=with_amounts))]
        return f"Close {parts} together{order}{': ' if alone else ''}{'; '.join(alone)}.{_less(way, settled)}"
    all_of_it = all(part.is_whole for part in way)
    name = "it" if all_of_it and len(way) == 1 and way[0].leg is own else parts
    if way[0].leg.quantity > 0:
        them = "so many" if not all_of_it else "it" if len(way) == 1 else "them"
        gives_up = max(part.leg.inside or 0.0 for part in way)
        return f"Sell {name}, or ask Alpaca not to exercise {them}, which gives up {gives_up:,.2f} a share."
    return f"Close {name if all_of_it else f'the surplus, {parts}'}, or roll it to a later expiry."


def _alone_words(part: Part, settled: Settlement, *, with_amounts: bool) -> str:
    """What one of several that are closed together leaves by itself; empty where that is not known to be anything."""
    closed = _closed([part])
    if settled.is_safe(closed) and not settled.missing(closed):
        return ""
    name = part.leg.instrument.underlying
    label = part.leg.instrument.label
    subject = label if part.leg.instrument.is_option else f"to buy back the {label}"
    return f"{subject} alone {_leaves(closed, settled, name, with_amounts=with_amounts)}"


def _given_up(longs: Way) -> str:
    kept = [part.leg.extrinsic_at_bid for part in longs]
    known = [one for one in kept if one is not None and one > 0]
    return f" Exercising would give up {max(known):,.2f} a share of time value." if known else ""


def _lowered(words: str) -> str:
    return f"{words[0].lower()}{words[1:]}"


def _closed(parts: Iterable[Part]) -> Closed:
    return {part.symbol: part.contracts for part in parts}
