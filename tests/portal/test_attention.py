"""What the page says needs a hand: each thing once, the worst first, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from apps.streamlit.components.live_attention import attention_html, expiries
from apps.streamlit.components.live_totals import hand_tile
from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.attention.morning_after import EndedContract, EndedState
from options_helper.analysis.live_health import Level
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.row_table import RowTable
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.attention import _SAY, Item, attention
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.scenes import OPEN, SAMPLE, execution, with_account

NEW_YORK = ZoneInfo("America/New_York")
AAPL_CALL = "AAPL270115C00275000"


def screen_of(scene: Callable[[], LiveSnapshot], **preferences) -> ScreenModel:
    session = LiveSession(build_manager=scenes.manager_for(scene), housekeeping_seconds=3_600)
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    session.start(book, RunSettings(), Settings())
    try:
        return build_screen(session, book, ViewOptions(Preferences(**preferences), NEW_YORK), now=OPEN)
    finally:
        session.stop()


def with_warnings(screen: ScreenModel, *each: tuple[QuoteWarning, ...]) -> ScreenModel:
    """The screen whose first positions have these warnings, and whose other lines have none."""
    quiet = replace(screen.attention, entries=(), morning_after=())
    return replace(
        screen,
        banners=(),
        attention=quiet,
        positions=warned(screen.positions, *each),
        legs=warned(screen.legs),
    )


def warned(table: RowTable, *each: tuple[QuoteWarning, ...]) -> RowTable:
    return table.assign(warnings=[*each, *[()] * (len(table) - len(each))])


def test_a_contract_that_is_pinned_today_says_by_when_and_both_sides():
    item, *others = attention(screen_of(with_account()))

    assert not any(other.counts for other in others)
    assert (item.kind, item.level, item.subject) == (AttentionKind.PIN, Level.ERROR, "SPY")
    assert item.what == (
        "SPY 20 Nov 26 681 C is pinned: out of the money by 0.89, and may end on either side. Above 681: "
        "+200 SPY for $136,200; below: nothing"
    )
    assert f"{item.by:%H:%M}" == "15:00"
    # A minute after the account was read, at 10:33:04.
    assert item.left_seconds == 4 * 3600 + 26 * 60 + 56


def test_amounts_are_replaced_where_they_are_hidden():
    item, *_ = attention(screen_of(with_account(), hide_amounts=True))

    assert item.what.endswith("may end on either side. Above 681: •••••")
    assert "136" not in f"{item.what} {item.remedy}"


@pytest.mark.parametrize("hide_amounts", [False, True])
def test_a_remedy_names_how_much_is_held_only_where_amounts_are_shown(*, hide_amounts: bool):
    screen = screen_of(with_account(), hide_amounts=hide_amounts)
    entry = Entry(
        AttentionKind.UNDEFINED_RISK,
        Level.ERROR,
        "NVDA",
        (),
        "A call is sold without cover.",
        remedy="Close 2 contracts of NVDA 18 Dec 26 190 C.",
        remedy_without_amounts="Close what is uncovered.",
    )

    item = attention(replace(screen, attention=replace(screen.attention, entries=(entry,))))[0]

    assert item.remedy == ("Close what is uncovered." if hide_amounts else entry.remedy)


def test_what_ends_is_not_told_twice_of_the_same_contract():
    """That it expires today is in the graver entry, with the same instants."""
    screen = screen_of(with_account())

    assert [one.kind for one in screen.attention.entries][:2] == [AttentionKind.PIN, AttentionKind.EXPIRING]
    assert AttentionKind.EXPIRING not in {item.kind for item in attention(screen)}


def test_many_things_of_one_kind_that_are_only_to_be_known_are_one_item():
    screen = screen_of(with_account())
    known = [
        Entry(AttentionKind.EARNINGS, Level.INFO, name, (f"{name}261218C00100000",), f"{name} reports.")
        for name in ("AAPL", "MSFT", "NVDA")
    ]
    (item,) = attention(
        replace(with_warnings(screen), attention=replace(screen.attention, entries=tuple(known)))
    )

    assert (item.subject, item.what) == ("3 things", "Expiries that span earnings: AAPL, MSFT, NVDA")


def test_an_end_without_an_explanation_is_grave_and_an_awaited_one_is_no_item():
    screen = screen_of(with_account())
    ended = [
        EndedContract("SPY261119C00681000", "SPY 19 Nov 26 681 C", state, "It is gone.", OPEN, 1.0)
        for state in (EndedState.UNEXPLAINED, EndedState.AWAITED)
    ]
    quiet = with_warnings(screen)
    (item,) = attention(replace(quiet, attention=replace(quiet.attention, morning_after=tuple(ended))))

    assert (item.level, item.subject, item.what) == (Level.ERROR, "SPY 19 Nov 26 681 C", "It is gone")


def test_the_worst_comes_first_and_a_row_with_several_warnings_is_one_item():
    screen = with_warnings(
        screen_of(with_account()),
        (QuoteWarning.WIDE_SPREAD, QuoteWarning.LOCKED_MARKET),
        (QuoteWarning.CROSSED_MARKET, QuoteWarning.NO_COST_BASIS),
    )
    first, second = attention(screen)

    assert (first.subject, first.level) == ("AAPL 15 Jan 27 275 C", Level.ERROR)
    assert first.remedy.endswith("Also: no cost basis.")
    assert second.level is Level.WARNING


def test_what_many_lines_have_in_common_is_one_item_that_names_them():
    screen = with_warnings(screen_of(with_account()), *[(QuoteWarning.STALE_QUOTE,)] * 4)
    (item,) = attention(screen)

    assert item.subject == "4 lines"
    assert item.what.startswith("Stale quote: SPY 20 Nov 26 681 C, AAPL 15 Jan 27 275 C")


@pytest.mark.parametrize("count", [1, 4])
def test_an_adjusted_contract_with_its_multiplier_is_to_be_known_and_wants_nothing(count: int):
    screen = with_warnings(screen_of(with_account()), *[(QuoteWarning.ADJUSTED_CONTRACT,)] * count)
    nameless = replace(screen, positions=screen.positions.assign(multiplier=[None] * len(screen.positions)))
    (known,), (unknown,) = attention(screen), attention(nameless)

    assert (known.level, known.counts) == (Level.INFO, False)
    assert known.remedy.startswith("Its multiplier is known")
    assert (unknown.level, unknown.remedy) == (Level.WARNING, "Name its multiplier in the portfolio file.")


def test_what_else_is_said_of_an_adjusted_contract_with_its_multiplier_comes_first():
    (item,) = attention(
        with_warnings(screen_of(with_account()), (QuoteWarning.ADJUSTED_CONTRACT, QuoteWarning.LOCKED_MARKET))
    )

    assert (item.level, item.what) == (Level.WARNING, "Bid equal to ask")
    assert item.remedy == "Also: adjusted contract."


def test_what_the_account_did_is_told_once_and_not_again_of_its_line():
    bought = execution(AAPL_CALL, 1, "9.15", at=OPEN)
    items = attention(screen_of(with_account(bought)))

    assert [item.subject for item in items].count("Account") == 1
    assert not [item for item in items if item.subject == "AAPL 15 Jan 27 275 C"]


def test_a_wide_spread_says_what_closing_costs_unless_amounts_are_hidden():
    open_one, hidden = (
        attention(with_warnings(screen_of(with_account(), hide_amounts=hide), (QuoteWarning.WIDE_SPREAD,)))[0]
        for hide in (False, True)
    )
    assert "closing now costs $4 against it" in open_one.remedy
    assert "$" not in hidden.remedy
    assert "•••••" in hidden.remedy


def test_before_start_no_price_is_missed():
    session = LiveSession()
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    screen = build_screen(session, book, ViewOptions(Preferences(), NEW_YORK), now=OPEN)

    assert {item.kind for item in attention(screen) if item.counts} == {AttentionKind.EXPIRING}
    assert all("$" not in item.what for item in attention(screen))


def test_a_leg_without_a_price_is_an_item_and_its_structure_no_second_one():
    screen = with_warnings(screen_of(with_account()))
    legs = warned(screen.legs, (QuoteWarning.MISSING_QUOTE,))
    structures = warned(screen.structures, (QuoteWarning.MISSING_LEGS, QuoteWarning.MISSING_QUOTE))
    (item,) = attention(replace(screen, legs=legs, structures=structures))

    assert (item.subject, item.what) == ("AAPL 18 Dec 26 270 C", "No quote yet")


@pytest.mark.parametrize("warning", QuoteWarning)
def test_every_warning_is_either_said_in_words_or_told_of_the_book_as_a_whole(warning: QuoteWarning):
    screen = with_warnings(screen_of(with_account()), (warning,))
    items = [item for item in attention(screen) if item.subject != "P&L today"]

    assert bool(items) == (warning in _SAY)
    assert all(item.what for item in items)


def test_the_tile_counts_what_needs_a_hand_and_names_the_worst():
    grave = Item(Level.ERROR, "SPY 681 C", "Expires today")
    light = Item(Level.WARNING, "BRK-B 510 C", "Spread 7 % of mid")
    known = Item(Level.INFO, "Streams", "Something to know")

    assert (hand_tile([grave, light, known]).figure, hand_tile([grave]).tone) == ("2 items", "error")
    assert hand_tile([grave, light]).caveat == "SPY 681 C: Expires today"
    assert (hand_tile([light]).figure, hand_tile([light]).tone) == ("1 item", "warning")
    assert (hand_tile([known]).figure, hand_tile([]).figure) == ("nothing", "nothing")


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ((Level.ERROR, Level.WARNING, Level.INFO, Level.INFO), "2, worst first · 2 to know"),
        ((Level.ERROR, Level.INFO), "1 · 1 to know"),
        ((Level.WARNING, Level.WARNING), "2, worst first"),
        ((Level.INFO, Level.INFO), "2 to know"),
        ((Level.ERROR,), ""),
        ((), ""),
    ],
)
def test_the_heading_counts_every_entry_of_the_list_of_which_it_says_how_many_lie_below(
    levels: tuple[Level, ...], said: str
):
    items = [Item(level, "SPY", "is so") for level in levels]

    head = attention_html(screen_of(with_account()), items).partition("<ul")[0]

    assert head.endswith(f'<b>Attention</b><span class="oh-quiet">{said}</span></div>')


def test_the_strip_has_each_day_once_and_counts_a_contract_of_several_positions_once():
    first, second, *_ = expiries(screen_of(with_account()))

    assert (first[0], first[2]) == (0, "SPY 20 Nov 26 681 C")
    assert (second[0], second[2]) == (28, "9 lines")


@pytest.mark.parametrize(
    ("scene", "level"),
    [(scenes.failed, Level.ERROR), (scenes.stalled, Level.WARNING), (scenes.reconnecting, Level.WARNING)],
)
def test_a_stream_that_hears_nothing_is_an_item(scene: Callable[[], LiveSnapshot], level: Level):
    deaf = [item for item in attention(screen_of(scene)) if item.kind is AttentionKind.DEAF]

    assert deaf
    assert {item.level for item in deaf} == {level}


def test_warnings_of_the_tables_and_banners_have_their_kind_too():
    bought = execution(AAPL_CALL, 1, "9.15", at=OPEN)
    of_account = [item for item in attention(screen_of(with_account(bought))) if item.subject == "Account"]
    wide = attention(with_warnings(screen_of(with_account()), (QuoteWarning.WIDE_SPREAD,)))

    assert {item.kind for item in of_account} == {AttentionKind.FILE_ACCOUNT}
    assert AttentionKind.WIDE in {item.kind for item in wide}
