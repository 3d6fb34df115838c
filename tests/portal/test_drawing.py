"""The parts that are drawn from values alone: the chart, the file to take away, and colours anybody can tell apart."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from apps.streamlit.components.board_columns import headings
from apps.streamlit.components.board_message import Wishes, build_board
from apps.streamlit.components.board_rows import Grouping
from apps.streamlit.components.formatting import money
from apps.streamlit.components.live_chart import chart_rows, chart_spec, summary
from apps.streamlit.components.live_csv import csv_name, tables_as_csv
from apps.streamlit.components.live_totals import liquidation_tile, profit_tiles
from apps.streamlit.components.style import DARK, LIGHT, WORD_JOINER, line, tag
from options_helper.analysis.columns import amount_names
from options_helper.analysis.marks import QuoteWarning
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.pnl_history import PnlPoint
from options_helper.live.screen import Preferences, ViewOptions, build_screen
from options_helper.live.session import LiveSession, RunSettings
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.scenes import OPEN, SAMPLE, manager_for

NEW_YORK = ZoneInfo("America/New_York")


def point(
    second: int, *, segment: int = 0, natural: float | None = 90.0, counted: int = 10, book: int = 0
) -> PnlPoint:
    return PnlPoint(OPEN + timedelta(seconds=second), 100.0, natural, counted, 10, segment, book)


def test_the_chart_draws_a_band_and_a_line_that_break_at_a_gap():
    band, line, *_ = chart_spec("America/New_York", DARK, hide_amounts=False)["layer"]

    assert (band["mark"]["type"], line["mark"]["type"]) == ("area", "line")
    assert band["encoding"]["detail"]["field"] == line["encoding"]["detail"]["field"] == "segment"
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("natural", "pnl")


def test_the_chart_tells_the_viewers_time_and_names_the_zone():
    rows = chart_rows((point(0), point(2)), NEW_YORK)
    spec = chart_spec("America/New_York", DARK, hide_amounts=False)

    assert [str(moment) for moment in rows["at"].to_pylist()] == [
        "2026-11-20 10:32:04",
        "2026-11-20 10:32:06",
    ]
    assert spec["title"]["text"].endswith(" · America/New_York")


def test_a_sum_of_some_positions_is_drawn_otherwise_than_the_book_s_and_the_title_says_so():
    rows = chart_rows((point(0, counted=9), point(2, counted=10, segment=1)), NEW_YORK)
    spec = chart_spec("America/New_York", DARK, hide_amounts=False, partial=True)
    partial, full = rows["sum"].to_pylist()

    line = spec["layer"][1]["encoding"]
    for channel in ("color", "strokeDash"):
        scale = line[channel]["scale"]
        drawn = dict(zip(scale["domain"], map(str, scale["range"]), strict=True))
        assert drawn[partial] != drawn[full]
    assert "dashed: PARTIAL" in spec["title"]["subtitle"][0]


def test_a_sum_that_was_partial_stays_dashed_when_the_file_changes():
    rows = chart_rows((point(0, counted=9), point(2, segment=1), point(4, segment=2, book=1)), NEW_YORK)
    spec = chart_spec("America/New_York", DARK, hide_amounts=False, partial=True, changed=True)
    partial, full, present = rows["sum"].to_pylist()

    line = spec["layer"][1]["encoding"]
    colours, dashes = (
        dict(zip(line[channel]["scale"]["domain"], line[channel]["scale"]["range"], strict=True))
        for channel in ("color", "strokeDash")
    )
    assert colours[partial] == colours[full] == DARK.quiet != colours[present]
    assert dashes[partial] != dashes[full] == dashes[present] == [1, 0]


@pytest.mark.parametrize("banded", [True, False])
def test_the_title_speaks_of_a_band_where_one_is_drawn(*, banded: bool):
    title = chart_spec("UTC", DARK, hide_amounts=False, banded=banded)["title"]["text"]

    assert title.startswith("P&L over the session: line at mark")
    assert ("band to natural" in title) == banded


def test_a_natural_that_is_not_known_is_no_zero_in_the_chart():
    rows = chart_rows((point(0, natural=None), point(2)), NEW_YORK)

    assert rows["natural"].to_pylist() == [None, 90.0]


def worth(second: int, pnl: float, natural: float | None = None, **facts) -> PnlPoint:
    return replace(point(second, natural=natural, **facts), pnl=pnl)


def test_hidden_amounts_are_neither_on_the_axis_nor_under_the_pointer():
    """Streamlit gives a tooltip to every mark that does not refuse one, and Vega a label with its figures."""
    for changed in (False, True):
        layers = chart_spec("America/New_York", DARK, hide_amounts=True, changed=changed)["layer"]

        assert all(layer["mark"]["tooltip"] is None for layer in layers)
        assert all(layer["mark"]["aria"] is False for layer in layers)
        assert all(layer["encoding"].get("tooltip", {"value": None}) == {"value": None} for layer in layers)
        assert layers[0]["encoding"]["y"]["axis"]["labels"] is False


def test_hidden_amounts_do_not_leave_the_server_as_the_chart_s_rows():
    rows = chart_rows((worth(0, 1_986.5, 1_824.0), worth(2, -500.0)), NEW_YORK, hide_amounts=True)

    assert rows["pnl"].to_pylist() == [1.0, -0.2517]
    assert rows["natural"].to_pylist() == [0.9182, None]
    nothing = chart_rows((worth(0, 0.0), worth(2, 0.0)), NEW_YORK, hide_amounts=True)
    assert nothing["pnl"].to_pylist() == [0.0, 0.0]


def test_an_error_of_typing_that_was_mended_does_not_flatten_the_chart_and_each_change_is_marked():
    """235 for 2.35: its spike is another portfolio's."""
    points = (
        worth(0, 100.0),
        worth(2, 110.0),
        worth(4, -23_150.0, segment=1, book=1),
        worth(6, 120.0, segment=2, book=2),
        worth(8, 125.0, segment=2, book=2),
    )
    rows = chart_rows(points, NEW_YORK)

    assert rows["pnl"].to_pylist() == [100.0, 110.0, None, 120.0, 125.0]
    assert rows["change"].to_pylist() == [False, False, True, True, False]
    assert rows["sum"].to_pylist() == ["before the portfolio changed"] * 3 + ["whole book"] * 2
    assert len(chart_spec("UTC", DARK, hide_amounts=False, changed=True)["layer"]) == 4


def test_the_only_point_of_a_stretch_is_seen_as_a_dot():
    rows = chart_rows((point(0), point(2), point(9, segment=1)), NEW_YORK)

    assert rows["dot"].to_pylist() == [0.0, 0.0, 1.0]


@pytest.fixture
def screen_for():
    session = LiveSession(build_manager=manager_for(scenes.partial), housekeeping_seconds=3_600)
    book = open_portfolio_file(SAMPLE.name, [SAMPLE.parent])
    session.start(book, RunSettings(), Settings())
    yield lambda **preferences: build_screen(
        session, book, ViewOptions(Preferences(**preferences), NEW_YORK), now=scenes.OPEN
    )
    session.stop()


def test_the_csv_has_every_row_of_every_table_and_no_zero_for_what_is_missing(screen_for):
    table = pd.read_csv(io.StringIO(tables_as_csv(screen_for())))

    assert table["section"].value_counts().to_dict() == {"leg": 8, "position": 7, "structure": 3}
    unpriced = table.iloc[0]
    assert (unpriced["id"], unpriced["warnings"]) == ("spy-call-today", "expires today, missing quote")
    assert unpriced[["bid", "ask", "mark", "pnl_abs"]].isna().all()
    assert (table["as_of"] == OPEN.isoformat()).all()
    assert (table["cost_source"] == "file").all()
    assert set(table["marks_from"][table["section"] == "structure"]) == {"2 mid", "4 mid"}


def test_a_third_warning_is_counted_in_its_cell_and_the_gravest_stand_first(screen_for):
    """The cell's edge would cut it off, and nothing would say that it is there."""
    screen = screen_for()
    row = (
        QuoteWarning.WIDE_SPREAD,
        QuoteWarning.STALE_QUOTE,
        QuoteWarning.CROSSED_MARKET,
        QuoteWarning.EXPIRED,
    )
    others = [()] * (len(screen.positions) - 1)
    crowded = replace(screen, positions=screen.positions.assign(warnings=[row, *others]))

    board = build_board(crowded, Wishes(Grouping.NONE, ("Warnings",)))
    (cell,) = board.cells["p:spy-call-today"]
    assert cell[3] == (("crossed market", "error"), ("expired", "error"), ("+2", "quiet"))
    assert cell[2] == "crossed market, expired, wide spread, stale quote"
    assert board.cells["p:aapl-call"] == ("",)


def test_a_warning_that_has_no_room_is_counted_and_not_cut_off(screen_for):
    screen = screen_for()

    def pills(*row: QuoteWarning) -> list[str]:
        others = [()] * (len(screen.positions) - 1)
        warned = replace(screen, positions=screen.positions.assign(warnings=[row, *others]))
        (cell,) = build_board(warned, Wishes(Grouping.NONE, ("Warnings",))).cells["p:spy-call-today"]
        assert isinstance(cell, list)
        return [words for words, _ in cell[3]]

    assert pills(QuoteWarning.ZERO_BID, QuoteWarning.WIDE_SPREAD) == ["zero bid", "wide spread"]
    assert pills(QuoteWarning.QUANTITY_IN_DOUBT, QuoteWarning.EXPIRES_TODAY) == ["expires today", "+1"]


def test_no_figure_of_the_csv_has_the_noise_of_a_computation(screen_for):
    for row in csv.reader(io.StringIO(tables_as_csv(screen_for()))):
        assert not [cell for cell in row if re.fullmatch(r"-?\d+\.\d{7,}", cell)]


def test_no_zero_of_the_csv_has_a_sign(screen_for):
    screen = screen_for()
    nothing = screen.positions.assign(
        **{
            name: np.full(len(screen.positions), value)
            for name, value in (("pnl_abs", -0.0), ("pnl_pct", -1e-9))
        }
    )

    saved = list(csv.DictReader(io.StringIO(tables_as_csv(replace(screen, positions=nothing)))))

    assert {row["pnl_abs"] for row in saved if row["section"] == "position"} == {"0.0"}
    assert "-0.0" not in {cell for row in saved for cell in row.values()}


def test_the_csv_hides_what_the_page_hides(screen_for):
    table = pd.read_csv(io.StringIO(tables_as_csv(screen_for(hide_amounts=True))))

    assert not amount_names() & set(table.columns)
    assert "pnl_pct" in table


def test_the_csv_is_named_after_the_market_s_day_in_new_york():
    assert csv_name(datetime(2026, 11, 21, 2, 30, tzinfo=UTC)) == "live-portfolio-20261120.csv"


@pytest.mark.parametrize("sign", ["−", "+"])
@pytest.mark.parametrize("draw", [partial(tag, "div"), line], ids=["a piece", "a line"])
def test_no_line_ends_between_a_sign_and_its_dollars(draw: Callable[[str, str], str], sign: str):
    """On a narrow screen "−" stood alone at the end of a line, and the loss below it read as a gain."""
    drawn = draw(f"named by 2 positions of the file: {sign}$1,004.50 net, of $2.00", "oh-note")

    assert f": {sign}{WORD_JOINER}$1,004.50 net, of $2.00" in drawn


def test_the_liquidation_value_says_whether_it_counts_cash(screen_for):
    screen = screen_for()
    without = replace(screen, totals=replace(screen.totals, cash=None))

    assert liquidation_tile(screen).note == "positions and cash, at natural"
    assert liquidation_tile(without).note == "positions only, at natural"


def test_what_a_sum_lacks_stands_at_it_and_is_never_cut_off(screen_for):
    screen = screen_for()
    lacking = replace(screen.totals.at_natural, counted=1, of=3, grades=(), missing=("AAPL", "MSFT"))

    def told(**totals):
        return liquidation_tile(replace(screen, totals=replace(screen.totals, **totals)))

    tile = told(at_natural=lacking)
    assert tile.caveat.splitlines() == ["1 of 3 positions known", "missing: AAPL, MSFT"]
    assert "known" not in tile.note

    # All quotes are crossed: there are marks, and nothing to close at.
    none = replace(lacking, counted=0, missing=("AAPL", "MSFT", "SPY"))
    assert told(at_natural=none).caveat.splitlines() == ["0 of 3 positions known", "missing: AAPL, MSFT, SPY"]
    # Before the first prices there is nothing to name.
    assert told(at_natural=none, at_mark=none).caveat == ""


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    ("palette", "backgrounds"),
    [(LIGHT, ("#ffffff", "#f4f6f9")), (DARK, ("#0e141d", "#18212d"))],
    ids=["light", "dark"],
)
@pytest.mark.parametrize("name", ["gain", "loss", "warning", "error", "quiet", "accent"])
def test_every_colour_can_be_read_on_its_background(palette, backgrounds, name):
    for background in backgrounds:
        light, dark = sorted((luminance(getattr(palette, name)), luminance(background)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_the_first_figure_is_before_fees_and_says_what_it_is_net_where_the_file_names_any(screen_for):
    screen, covered = screen_for(), screen_for(hide_amounts=True)
    carried = screen.totals.carried._replace(realized=1240.5, fees=12.6, entries=2)
    whole = replace(screen.totals.pnl, of=screen.totals.pnl.counted)

    def note(one, **totals):
        tiles = profit_tiles(replace(one, totals=replace(one.totals, **totals)))
        return next(tile for tile in tiles if tile.name == "Unrealized P&L").note

    said = "before fees; +$1,240.50 realized and $12.60 fees so far, named by 2 positions of the file"
    assert "fees" not in note(screen)
    # Without the P&L of one position there is no net of all.
    assert said in note(screen, carried=carried)
    net = money(whole.known + 1227.9, signed=True)
    assert f"{said}: {net} net" in note(screen, carried=carried, pnl=whole)
    assert "1,240" not in note(covered, carried=carried, pnl=whole)


def test_every_portfolio_of_the_docs_is_drawn_and_saved_whole(repository: Path, tmp_path: Path):
    """Shares as a leg, a pair without an expiry, lots, a debit that nobody knows: nothing of it breaks a table."""
    page = (repository / "docs" / "PORTAL_STREAMLIT.md").read_text(encoding="utf-8")
    for number, example in enumerate(re.findall(r"```json\n(.+?)```", page, flags=re.DOTALL)):
        (tmp_path / f"{number}.json").write_text(example, encoding="utf-8")
        book = open_portfolio_file(f"{number}.json", [tmp_path])
        session = LiveSession(build_manager=manager_for(scenes.live), housekeeping_seconds=3_600)
        session.start(book, RunSettings(), Settings())
        try:
            screen = build_screen(session, book, ViewOptions(Preferences(), NEW_YORK), now=OPEN)
        finally:
            session.stop()

        assert book.portfolio is not None
        lines = len(screen.positions) + len(screen.legs)
        assert lines == len(book.portfolio.lines)
        for grouping in Grouping:
            board = build_board(screen, Wishes(grouping, headings()))
            kinds = [row["kind"] for row in board.rows]
            held_together = sum(row["key"].startswith("c:") for row in board.rows)
            singles = sum(row["key"].startswith("p:") for row in board.rows)
            assert singles == len(screen.positions)
            assert kinds.count("entry") >= len(book.portfolio.structures) + held_together
            assert kinds.count("book") == 1
        saved = pd.read_csv(io.StringIO(tables_as_csv(screen)))
        assert len(saved) == lines + len(book.portfolio.structures)


def test_a_structure_is_called_by_its_name_on_the_page_and_in_the_file(screen_for):
    screen = screen_for()

    board = build_board(screen, Wishes(Grouping.UNDERLYING, ()))
    names = [row["name"] for row in board.rows if row["key"].startswith("s:")]
    assert names == [
        "270/280 C vertical · 18 Dec 26",
        "175/185 P vertical · 15 Jan 27",
        "640/655/705/720 iron condor · 18 Dec 26",
    ]
    table = pd.read_csv(io.StringIO(tables_as_csv(screen)))
    assert table[table["section"] == "structure"]["kind"].tolist() == ["vertical", "vertical", "iron condor"]


def test_a_chart_that_is_read_aloud_says_of_which_moment_its_last_amount_is():
    """A tile may be of a later look, so none of the chart's amounts is that of now."""
    points = tuple(
        PnlPoint(OPEN + timedelta(seconds=10 * n), pnl, None, 1, 1, 0) for n, pnl in enumerate((-3.0, 49.0))
    )

    assert summary(points, NEW_YORK, hide_amounts=False) == (
        f"P&L over the session: from −3.00 to +49.00 dollars, +49.00 at "
        f"{OPEN.astimezone(NEW_YORK) + timedelta(seconds=10):%H:%M:%S}."
    )
