"""What can be done about legs that end together: only what leaves less missing, or no more than there is, is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.shortage import Closed, Missing, Part, Settlement, Way, may_offset
from options_helper.analysis.attention.words import dollars, listed
from options_helper.model.contract_symbols import plain_number
from options_helper.model.text import format_count

CLOSE_IT: Final = "Close it, or roll it to a later expiry."
_ONE_OF_TWO: Final = "Do one of the two, not both."
_ALONE: Final = "alone that leaves more missing."
_RISK_TOO: Final = "Then nothing is missing at the price of now. In place of that, to end the risk too: "
_NOT_KNOWN: Final = "alone that may leave more missing, which cannot be judged."


class Remedy(NamedTuple):
    """What can be done, and the same without how much is held (empty: it names nothing of that)."""

    words: str
    discreet: str = ""


def part_words(one: Part, *, with_amounts: bool = True) -> str:
    """How many of a leg's contracts: "2 of 3 contracts of AAPL 18 Dec 26 180 C"; of all of them its label."""
    label = one.leg.instrument.label
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
        if settled.is_safe(whole):
            return _close_it(one, [settled])
        return together_words(settled.with_what_offsets(whole))
    own = next((way for way in ways if any(part.symbol in whole for part in way)), None)
    if own is not None:
        return _way_and_others(own, ways, own=one)
    if settled.is_safe(whole) and not any(settled.missing({**_closed(way), **whole}) for way in ways):
        return _close_it(one, [settled])
    return _what_helps(one, ways, settled)


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
    words, discreet = _way_and_others(ways[0], ways)
    whole = {one.instrument.live_symbol: abs(one.quantity)}
    if settled.is_safe(whole):
        return Remedy(words, discreet)
    leaves = missing_words(settled.missing(whole), one.instrument.underlying)
    said, unsaid = (
        f" To close {one.instrument.label} alone leaves {what} missing." for what in (leaves, "more")
    )
    return Remedy(f"{words}{said}", f"{discreet or words}{unsaid}")


def _together_with_all(one: HeldLine) -> str:
    return f"Close it together with all on {one.instrument.underlying} that ends with it: {_NOT_KNOWN}"


def to_close_on_either_side(
    one: HeldLine, legs: Sequence[HeldLine], sides: Sequence[Settlement | None]
) -> Remedy:
    """What can be done about a leg that may end on either side of its strike: what leaves no more missing on both."""
    known = [side for side in sides if side is not None]
    if len(known) < len(sides):
        return Remedy(_together_with_all(one)) if may_offset(one, legs) else Remedy(CLOSE_IT)
    whole = {one.instrument.live_symbol: abs(one.quantity)}
    harmed = [side for side in known if not side.is_safe(whole)]
    if not harmed:
        return _close_it(one, known)
    for side in harmed:
        parts = side.with_what_offsets(whole)
        if all(other.is_safe(_closed(parts)) for other in known):
            return together_words(parts)
    everything = {part.symbol: part for side in known for part in side.legs}
    return together_words(tuple(everything.values()))


def together_words(parts: Sequence[Part]) -> Remedy:
    """That the first of these must not go without the others."""
    words, discreet = (
        f"Close {said[0]} together with {listed(said[1:])}: {_ALONE}"
        for said in ([part_words(part, with_amounts=amounts) for part in parts] for amounts in (True, False))
    )
    return Remedy(words, "" if words == discreet else discreet)


def to_end_risk(part: str, closed: Closed, name: str, settled: Settlement) -> Remedy | None:
    """How to close what has no cover where that alone leaves more missing at its end; None: it does not.

    `part` is what of it, in words.
    """
    held = {one.symbol: one.contracts for one in settled.legs}
    own = {symbol: min(count, held[symbol]) for symbol, count in closed.items() if symbol in held}
    if settled.is_safe(own):
        return None
    others = [one for one in settled.with_what_offsets(own) if one.contracts > own.get(one.symbol, 0.0)]
    ways = settled.ways if settled.is_known else ()
    leaves = missing_words(settled.missing(own), name)
    words, discreet = (
        f"Close {what} together with {listed([part_words(one, with_amounts=amounts) for one in others])}: "
        f"alone that leaves {leaves if amounts else 'more'} missing."
        for amounts, what in ((True, part), (False, "what is uncovered"))
    )
    if not ways:
        return Remedy(words, discreet)
    first = _way_and_others(ways[0], ways)
    return Remedy(
        f"{first.words} {_RISK_TOO}{_lowered(words)}",
        f"{first.discreet or first.words} {_RISK_TOO}{_lowered(discreet)}",
    )


def to_sell(settled: Settlement) -> tuple[Way, Remedy] | None:
    """The long legs without whose exercise less is missing, with what can be done; None: there are none."""
    for way in settled.ways:
        longs = tuple(part for part in way if part.leg.quantity > 0 and settled.helps(_closed([part])))
        if longs:
            words, discreet = _way_and_others(way, settled.ways, own=longs[0].leg)
            gives_up = _given_up(longs)
            return longs, Remedy(f"{words}{gives_up}", f"{discreet}{gives_up}" if discreet else "")
    return None


def missing_words(missing: Missing, name: str) -> str:
    """As in "200 SPY and $1,200"."""
    shares = [f"{plain_number(missing.shares)} {name}"] if missing.shares else []
    return listed([*shares, *([dollars(missing.dollars)] if missing.dollars else [])] or ["nothing"])


def _way_and_others(way: Way, ways: Sequence[Way], *, own: HeldLine | None = None) -> Remedy:
    """One way, and after it that another would do in its place; `own` is the leg that is spoken of."""
    others = [other for other in ways if other is not way]
    words, discreet = (
        " ".join(
            [
                _way_words(way, own, with_amounts=amounts),
                *(
                    f"Or instead: {_lowered(_way_words(other, None, with_amounts=amounts))}"
                    for other in others
                ),
                *([_ONE_OF_TWO] if others else []),
            ]
        )
        for amounts in (True, False)
    )
    return Remedy(words, "" if words == discreet else discreet)


def _way_words(way: Way, own: HeldLine | None, *, with_amounts: bool) -> str:
    parts = listed([part_words(part, with_amounts=with_amounts) for part in way])
    if len(way) > 1 and any(part.leg.quantity < 0 for part in way):
        return f"Close {parts} together: to close one of them alone may leave more missing."
    all_of_it = all(part.is_whole for part in way)
    name = "it" if all_of_it and len(way) == 1 and way[0].leg is own else parts
    if way[0].leg.quantity > 0:
        return f"Sell {name}, or ask Alpaca not to exercise {'it' if all_of_it else 'so many'}."
    return f"Close {name if all_of_it else f'the surplus, {parts}'}, or roll it to a later expiry."


def _given_up(longs: Way) -> str:
    kept = [part.leg.extrinsic_at_bid for part in longs]
    known = [one for one in kept if one is not None and one > 0]
    return f" Exercising would give up {max(known):,.2f} a share of time value." if known else ""


def _lowered(words: str) -> str:
    return f"{words[0].lower()}{words[1:]}"


def _closed(parts: Iterable[Part]) -> Closed:
    return {part.symbol: part.contracts for part in parts}
