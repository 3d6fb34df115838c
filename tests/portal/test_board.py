"""The table as values: what is a row of it, what adds up, what is sent, and how a viewer wants it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from math import fsum
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
import pytest

from apps.streamlit.components.board_cells import sparks
from apps.streamlit.components.board_columns import (
    headings,
    leaving_widths,
    shown_columns,
    usual_headings,
)
from apps.streamlit.components.board_message import (
    CELL_PADDING_PIXELS,
    FULL_AT_FIRST,
    FULL_EVERY,
    Board,
    Sent,
    Sorting,
    Wishes,
    build_board,
    column_pixels,
    next_message,
    opened_rows,
    ranking,
    read_sorting,
    seen_rows,
    text_pixels,
)
from apps.streamlit.components.board_rows import Grouping, Row, RowKind, Tables, build_rows
from apps.streamlit.components.board_table import told_against
from apps.streamlit.components.live_csv import tables_as_csv
from apps.streamlit.components.live_totals import day_sentences
from apps.streamlit.components.live_what_changed import line_of_row
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.screen import Preferences, ScreenModel, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.model.account import PreviousClose
from options_helper.model.portfolio import load_portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.kit import builders
from tests.portal import scenes
from tests.portal.conftest import board as board_of
from tests.portal.conftest import number
from tests.portal.scenes import OPEN, SAMPLE, THURSDAY, execution, known_account, with_account

NEW_YORK = ZoneInfo("America/New_York")
USUAL = Wishes(Grouping.UNDERLYING, usual_headings())
# What a window of 1440 leaves the table: two margins of 16, and two borders.
LAPTOP_PIXELS = 1440 - 34
CONDOR = "640/655/705/720 iron condor · 18 Dec 26"


def screen_of(
    scene: Callable[[], LiveSnapshot], path: Path = SAMPLE, now: Any = OPEN, **preferences: Any
) -> ScreenModel:
    session = LiveSession(build_manager=scenes.manager_for(scene), housekeeping_seconds=3_600)
    book = open_portfolio_file(path.name, [path.parent])
    assert book.portfolio is not None, book.problem
    session.start(book, RunSettings(), Settings())
    try:
        return build_screen(session, book, ViewOptions(Preferences(**preferences), NEW_YORK), now=now)
    finally:
        session.stop()


def file_of(folder: Path, *positions: dict[str, Any]) -> Path:
    path = folder / "book.json"
    path.write_text(json.dumps({"positions": list(positions)}), encoding="utf-8")
    return path


def said(board: Board) -> dict[str, dict[str, str]]:
    """What each row says, by the names of rows and columns."""
    names = [column["heading"] for column in board.columns[1:]]
    return {
        row["name"]: {
            heading: wire if isinstance(wire, str) else wire[0]
            for heading, wire in zip(names, board.cells[row["key"]], strict=True)
        }
        for row in board.rows
    }


def names(board: Board, level: int | None = None) -> list[str]:
    return [row["name"] for row in board.rows if level in (None, row["level"])]


def test_rows_are_underlyings_what_is_held_on_each_and_the_legs_of_that():
    board = build_board(screen_of(with_account()), USUAL)

    assert names(board, 1) == ["AAPL", "BRK-B", "MSFT", "NVDA", "SPY", "Book · 15 legs"]
    assert names(board, 2)[-2:] == ["681 C · 20 Nov 26", CONDOR]
    assert names(board, 3)[-4:] == [f"{leg} · 18 Dec 26" for leg in ("640 P", "655 P", "705 C", "720 C")]
    parents = {row["name"]: row["parent"] for row in board.rows}
    assert (parents[CONDOR], parents["720 C · 18 Dec 26"]) == ("g:SPY", "s:spy-iron-condor")


def test_what_is_grouped_by_underlying_is_what_the_risk_puts_together(tmp_path: Path):
    """Weeklies and adjusted contracts are in the row of what they are written on, and say their root."""
    call = {"option_type": "call", "contracts": -1, "cost_basis": 2.0, "expiry": "2026-12-18"}
    path = file_of(
        tmp_path,
        {"id": "weekly", "symbol": "SPXW", "strike": 6800, **call},
        {"id": "monthly", "symbol": "SPX", "strike": 6900, **call},
        {"id": "class", "symbol": "BRK-B", "shares": 10, "cost_basis": 400.0},
        {"id": "adjusted", "symbol": "MSFT1", "strike": 530, "multiplier": 100, **call},
        {"id": "shares", "symbol": "MSFT", "shares": 100, "cost_basis": 400.0},
    )
    screen = screen_of(with_account(), path)
    board = build_board(screen, USUAL)
    groups = [row["key"].removeprefix("g:") for row in board.rows if row["level"] == 1][:-1]

    assert groups == sorted(one.symbol for one in screen.risk.underlyings) == ["BRK.B", "MSFT", "SPX"]
    assert names(board, 1)[:-1] == ["BRK-B", "MSFT", "SPX"]
    held = [row["name"] for row in board.rows if row["parent"] in ("g:MSFT", "g:SPX")]
    assert held == [
        "MSFT1 530 C · 18 Dec 26",
        "shares",
        "SPXW 6800 C · 18 Dec 26",
        "6900 C · 18 Dec 26",
    ]
    assert {line_of_row(f"g:{name}", screen.risk) for name in groups} == {f"u:{name}" for name in groups}
    by_expiry = build_board(screen, Wishes(Grouping.EXPIRY, usual_headings()))
    assert "SPX 6900 C · 18 Dec 26" in names(by_expiry, 2)
    assert "SPXW 6800 C · 18 Dec 26" in names(by_expiry, 2)


def test_shares_and_the_calls_sold_against_them_are_one_row_with_both_as_its_legs():
    rows = said(build_board(screen_of(with_account()), USUAL))
    covered = rows["Covered call · 100 sh + 530 C · 18 Dec 26"]

    assert (covered["Qty"], covered["DTE"]) == ("+1", "28 d")
    for column in ("Today $", "P&L $", "Natural $"):
        parts = number(rows["shares"][column]) + number(rows["530 C · 18 Dec 26"][column])
        assert number(covered[column]) == pytest.approx(parts, abs=1)


def held(screen: ScreenModel) -> tuple[Row, ...]:
    return tuple(
        row
        for row in build_rows(screen, Tables(screen), Grouping.UNDERLYING)
        if row.kind is not RowKind.CLOSED
    )


def test_rows_are_not_made_anew_while_prices_alone_move():
    fresh, stale = (held(screen_of(scene)) for scene in (with_account(), scenes.stale))

    assert [one is other for one, other in zip(fresh, stale, strict=True)] == [True] * 5


def test_rows_are_made_anew_when_what_they_are_made_of_is_another(tmp_path: Path):
    """Whatever was there before: shares that are others, amounts that are hidden, a call that has ended."""
    call = {"option_type": "call", "strike": 480, "cost_basis": 1, "expiry": "2026-11-20"}

    def names_of(shares: int, calls: int, days: int = 0, **preferences: Any) -> list[str]:
        book = file_of(
            tmp_path,
            {"id": "shares", "symbol": "MSFT", "shares": shares, "cost_basis": 400.0},
            {"id": "call", "symbol": "MSFT", "contracts": calls, **call},
        )

        def scene() -> LiveSnapshot:
            live = scenes.live()
            return replace(live, as_of=live.as_of + timedelta(days=days))

        (row,) = held(screen_of(scene, book, **preferences))
        return [child.name for child in row.children]

    covered = "480 C · 20 Nov 26"
    assert names_of(100, -1) == [f"Covered call · 100 sh + {covered}"]
    assert names_of(200, -2) == [f"Covered call · 200 sh + {covered}"]
    assert names_of(200, -2, hide_amounts=True) == [f"Covered call · shares + {covered}"]
    assert names_of(200, -2, days=1) == ["shares", covered], "it has ended"
    assert names_of(200, -2) == [f"Covered call · 200 sh + {covered}"]


def test_calls_beyond_the_shares_stay_rows_of_their_own(tmp_path: Path):
    call = {"symbol": "MSFT", "option_type": "call", "expiry": "2027-01-15", "contracts": -1, "cost_basis": 5}
    path = file_of(
        tmp_path,
        {"id": "shares", "symbol": "MSFT", "shares": 150, "cost_basis": 400},
        {"id": "first", "strike": 530, **call},
        {"id": "second", "strike": 540, **call},
    )
    book = load_portfolio(path)
    rows = names(build_board(screen_of(lambda: scenes.live(book), path), USUAL))

    assert "Shares and covered call · 150 sh + 530 C · 15 Jan 27" in rows
    assert "540 C · 15 Jan 27" in rows


def test_every_column_of_dollars_adds_up_to_its_last_row_which_is_the_tile(tmp_path: Path):
    sold_out = "AAPL261218C00300000"
    morning = OPEN - timedelta(minutes=50)
    scene = with_account(
        execution(sold_out, 2, "1.00", at=morning), execution(sold_out, -2, "1.10", at=morning)
    )
    screen = screen_of(scene)
    board = build_board(screen, USUAL)
    rows = said(board)
    top = [row["name"] for row in board.rows if row["level"] == 1 and row["kind"] != "book"]

    assert top[-1] == "Closed today · AAPL 18 Dec 26 300 C"
    for column, total in (
        ("Today $", screen.totals.day),
        ("P&L $", screen.totals.pnl),
        ("Natural $", screen.totals.pnl_natural),
    ):
        parts = fsum(number(rows[name][column]) for name in top if rows[name][column])
        assert number(rows["Book · 15 legs"][column]) == pytest.approx(total.known, abs=0.5)
        assert parts == pytest.approx(total.known, abs=len(top))


def test_a_sum_that_lacks_a_part_says_how_many_it_has_and_is_no_gain():
    board = build_board(screen_of(scenes.partial), USUAL)
    column = [one["heading"] for one in board.columns].index("P&L $") - 1

    wire = board.cells["book"][column]
    assert isinstance(wire, list)
    text, tone, title = wire
    assert text.endswith(" · 9 of 10")
    assert (tone, title) == ("warning", "PARTIAL: 9 of 10 known")


def test_an_underlying_has_its_price_and_its_own_change_today_where_the_close_is_known():
    account = known_account()
    closes = {**account.closes, "SPY": PreviousClose("SPY", account.closes["MSFT"].price, THURSDAY)}
    rows = said(build_board(screen_of(lambda: scenes.live(account=replace(account, closes=closes))), USUAL))

    assert (rows["SPY"]["Mark"], rows["SPY"]["Bid × ask"]) == ("680.11", "+180.11 · +36.02 %")
    assert rows["AAPL"]["Bid × ask"] == "", "nobody told its close"


@pytest.mark.parametrize(
    ("grouping", "first"),
    [
        (Grouping.EXPIRY, "20 Nov 26"),
        (Grouping.STRUCTURE, "Covered call"),
        (Grouping.NONE, "AAPL 275 C · 15 Jan 27"),
    ],
)
def test_whatever_rows_are_grouped_by_the_last_one_is_the_same(grouping: Grouping, first: str):
    screen = screen_of(with_account())
    board = build_board(screen, replace(USUAL, grouping=grouping))

    assert board.rows[0]["name"] == first
    assert said(board)["Book · 15 legs"] == said(build_board(screen, USUAL))["Book · 15 legs"]


def test_a_mark_says_its_source_and_age_unless_it_is_a_fresh_streamed_mid():
    screen = screen_of(with_account())
    marked = screen.positions.assign(
        **{
            name: [value] * len(screen.positions)
            for name, value in (("mark", 7.375), ("mark_source", "trade"), ("mark_age_seconds", 41.0))
        }
    )
    wishes = Wishes(Grouping.NONE, ("Mark",))

    assert said(build_board(screen, wishes))["SPY 681 C · 20 Nov 26"]["Mark"] == "6.38"
    board = build_board(replace(screen, positions=marked), wishes)
    assert board.cells["p:spy-call-today"] == (["7.375 last · 41 s", "warning", "trade · 41 s"],)


def test_a_structure_has_the_price_of_one_unit_as_a_debit_or_a_credit():
    rows = said(build_board(screen_of(with_account()), USUAL))

    assert rows["270/280 C vertical · 18 Dec 26"]["Mark"] == "0.20 db"
    assert rows["175/185 P vertical · 15 Jan 27"]["Mark"].endswith(" cr")


def coins_of_today() -> LiveSnapshot:
    quotes = [
        builders.quote("SHIB/USD", 0.0000124, 0.0000126, age=1.0, as_of=OPEN),
        builders.quote("DOGE/USD", 0.1533, 0.1535, age=1.0, as_of=OPEN),
        builders.quote("BTC/USD", 88_000.0, 88_001.0, age=1.0, as_of=OPEN),
    ]
    return builders.snapshot_with(*quotes, as_of=OPEN)


@pytest.mark.parametrize(
    ("others", "said_of_today"),
    [
        ((), ["Coins: against their price at midnight in New York."]),
        (
            ({"id": "spy", "symbol": "SPY", "shares": 1, "cost_basis": 1},),
            [
                "Today: against the close of 19 Nov 26.",
                "Coins: against their price at midnight in New York.",
                "A dividend that goes ex today counts as a loss.",
            ],
        ),
    ],
    ids=["coins alone", "a share beside them"],
)
def test_no_close_of_a_session_is_named_of_a_day_of_coins(
    tmp_path: Path, others: Sequence[dict[str, Any]], said_of_today: list[str]
):
    coin = {"id": "btc", "symbol": "BTC/USD", "shares": 0.04, "cost_basis": 1}
    path = file_of(tmp_path, coin, *others)
    account = known_account(load_portfolio(path))
    share = builders.quote("SPY", 500.0, 500.1, age=1.0, as_of=OPEN)
    btc = builders.quote("BTC/USD", 88_000.0, 88_001.0, age=1.0, as_of=OPEN)
    screen = screen_of(lambda: replace(builders.snapshot_with(btc, share, as_of=OPEN), account=account), path)

    assert list(day_sentences(screen)) == said_of_today


def test_a_cheap_coin_has_a_price_and_a_little_of_a_dear_one_a_delta(tmp_path: Path):
    """50 million SHIB at 0.0000125 stood there at 0.00, and 0.04 BTC of $3,520 with a delta of 0.0."""
    held = {"SHIB/USD": 50_000_000, "DOGE/USD": 10_000, "BTC/USD": 0.04}
    entries = ({"id": name, "symbol": name, "shares": count, "cost_basis": 1} for name, count in held.items())
    screen = screen_of(coins_of_today, file_of(tmp_path, *entries))

    rows = said(build_board(screen, Wishes(Grouping.NONE, ("Mark", "Bid × ask", "Delta"))))
    exported = {line["id"]: line for line in csv.DictReader(tables_as_csv(screen).splitlines())}

    assert {name.split()[0]: tuple(row.values()) for name, row in rows.items() if "/USD" in name} == {
        "SHIB/USD": ("0.0000125", "0.0000124 × 0.0000126", "+50,000,000"),
        "DOGE/USD": ("0.1534", "0.1533 × 0.1535", "+10,000"),
        "BTC/USD": ("88,000.50", "88,000.00 × 88,001.00", "+0.04"),
    }
    assert [float(exported["SHIB/USD"][name]) for name in ("bid", "mark", "ask")] == [
        0.0000124,
        0.0000125,
        0.0000126,
    ]


def test_a_trend_is_a_course_of_signs():
    assert sparks([1.0, 3.0, 2.0]) == "▁█▅"
    assert len(set(sparks([5.0, 5.0]))) == 1


def test_hidden_amounts_are_in_no_cell_no_name_and_no_tooltip():
    """Nothing hidden leaves the server; per-share prices and percentages stay."""
    board = build_board(screen_of(with_account(), hide_amounts=True), replace(USUAL, headings=headings()))
    sent = json.dumps([board.columns, board.rows, board.cells])

    for heading in ("Qty", "Today $", "P&L $", "Natural $", "Cost $", "Net debit $", "Value $"):
        assert heading not in {column["heading"] for column in board.columns}
    assert "100 sh" not in sent
    assert said(board)["275 C · 15 Jan 27"]["P&L %"]


def after_the_first(board: Board) -> tuple[dict[str, Any], Sent]:
    """The last of the full messages that a page begins with, while the browser fetches the script."""
    message, sent = next_message(None, board, in_full=False)
    while sent.key < FULL_AT_FIRST:
        message, sent = next_message(sent, board, in_full=False)
    return message, sent


def test_viewers_who_began_together_are_told_the_same_bytes_which_are_worked_out_once():
    first = build_board(screen_of(scenes.live), USUAL)
    screen = screen_of(partial(scenes.live, step=1))
    later = build_board(screen, USUAL)
    _, sent = after_the_first(first)
    by_itself, _ = next_message(sent, later, in_full=False)
    message, _ = next_message(sent, later, in_full=False, compare=partial(told_against, screen))

    assert by_itself["changed"], "something moved"
    assert msgspec.json.encode(message) == msgspec.json.encode(by_itself)
    assert told_against(screen, first, later) is told_against(screen, first, later)
    assert told_against(screen, replace(first), later) is not told_against(screen, first, later), (
        "another board"
    )
    assert told_against(screen, first, replace(later, rows=later.rows[1:])) is None, "laid out otherwise"


def test_a_short_message_has_the_cells_that_differ_from_the_last_full_one():
    first, second, third = (
        build_board(screen_of(partial(scenes.live, step=step)), USUAL) for step in (0, 1, 2)
    )
    message, sent = after_the_first(first)
    assert message["full"]["cells"] == first.cells

    for later in (second, third):
        message, sent = next_message(sent, later, in_full=False)
        rebuilt = {
            key: tuple(
                message["changed"].get(key, {}).get(str(place), wire) for place, wire in enumerate(row)
            )
            for key, row in first.cells.items()
        }
        assert message["key"] == FULL_AT_FIRST
        assert rebuilt == later.cells, "whatever became of the message between"


def large_board(price: str) -> Board:
    """A hundred closed groups with a structure each, which has a leg, and the last row."""
    rows: list[dict[str, Any]] = []
    for place in range(100):
        for key, parent, is_open in (
            (f"g:{place}", "", False),
            (f"s:{place}", f"g:{place}", False),
            (f"l:{place},1", f"s:{place}", False),
        ):
            opens = not key.startswith("l:")
            rows.append({"key": key, "parent": parent, "opens": opens, "open": is_open})
    rows.append({"key": "book", "parent": "", "opens": False, "open": False})
    return Board((), tuple(rows), {row["key"]: (row["key"], price) for row in rows})


def seen_of(board: Board, *opened: str) -> Board:
    """What is drawn of it where these rows are opened."""
    seen = seen_rows(board.rows, viewed(*opened)["rows"])
    return replace(board, cells={key: wires for key, wires in board.cells.items() if key in seen})


def viewed(*opened: str, find: str = "") -> dict[str, str]:
    return {"rows": ",".join(map(quote, opened)), "find": find}


def test_of_a_large_book_those_rows_are_seen_whose_parents_are_open():
    rows = large_board("1.00").rows
    closed = frozenset({"book", *(f"g:{place}" for place in range(100))})

    def seen(*opened: str) -> frozenset[str]:
        return seen_rows(rows, opened_rows(len(rows), viewed(*opened)) or "")

    assert seen() == closed
    assert seen("g:7") == closed | {"s:7"}
    assert seen("g:7", "s:7") == closed | {"s:7", "l:7,1"}
    assert seen("s:7") == closed, "its group is closed"
    assert opened_rows(len(rows), viewed(find="spy")) is None, "a filter opens groups"
    assert opened_rows(100, viewed()) is None, "a small book"


def test_of_a_large_book_what_is_not_seen_is_not_drawn(tmp_path: Path):
    many = [
        {"id": f"n{place}", "symbol": "MSFT", "shares": 1, "cost_basis": 400.0 + place}
        for place in range(101)
    ]
    path = file_of(tmp_path, *many)
    screen = screen_of(lambda: scenes.live(load_portfolio(path)), path)

    closed, opened = (build_board(screen, USUAL, view=viewed(*rows)) for rows in ((), ("g:MSFT",)))
    assert list(closed.cells) == ["g:MSFT", "book"]
    assert opened.rows == closed.rows, "whose names a filter is to find"
    assert opened.cells == build_board(screen, USUAL).cells
    assert opened.cells["book"] is closed.cells["book"], "drawn for one viewer, and there for the others"


def test_a_column_that_needs_less_room_moves_nothing_and_one_that_needs_more_is_laid_out():
    def of_width(*widths: int) -> Board:
        columns = tuple(
            {"heading": str(place), "width": width, "leaves": 0} for place, width in enumerate(widths)
        )
        return Board(columns, (), {})

    _, sent = after_the_first(of_width(60, 60))
    message, sent = next_message(sent, of_width(50, 60), in_full=False)
    assert "full" not in message
    message, sent = next_message(sent, of_width(50, 61), in_full=False)
    assert [column["width"] for column in message["full"]["columns"]] == [50, 61]
    assert "full" in next_message(sent, of_width(50), in_full=False)[0], "another column"


def test_of_a_row_that_is_opened_all_cells_are_sent_and_of_one_that_is_closed_none():
    first, later = large_board("1.00"), large_board("1.05")
    message, sent = after_the_first(seen_of(first))
    assert len(message["full"]["rows"]) == len(first.rows), "whose names a filter is to find"

    message, sent = next_message(sent, seen_of(later, "g:7"), in_full=False)
    assert message["changed"]["s:7"] == {"0": "s:7", "1": "1.05"}
    assert message["changed"]["g:7"] == {"1": "1.05"}
    assert "s:8" not in message["changed"]

    message, sent = next_message(sent, seen_of(first, "g:7"), in_full=False)
    assert message["changed"]["s:7"] == {"0": "s:7", "1": "1.00"}, "whatever became of the message between"
    assert message["changed"]["g:7"] == {}, "seen, and as it was"


def test_what_is_around_the_table_is_sent_where_it_differs_from_the_last_full_message():
    board = build_board(screen_of(with_account()), USUAL)
    _, sent = after_the_first(board)
    message, sent = next_message(sent, board, in_full=True, around={"tiles": "one", "side": "same"})
    assert message["around"] == {"tiles": "one", "side": "same"}

    message, sent = next_message(sent, board, in_full=False, around={"tiles": "two", "side": "same"})
    assert message["around"] == {"tiles": "two"}
    message, sent = next_message(sent, board, in_full=False, around={"tiles": "one", "side": "same"})
    assert message["around"] == {}, "whatever became of the message between"


def test_a_full_message_comes_when_it_is_asked_for_when_rows_change_and_at_times():
    board = build_board(screen_of(with_account()), USUAL)
    other = build_board(screen_of(with_account()), replace(USUAL, grouping=Grouping.NONE))
    _, sent = after_the_first(board)

    assert "full" in next_message(sent, board, in_full=True)[0]
    assert next_message(sent, other, in_full=False)[0]["key"] == FULL_AT_FIRST + 1
    messages = []
    for _ in range(FULL_EVERY + 1):
        message, sent = next_message(sent, board, in_full=False)
        messages.append("full" in message)
    assert messages == [False] * FULL_EVERY + [True]


@pytest.mark.parametrize("descending", [True, False])
def test_sorting_ranks_groups_by_their_sums_and_in_each_what_it_holds(*, descending: bool):
    board = build_board(screen_of(with_account()), replace(USUAL, sorting=Sorting("P&L $", descending)))
    rows = said(board)

    for level in (1, 2):
        of_parent: dict[str, list[float]] = {}
        for row in board.rows:
            if row["level"] == level and row["kind"] in ("group", "entry"):
                of_parent.setdefault(row["parent"], []).append(number(rows[row["name"]]["P&L $"]))
        for amounts in of_parent.values():
            assert amounts == sorted(amounts, reverse=descending)
    assert [row["name"] for row in board.rows if row["kind"] == "leg"][:1] != []


def test_an_order_that_is_kept_outlives_other_numbers():
    wishes = replace(USUAL, sorting=Sorting("P&L $", descending=True))
    first = build_board(screen_of(with_account()), wishes)
    screen = screen_of(with_account())
    turned = replace(screen, positions=screen.positions.assign(pnl_abs=-screen.positions["pnl_abs"]))

    assert names(build_board(turned, wishes, ranking(first))) == names(first)
    assert names(build_board(turned, wishes)) != names(first)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("P&L $ down", Sorting("P&L $", descending=True)),
        ("Position up", Sorting("Position", descending=False)),
        ("Nothing up", None),
        ("P&L $ sideways", None),
        ("", None),
    ],
)
def test_an_address_says_how_it_is_sorted_and_what_it_does_not_know_is_nothing(
    words: str, found: Sorting | None
):
    assert read_sorting(words, headings()) == found
    if found is not None:
        assert found.words == words


def test_columns_leave_in_the_order_in_which_they_can_be_missed():
    board = build_board(screen_of(with_account()), USUAL)
    leaves = {column["heading"]: column["leaves"] for column in board.columns}

    order = ("Natural $", "Spread", "Bid × ask", "P&L %", "DTE", "Qty", "Warnings")
    assert [leaves[name] for name in order] == sorted((leaves[name] for name in order), reverse=True)
    assert leaves["DTE"] == leaves["Mark"]
    assert leaves["Today $"] == leaves["P&L $"] == leaves["Position"] == 0


def test_natural_stays_on_a_laptop_where_each_sum_says_what_speaks_against_it():
    """What an open day looks like after a fill, an expiry among it: all that is said at once fits 1440 pixels."""
    longest = {
        "Qty": "+100",
        "Mark": "480.47 db",
        "Bid × ask": "+12.94 · +2.74 %",
        "Spread": "200.0 %",
        "Today $": "≈ +1,417 · 9 of 10",
        "P&L $": "≈ −1,600",
        "P&L %": "−16.8 %",
        "Natural $": "≈ −2,131",
        "Delta": "≈ +212",
        "Theta": "≈ −67 · −89 left",
        "IV": "22.0 ±0.3",
        "DTE": "56 d",
        "% max": "−16.8 %",
    }
    shown = shown_columns(usual_headings(), hide_amounts=False)
    widths = [column_pixels(one, [longest.get(one.heading, "")]) for one in shown]
    leaves = dict(zip([one.heading for one in shown], leaving_widths(shown, widths), strict=True))

    assert leaves["Natural $"] <= LAPTOP_PIXELS
    theta = dict(zip([one.heading for one in shown], widths, strict=True))["Theta"]
    in_the_last_row = text_pixels("≈ −46 · 12 of 14") + CELL_PADDING_PIXELS
    assert leaves["Natural $"] - theta + in_the_last_row <= LAPTOP_PIXELS


def test_a_book_of_many_lines_begins_with_its_groups_closed(tmp_path: Path):
    many = [
        {"id": f"n{place}", "symbol": "MSFT", "shares": 1, "cost_basis": 400.0 + place}
        for place in range(101)
    ]
    path = file_of(tmp_path, *many)
    board = build_board(screen_of(lambda: scenes.live(load_portfolio(path)), path), USUAL)

    assert [row["open"] for row in board.rows if row["kind"] == "group"] == [False]


def test_the_choices_of_the_sidebar_are_those_of_the_table(portal):
    tab = portal.show(scenes.live)
    tab.multiselect(key="columns").set_value(["P&L $", "Cost $"]).run()
    tab.segmented_control(key="group").set_value("none").run()

    shown = board_of(tab)
    assert list(shown.columns) == ["P&L $", "Cost $"]
    assert shown.index[0] == "AAPL 275 C · 15 Jan 27"


def test_what_a_file_calls_a_position_is_text_in_the_table(portal):
    path = portal.folder / "portfolio.json"
    hostile = {"id": "<img src=x>,&", "symbol": "AAPL", "shares": 1, "cost_basis": 4.0}
    path.write_text(json.dumps({"positions": [hostile]}))
    sent = portal.open().get("bidi_component")
    (table,) = [one for one in sent if one.proto.component_name == "options-helper.board"]

    assert json.loads(table.proto.bytes)["full"]["rows"][1]["key"] == "p:<img src=x>,&"
    assert "innerHTML" not in (Path(__file__).parents[2] / "options_helper/live/assets/board.js").read_text()


def test_after_each_full_run_a_number_names_another_message_than_before(portal):
    tab = portal.show(scenes.live)

    def number() -> str:
        sent = [json.loads(one.proto.bytes) for one in tab.get("bidi_component") if one.proto.bytes]
        (of_table,) = [one["key"] for one in sent if "full" in one]
        return str(of_table)

    before = number()
    tab.run()

    assert number() != before, "a browser that missed the new one would fill new cells into old rows"
