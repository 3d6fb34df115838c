"""What the book risks, as tiles: each with what it covers, what is missing in it, and how old its oldest input is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from apps.streamlit.components.board_cell import ROUGHLY, written
from apps.streamlit.components.formatting import UNKNOWN, age, money
from apps.streamlit.components.live_tile import NO_POSITIONS, NOTHING_YET, Tile
from apps.streamlit.components.risk_ages import RiskAges, oldest
from options_helper.analysis.risk.book_values import LineRisk, theta_parts
from options_helper.analysis.risk.extremes import Extreme, Limit
from options_helper.analysis.risk.greeks import GreekSum
from options_helper.analysis.totals import Tally
from options_helper.live.screen import ScreenModel
from options_helper.model.contract_symbols import short_date
from options_helper.model.text import HIDDEN, digits_of, format_count, named, without_quantities

NAMED_AT_MOST: Final = 3


def risk_tiles(screen: ScreenModel) -> Iterator[Tile]:
    """Delta as if all were the index, theta, vega, and the worst that can come."""
    yield _delta(screen)
    yield _theta(screen)
    yield _vega(screen)
    yield _worst(screen)


def _delta(screen: ScreenModel) -> Tile:
    weighted, coverage = screen.risk.beta_weighted, screen.risk.sums.delta.coverage
    name = f"Delta, {weighted.index}-weighted"
    if weighted.dollars_per_percent is None:
        # Before Start no beta was asked for.
        without = _without_beta(screen) if screen.priced else ""
        caveat = _lines((without, screen.totals.holdings.caveat))
        return Tile(name, UNKNOWN, NOTHING_YET if weighted.of else NO_POSITIONS, caveat=caveat)
    per_percent = f"{_whole(weighted.dollars_per_percent, screen)} / 1 %"
    shares = weighted.shares
    in_shares = (
        None
        if shares is None
        else HIDDEN
        if _hides(screen)
        else written(shares, _digits(shares), signed=True)
    )
    caveats = (
        "" if weighted.complete else f"PARTIAL: {weighted.counted} of {format_count(weighted.of, 'line')}",
        _in_doubt(_held(screen)),
        _at_a_bound(screen),
        _may_bring_shares(screen),
        _without_beta(screen),
        "" if shares is not None else f"{weighted.index} has no price",
        _too_old(screen, _held(screen)),
        screen.totals.holdings.caveat,
    )
    notes = (f"delta {coverage.words}", _weak_betas(screen), _oldest(_held(screen)))
    figure, _, unit = (per_percent.partition(" ")) if in_shares is None else (in_shares, "", per_percent)
    figure = f"{_roughly(coverage.bound, _held(screen))}{figure}"
    return Tile(name, figure, _lines(notes), caveat=_lines(caveats), beside=unit)


def _at_a_bound(screen: ScreenModel) -> str:
    """How many legs have no more than a bound of their delta, and between what the figure lies for it."""
    weighted, count = screen.risk.beta_weighted, screen.risk.sums.delta.coverage.bound
    if not count:
        return ""
    said = f"{format_count(count, 'leg')} at a bound"
    if _hides(screen):
        return said
    if weighted.share_ends is not None:
        low, high = (written(end, _digits(end), signed=True) for end in weighted.share_ends)
    elif weighted.dollar_ends is not None:
        low, high = (_whole(end, screen) for end in weighted.dollar_ends)
    else:
        return said
    return f"{said}: between {low} and {high}"


def _may_bring_shares(screen: ScreenModel) -> str:
    """What has ended and may have been exercised or assigned; until that is told its shares are in no delta."""
    return screen.risk.extremes.ended.delivering.words


def _theta(screen: ScreenModel) -> Tile:
    parts = theta_parts(_options(screen))
    if parts.time_value_left is None:
        return _sum("theta", "a day", screen, ("",))
    legs = format_count(parts.last_day_legs, "leg")
    amount = _whole(parts.time_value_left, screen)
    left = f"of which {amount} time value left in {legs}, the rest a day"
    # Without any other leg it is no rate at all; with others the figure is not one alone.
    return _sum("theta", "left" if parts.per_day is None else f"with {amount} left", screen, (left,))


def _vega(screen: ScreenModel) -> Tile:
    """Points of several expiries are points of several volatilities, so each stands beside the sum."""
    in_doubt = {line.expiry for line in _options(screen) if line.quantity_in_doubt}
    by_expiry = [
        f"{short_date(day)} {_whole(sums.vega.amount, screen)}{' (quantity in doubt)' if day in in_doubt else ''}"
        for day, sums in sorted(
            ((day, sums) for day, sums in screen.risk.sums_by_expiry.items() if day), key=lambda pair: pair[0]
        )
        if sums.vega.amount is not None and sums.vega.coverage.of
    ]
    notes = ("all expiries in parallel", *by_expiry) if len(by_expiry) > 1 else ()
    return _sum("vega", "a point", screen, notes)


def _sum(figure: str, unit: str, screen: ScreenModel, notes: Sequence[str]) -> Tile:
    name, lines = figure.capitalize(), _options(screen)
    total: GreekSum = getattr(screen.risk.sums, figure)
    if total.amount is None or not total.coverage.of:
        why = "no option is held" if not lines else _why_none(lines) if screen.priced else NOTHING_YET
        return Tile(name, UNKNOWN, why, caveat=screen.totals.holdings.caveat)
    missing = [line.label for line in lines if getattr(line, figure) is None]
    caveats = (
        f"PARTIAL: {total.coverage.words}" if missing else "",
        f"missing: {named(missing, NAMED_AT_MOST)}" if missing else "",
        _in_doubt(lines),
        _too_old(screen, lines),
        screen.totals.holdings.caveat,
    )
    covered = "" if missing else total.coverage.words
    return Tile(
        name,
        f"{_roughly(total.coverage.bound, lines)}{_whole(total.amount, screen)}",
        _lines((covered, *notes, _oldest(lines))),
        caveat=_lines(caveats),
        beside=unit,
    )


def _why_none(lines: Sequence[LineRisk]) -> str:
    """Why of no leg there is a figure: each reason with how many legs it is of, what is of most of them first."""
    said = Counter(line.reasons[0] if line.reasons else "nothing has come of it yet" for line in lines)
    return "; ".join(f"{format_count(legs, 'leg')}: {why}" for why, legs in said.most_common())


def _worst(screen: ScreenModel) -> Tile:
    """What the worst prices would cost, or in how many positions a loss has no end; and what longs were paid for."""
    totals, worst = screen.totals, screen.risk.max_loss
    premium = totals.long_premium
    paid = (
        f"long premium paid {money(totals.long_premium_paid, hidden=_hides(screen))}"
        if premium.of
        else "no option is held long"
    )
    caveats = (
        # Of one line only the beginning is seen, so what is gravest is first, and short.
        _by_account(screen),
        *screen.risk.ended_words,
        f"loss: {in_doubt}" if (in_doubt := _in_doubt(_held(screen))) else "",
        totals.holdings.caveat,
        *(f"long premium: {said}" for said in _against_premium(premium)),
    )
    by_account = screen.risk.doubt.worst
    count = len(totals.undefined_risks)
    if worst.limit is Limit.UNDEFINED:
        # The first few are seen at once, all of them where the pointer rests; beside the figure there is no room.
        ids = totals.undefined_risks
        which = f"in {format_count(count, 'position')}: {named(list(ids), NAMED_AT_MOST)}: " if ids else ""
        why = f"{which}calls or shares sold short that nothing covers"
        rest = f"all of these: {', '.join(ids)}" if count > NAMED_AT_MOST else ""
        return Tile("Maximum loss", "undefined", paid, tone="error", caveat=_lines((why, rest, *caveats)))
    if by_account is not None and by_account.limit is Limit.UNDEFINED:
        # A number in its place, with that beside it, would be read as the most that can be lost.
        by_file = f"{_in_words(worst, screen)} by the file"
        caveat = _lines(("by the account", by_file, _why(by_account, screen), *caveats))
        return Tile("Maximum loss", "undefined", paid, tone="error", caveat=caveat)
    if worst.amount is None:
        return Tile("Maximum loss", "not known", paid, caveat=_lines((_why(worst, screen), *caveats)))
    if not totals.legs:
        return Tile("Maximum loss", UNKNOWN, NO_POSITIONS, caveat=_lines(caveats))
    each = "each underlying of each account" if screen.accounts else "each underlying"
    notes = (_worst_of_all(screen), paid, f"{each} at its worst, at expiry")
    figure, beside = _loss(worst, worst.amount, screen)
    figure = f"{_roughly(0, _held(screen))}{figure}"
    return Tile("Maximum loss", figure, _lines(notes), caveat=_lines(caveats), beside=beside)


def _against_premium(premium: Tally) -> Iterator[str]:
    """What of the premium paid is not known, or not surely; it is counted by position."""
    if premium.counted and not premium.complete:
        yield f"{premium.counted} of {format_count(premium.of, 'position')} known"
    if premium.counted and premium.caveat:
        yield f"{premium.caveat}"


def _loss(worst: Extreme, amount: Decimal, screen: ScreenModel) -> tuple[str, str]:
    """The figure, and beside it when and with what it holds; where all prices bring a gain, that there is no loss."""
    until = worst.holds_words
    if amount > 0:
        return "none", f"at least {_whole(float(amount), screen)} {until}".rstrip()
    return _whole(float(amount), screen), until


def _by_account(screen: ScreenModel) -> str:
    """The worst by the account's quantities, where it is another than by the file's, and not undefined."""
    by_account = screen.risk.doubt.worst
    if by_account is None or by_account == screen.risk.max_loss or by_account.limit is Limit.UNDEFINED:
        return ""
    reason = "" if by_account.amount is not None else f"\n{_why(by_account, screen)}"
    return f"{_in_words(by_account, screen)} by account{reason}"


def _why(worst: Extreme, screen: ScreenModel) -> str:
    """Why it is no number; of how many shares something is sold is a quantity, which hides."""
    return without_quantities(worst.reason) if _hides(screen) else worst.reason


def _in_words(worst: Extreme, screen: ScreenModel) -> str:
    """A worst that is not undefined."""
    if worst.amount is None:
        return "not known"
    return " ".join(filter(None, _loss(worst, worst.amount, screen)))


def _in_doubt(lines: Sequence[LineRisk]) -> str:
    """How many of these rest on a quantity that is not the account's."""
    count = sum(line.quantity_in_doubt for line in lines)
    return f"{format_count(count, 'line')} with a quantity in doubt" if count else ""


def _roughly(bounds: int, lines: Sequence[LineRisk]) -> str:
    """As in the table's last row; of what speaks against a figure below it a phone shows only the beginning."""
    return ROUGHLY if bounds or any(line.quantity_in_doubt for line in lines) else ""


def _worst_of_all(screen: ScreenModel) -> str:
    """The underlying with the greatest part of it."""
    losses = [
        (float(one.held.worst.amount), one.symbol)
        for one in screen.risk.underlyings
        if one.held is not None and one.held.worst.amount is not None
    ]
    if len(losses) < 2:
        return ""
    amount, symbol = min(losses)
    return f"{symbol} {_whole(amount, screen)}"


def _without_beta(screen: ScreenModel) -> str:
    held = {line.underlying for line in _held(screen)}
    names = [one.symbol for one in screen.risk.underlyings if one.beta.value is None and one.symbol in held]
    return f"{named(names, NAMED_AT_MOST)} without a beta" if names else ""


def _weak_betas(screen: ScreenModel) -> str:
    names = [one.symbol for one in screen.risk.underlyings if one.beta.is_weak]
    return f"weak beta of {named(names, NAMED_AT_MOST)}" if names else ""


def _too_old(screen: ScreenModel, lines: Sequence[LineRisk]) -> str:
    ages = RiskAges(screen)
    old = [line for line in lines if ages.is_old(line)]
    return f"{len(old)} of {len(lines)} on prices up to {age(oldest(old))} old" if old else ""


def _oldest(lines: Sequence[LineRisk]) -> str:
    seconds = oldest(lines)
    return "" if seconds is None else f"oldest {age(seconds)}"


def _held(screen: ScreenModel) -> list[LineRisk]:
    return [line for line in screen.risk.lines if not line.has_ended]


def _options(screen: ScreenModel) -> list[LineRisk]:
    return [line for line in _held(screen) if line.iv_state is not None]


def _whole(amount: float, screen: ScreenModel) -> str:
    """Whole dollars with their sign; a model's cents say nothing."""
    if _hides(screen):
        return HIDDEN
    words = written(amount, 0, signed=True)
    return f"{words[0]}${words[1:]}" if words[0] in "+−" else f"${words}"


def _digits(shares: float) -> int:
    return 0 if abs(shares) >= 10 else digits_of(shares, 1, 2)


def _hides(screen: ScreenModel) -> bool:
    return screen.options.preferences.hide_amounts


def _lines(parts: Sequence[str]) -> str:
    return "\n".join(part for part in parts if part)
