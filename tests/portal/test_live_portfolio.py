"""What the live portfolio shows and what it never does, in every state its streams can be in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from apps.streamlit.components import live_sidebar
from apps.streamlit.components.board_cells import SPARKS
from apps.streamlit.components.board_columns import headings
from options_helper.errors import ConfigError
from options_helper.live.session import LiveSession, RunSettings, install_session, process_session
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.problems import Problem
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import RunState
from options_helper.monitoring.heartbeat_file import dashboard_file, read_heartbeat
from tests.kit.builders import health
from tests.kit.waiting import wait_until
from tests.portal import scenes
from tests.portal.conftest import (
    APP,
    SECRET,
    board,
    choose,
    everything,
    html,
    markup,
    pieces,
    press,
    state,
    tile,
    warned,
)


def test_each_refresh_makes_the_alarm_anew_that_is_seen_when_three_are_missed(portal):
    """With one element left as it was, the browser would let its animation run out on a page that is well."""
    tab = portal.show(scenes.simulated)
    (drawn,) = re.findall(r'class="oh-late"[^>]*data-drawn="([^"]*)"[^>]*--oh-after:6s', html(tab))
    assert "SIMULATED" in html(tab).partition("NOT REFRESHED FOR")[2], "whose market it is stays to be read"

    tab.run()
    again = html(tab)
    assert f'data-drawn="{drawn}"' not in again
    assert again.count("data-drawn") == 2


def test_opening_the_page_connects_nothing(portal):
    tab = portal.open()

    assert state(tab) == "not started"
    assert portal.managers == []
    assert not tab.button(key="start-page").disabled


def test_the_csv_is_made_without_the_tab_since_the_server_makes_it_on_another_thread(
    portal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Streamlit calls it at the click, and warns in the terminal each time it is asked of the tab there."""
    offered: list[Callable[[], str]] = []
    monkeypatch.setattr(st, "download_button", lambda *_, data, **__: offered.append(data))
    portal.show(scenes.live)
    caplog.clear()

    with ThreadPoolExecutor(1) as server:
        saved = server.submit(offered[-1]).result()

    assert "section" in saved.partition("\n")[0]
    assert [record for record in caplog.records if record.name.startswith("streamlit")] == []


def test_before_start_no_share_of_nothing_is_called_partial(portal):
    assert "nothing to count yet" in tile(portal.open(), "Unrealized P&L")


def test_a_share_of_a_partial_sum_is_not_known(portal):
    assert "not known while the sum is partial" in tile(portal.show(scenes.partial), "Unrealized P&L")


def test_a_run_that_is_over_is_not_said_to_be_running(portal):
    tab = portal.show(scenes.live)
    assert "running since" in html(tab)

    press(tab, "stop")

    assert state(tab) == "stopped"
    assert "running since" not in html(tab)
    assert re.search(r"stopped at (?!—)", html(tab))


def test_a_recording_is_played_and_ends_and_has_no_account(portal):
    tab = portal.show(scenes.replay)
    words = html(tab)
    assert state(tab) == "playing"
    assert "Live." not in words
    assert 'data-stream="fills"' not in words
    assert "Today: n/a. A replay has no account" in words
    captions = [caption.value for caption in tab.caption]
    assert "A replay has no account, so it has no fills." in captions
    assert "A replay has no account to compare the file with." in captions

    portal.scene = lambda: replace(scenes.replay(), played_out=True)
    tab.run()
    assert state(tab) == "ended"
    assert "stocks <b>ended</b></span>" in html(tab)
    assert "s ago" not in html(tab).partition("oh-chips")[2].partition("oh-aside")[0]


def test_start_stop_and_restart_stand_once(portal):
    tab = portal.show(scenes.live)

    assert [button.label for button in tab.button if button.label in {"Start", "Stop", "Restart"}] == [
        "Start",
        "Stop",
        "Restart",
    ]


def test_what_keeps_the_account_from_answering_is_said_once(portal):
    sentence = "Alpaca answered 401. Check the key."
    account = scenes.account_with(RestTask.FILLS, RestPhase.FAILED, problems=(Problem(sentence),))
    tab = portal.show(lambda: scenes.live(account=account))

    details = pieces(tab, "accounts for all")
    assert sentence in details
    assert html(tab).count(sentence) == details.count(sentence) + 1


def test_before_start_the_book_is_shown_and_no_price_is_invented(portal):
    tab = portal.open()
    assert list(board(tab).index)[:2] == ["AAPL", "275 C · 15 Jan 27"]
    rows = board(choose(tab, "Bid × ask", "Mark", "P&L $", "P&L %", "Natural $", "Quote age", "Spread"))
    assert set(rows.stack()) == {""}
    assert "—" in tile(tab, "Unrealized P&L")
    assert "$0.00" not in html(tab)
    # Of shares and the call sold against them a part is known at once, and no beta was asked for.
    assert not any(" of " in one for one in board(choose(tab, "Delta"))["Delta"])
    assert "without a beta" not in html(tab)


def test_before_start_a_played_market_s_book_is_shown_as_of_its_own_day(portal, monkeypatch):
    """The viewer's day is none of it: by then everything may have expired."""
    monkeypatch.setenv("OH_ALPACA_MARKET_TIME", "2026-11-20T15:00:00+00:00")
    tab = portal.open()

    assert board(tab)["DTE"]["681 C · 20 Nov 26"] == "0 d"
    assert (
        'today</b> <span class="">Fri 20 Nov</span><br><span class="" title="SPY 20 Nov 26 681 C">'
        in html(tab)
    )
    assert "long premium paid $" in tile(tab, "Maximum loss")
    assert "expired" not in html(tab)
    assert "market time 15:00:00 UTC" in html(tab)
    assert "NOT ALPACA: a market on this computer, 2026-11-20" in html(tab)


@pytest.mark.parametrize(("day", "is_said"), [("2026-11-20", False), ("2026-11-27", True)])
def test_a_played_market_says_that_the_file_is_a_picture_of_another_day_than_its_own(
    portal, monkeypatch, day: str, *, is_said: bool
):
    monkeypatch.setenv("OH_ALPACA_MARKET_TIME", f"{day}T15:00:00+00:00")
    said = "The portfolio file is a picture of 20 Nov 26; this market plays 27 Nov 26"

    assert (said in warned(portal.open())) is is_said


def test_after_start_it_is_of_that_day_too_although_the_market_has_not_told_its_time_yet(portal, monkeypatch):
    monkeypatch.setenv("OH_ALPACA_MARKET_TIME", "2026-11-20T15:00:00+00:00")
    tab = portal.show(lambda: scenes.connecting(as_of=datetime(2028, 2, 29, 15, tzinfo=UTC)))

    assert "expired" not in html(tab)
    assert "market time 15:05:00 UTC" in html(tab)


def test_the_time_of_a_played_market_is_no_other_s(portal, monkeypatch):
    monkeypatch.setenv("OH_ALPACA_MARKET_TIME", "2018-01-05T15:00:00+00:00")
    monkeypatch.setenv("OH_ALPACA_STREAM_URL", "wss://stream.data.alpaca.markets")

    assert "market time" not in html(portal.open())
    assert "as of 15:32:04 UTC" in html(portal.show(scenes.live))


def test_a_book_that_has_expired_is_not_one_without_options_or_without_risk(portal):
    old = {"id": "old", "symbol": "AAPL", "option_type": "call", "expiry": "2020-01-17", "strike": 100}
    entry = {**old, "contracts": 2, "cost_basis": 4.5}
    (portal.folder / "portfolio.json").write_text(json.dumps({"positions": [entry]}))
    tab = portal.open()

    assert "Expired; what became of it is not known here" in warned(tab)
    assert "oh-strip" not in html(tab)
    assert "no option is held long" in tile(tab, "Maximum loss")
    assert "$0.00" not in html(tab)


@pytest.mark.parametrize("scene", [scenes.simulated, scenes.replay])
def test_the_only_time_of_another_clock_than_the_market_s_says_so(portal, scene):
    """Whatever day the viewer has: the market's own times have no date, which a label tells."""
    words = html(portal.show(scene))

    assert re.search(r"market time 15:32:0\d UTC", words)
    assert re.search(r"running since [^·<]*UTC by this computer's clock", words)
    assert len(re.findall(r"\d{4} \d\d:\d\d:\d\d", words)) <= 1, "only the other clock's time may have a date"


def test_with_alpaca_s_market_there_is_one_clock(portal):
    words = html(portal.show(scenes.live))

    assert "running since" in words
    assert "by this computer's clock" not in words


def test_it_always_says_that_it_is_read_only_and_no_advice(portal):
    for tab in (portal.open(), portal.show(scenes.failed)):
        words = " ".join(caption.value for caption in tab.caption)
        assert "Read-only" in words
        assert "Not financial advice" in words


def test_without_keys_start_says_which_variables_to_set(portal, monkeypatch):
    monkeypatch.delenv("APCA_API_KEY_ID")
    tab = portal.open()

    assert tab.button(key="start-page").disabled
    assert "APCA_API_KEY_ID and APCA_API_SECRET_KEY" in html(tab)
    assert "options-helper ui --demo" in html(tab)


def test_with_wrong_settings_start_says_what_is_wrong(portal, monkeypatch):
    monkeypatch.setenv("OH_ALPACA_STOCK_FEED", "iexx")
    tab = portal.open()

    assert tab.button(key="start-page").disabled
    assert "iexx" in html(tab)


def test_with_a_broken_portfolio_start_says_where_it_is_broken(portal):
    (portal.folder / "portfolio.json").write_text(
        '{"positions": [{"id": "x", "symbol": "aapl", "shares": 1}]}'
    )
    tab = portal.open()

    assert tab.button(key="start-page").disabled
    assert "portfolio.json, position 'x', symbol" in html(tab)
    assert "data-tile" not in html(tab)
    assert str(portal.folder) not in everything(tab)


def test_a_path_outside_the_known_folders_is_refused_without_a_look(portal):
    tab = portal.open()
    tab.text_input(key="portfolio").set_value("../../etc/hosts.json").run()

    assert tab.button(key="start-page").disabled
    assert "must lie in the working folder" in html(tab)
    assert str(portal.folder) not in everything(tab)


def test_a_mended_portfolio_makes_start_possible_again(portal):
    path = portal.folder / "portfolio.json"
    good = path.read_text()
    path.write_text("{")
    tab = portal.open()
    path.write_text(good)
    os.utime(path, (2_000, 2_000))
    tab.run()

    assert not tab.button(key="start-page").disabled


def test_start_shows_live_prices_with_their_source_and_age(portal):
    tab = portal.show(scenes.live)
    assert state(tab) == "running"
    rows = board(choose(tab, "Mark", "Mark from"))
    assert rows["Mark from"]["681 C · 20 Nov 26"] == "mid · 0.4 s"
    assert rows["Mark from"]["275 C · 15 Jan 27"] == "mid · 1.4 s"
    assert all(rows["Mark"][name] for name in rows.index if "·" in name and "Book" not in name)
    assert "15 mid · oldest" in tile(tab, "Unrealized P&L")
    assert "priced" not in tile(tab, "Unrealized P&L"), "all are, and that goes without saying"


def test_a_new_price_shows_at_the_next_refresh(portal):
    tab = portal.show(scenes.live)
    before = board(tab)["Mark"].tolist()
    portal.scene = lambda: scenes.live(step=1)
    tab.run()

    assert board(tab)["Mark"].tolist() != before


def test_a_profit_says_so_with_sign_and_arrow_and_not_by_colour_alone(portal):
    tab = portal.show(scenes.live)
    for text in filter(None, board(tab)["P&L $"]):
        assert text[0] in "+−"
    assert "▲ +$" in tile(tab, "Unrealized P&L")


@pytest.mark.parametrize(
    ("scene", "word", "sentence"),
    [
        (scenes.connecting, "connecting", "Connecting"),
        (scenes.live, "running", "Live."),
        (scenes.quiet, "running", "Market closed: last session"),
        (
            scenes.reconnecting,
            "reconnecting",
            "Options reconnecting, attempt 3, next try in 4 s: connection limit",
        ),
        (scenes.stalled, "stalled", "Options stalled"),
        (scenes.failed, "error", "Failed: Alpaca refused the opra feed"),
        (scenes.stale, "running", "quotes too old"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_first_word_and_sentence_say_what_is_going_on(portal, scene, word, sentence):
    tab = portal.show(scene)

    assert state(tab) == word
    assert sentence in html(tab)


def test_a_lost_stream_is_one_line_that_begins_with_what_its_prices_are_worth(portal):
    """The cause may be long, and its end be cut off: Details have it whole."""
    lost = scenes.reconnecting()
    options = replace(lost.streams[StreamName.OPTIONS], last_event_at=lost.as_of - timedelta(seconds=34))
    tab = portal.show(lambda: replace(lost, streams={**lost.streams, StreamName.OPTIONS: options}))
    bar = re.sub("<[^>]+>", "|", pieces(tab, "oh-bar"))

    assert re.search(r"\|options lost · newest price \d.* old · next try in 4 s · connection limit", bar)
    assert "oh-whole" not in pieces(tab, "oh-bar")
    assert "Options reconnecting, attempt 3, next try in 4 s: connection limit" in pieces(
        tab, "oh-details-sentence"
    )


def test_a_stream_that_failed_for_good_points_to_the_doctor(portal):
    assert "options-helper doctor" in warned(portal.show(scenes.failed))
    portal.session.stop()
    assert "options-helper doctor" not in html(portal.show(scenes.reconnecting))


def test_a_market_on_this_computer_is_never_taken_for_alpaca_s(portal):
    assert "NOT ALPACA" in html(portal.open())


def test_the_labels_of_doubtful_prices_stay_as_long_as_they_apply(portal, monkeypatch):
    # Nothing connects here: the scenes' streams are made up.
    monkeypatch.setenv("OH_ALPACA_STREAM_URL", "wss://stream.data.alpaca.markets")
    assert "indicative = modelled quotes" in html(portal.show(scenes.live))
    portal.session.stop()
    assert "REPLAY 2018-01-05 10:32 ET" in html(portal.show(scenes.replay))
    portal.session.stop()
    tab = portal.show(scenes.simulated)
    assert "SIMULATED MARKET" in html(tab)
    press(tab, "stop")
    assert "SIMULATED MARKET" in html(tab)


def test_old_quotes_in_an_open_market_raise_a_banner_that_names_them(portal):
    tab = portal.show(scenes.stale)

    assert "Stale quote" in warned(tab)
    assert "SPY 20 Nov 26 681 C" in warned(tab)


def test_a_closed_market_is_not_a_stale_one(portal):
    assert "Stale quote" not in warned(portal.show(scenes.quiet))


def test_a_sum_with_a_missing_leg_says_so_and_the_leg_is_no_zero(portal):
    tab = portal.show(scenes.partial)
    row = board(tab).loc["681 C · 20 Nov 26"]

    assert "PARTIAL: 9 of 10 positions" in tile(tab, "Unrealized P&L")
    assert ">9 of 10</small>" in tile(tab, "Unrealized P&L")
    assert "14 of 15 lines priced, 1 without a price" in tile(tab, "Unrealized P&L")
    for name in ("Unrealized P&L", "Liquidation value"):
        assert "missing: SPY 20 Nov 26 681 C<" in tile(tab, name)
    assert "1 line without a price" in html(tab)
    assert set(row[["Bid × ask", "Mark", "P&L $", "Natural $"]]) == {""}
    assert board(tab)["P&L $"]["SPY"].endswith(" · 1 of 2")
    assert board(tab)["P&L $"]["Book · 15 legs, 14 priced"].endswith(" · 9 of 10")
    assert "missing quote" in row["Warnings"]
    assert "<small" in tile(tab, "Unrealized P&L"), "the share stands beside the figure"


def test_while_it_connects_nothing_is_called_missing(portal):
    warnings = board(portal.show(scenes.connecting))["Warnings"]

    assert sorted({word for words in warnings for word in words}) == ["expires today"]


def test_no_figure_is_written_as_nan(portal):
    for scene in (scenes.partial, scenes.connecting, scenes.failed):
        tab = portal.show(scene)
        assert "nan" not in html(tab).lower().replace("finan", "")
        assert not [text for text in board(choose(tab, *headings())).stack() if "nan" in str(text).lower()]
        portal.session.stop()


def seldom_quoted() -> LiveSnapshot:
    since = scenes.OPEN - timedelta(seconds=12)
    return scenes.live(streams=[health("options", silent_since=since, last_event_at=since)])


@pytest.mark.parametrize(
    ("scene", "said"), [(seldom_quoted, "no word of options for 12 s"), (scenes.stale, "too old")]
)
def test_the_age_of_each_streams_newest_word_stands_beside_whatever_is_said(portal, scene, said):
    bar = pieces(portal.show(scene), "oh-bar")

    assert said in bar
    assert "stocks <b>0.4 s</b>" in bar


def test_times_name_their_zone(portal):
    assert re.search(r"as of .*15:32:04 UTC", html(portal.show(scenes.live)))


def test_what_the_streams_did_with_every_event_is_there(portal):
    words = html(portal.show(scenes.reconnecting))

    for fact in ("received", "applied", "dropped", "rejected", "queued", "accounts for all", "12,345"):
        assert fact in words
    assert "connection limit exceeded" in words
    assert "still open" in words


def test_a_connection_that_says_nothing_is_a_gap_that_is_still_open(portal):
    words = html(portal.show(scenes.stalled))

    assert "No gaps" not in words
    assert "still open" in words
    assert "silent although the market is open" in words


def test_what_a_server_wrote_is_text_and_never_markup(portal):
    def hostile():
        lost = health("options", Phase.FAILED, last_error="<img src=x onerror=alert(1)>")
        return scenes.live(streams=[lost])

    assert "<img" not in markup(portal.show(hostile))


def test_the_secret_is_nowhere_on_the_page(portal):
    for scene in (scenes.live, scenes.failed):
        assert SECRET not in everything(portal.show(scene))
        portal.session.stop()


def test_start_pressed_in_two_tabs_is_one_run(portal):
    first, second = portal.open(), portal.open()
    press(first, "start")
    second.button(key="start-page").click().run()

    assert portal.runs == 1
    assert state(second) == "running"


def test_the_buttons_never_change_places_so_a_double_click_on_start_is_one_start(portal):
    tab = portal.open()
    before = [button.label for button in tab.main.button]
    press(tab, "start")

    assert [button.label for button in tab.main.button] == before
    assert tab.button(key="start-page").disabled
    assert not tab.button(key="stop-page").disabled


def test_stop_in_one_tab_is_seen_in_the_other(portal):
    first = portal.show(scenes.live)
    second = portal.open()
    press(second, "stop")
    first.run()

    assert state(first) == "stopped"
    assert not first.button(key="start-page").disabled
    assert first.button(key="restart-page").disabled
    assert not portal.managers[0].is_running()


@pytest.mark.parametrize("page", ["12_Live_Portfolio", "13_Order_Book"])
def test_a_stop_in_another_tab_while_the_page_is_drawn_leaves_no_dead_start(portal, monkeypatch, page):
    portal.show(scenes.live)

    def stop_after_the_buttons(*, running: bool) -> None:
        if running:
            portal.session.stop()

    monkeypatch.setattr(live_sidebar, "keep_focus", stop_after_the_buttons)
    tab = AppTest.from_file(str(APP), default_timeout=30)
    tab.switch_page(f"pages/{page}.py").run()

    assert state(tab) == "stopped"
    assert not tab.button(key="start-page").disabled


def test_after_a_stop_the_last_prices_stay_and_say_what_they_are(portal):
    tab = portal.show(scenes.live)
    press(tab, "stop")

    assert "the last prices known" in html(tab)
    assert board(tab)["Mark"]["275 C · 15 Jan 27"]


def test_other_choices_in_one_tab_wait_for_apply(portal):
    first = portal.show(scenes.live)
    second = portal.open()
    second.selectbox(key="stock_feed").set_value("sip").run()

    assert portal.runs == 1
    assert portal.session.run.choices == RunSettings()
    words = " ".join(caption.value for caption in second.caption)
    assert "Running with portfolio.json · stocks iex" in words
    assert "This tab has chosen portfolio.json · stocks sip" in words

    second.button(key="apply").click().run()
    assert portal.runs == 2
    assert portal.session.run.choices.stock_feed == "sip"
    first.run()
    assert "stocks sip" in " ".join(caption.value for caption in first.caption)


def test_what_runs_can_be_kept_instead(portal):
    portal.show(scenes.live)
    tab = portal.open()
    tab.selectbox(key="stock_feed").set_value("sip").run()
    tab.button(key="keep").click().run()

    assert tab.selectbox(key="stock_feed").value == "iex"
    assert "apply" not in {button.key for button in tab.button}


def test_a_new_tab_begins_with_the_choices_that_run(portal):
    tab = portal.open()
    tab.selectbox(key="stock_feed").set_value("sip").run()
    press(tab, "start")

    assert portal.open().selectbox(key="stock_feed").value == "sip"


def test_the_portfolio_may_come_from_the_account_and_says_so_where_costs_stand(portal):
    """The scene's account holds what the sample file does, but in single contracts."""
    portal.scene = scenes.with_costs
    tab = portal.open()
    tab.segmented_control(key="source").set_value("account").run()
    assert "portfolio" not in {box.key for box in tab.text_input}
    assert "its positions are asked for after Start" in everything(tab)

    press(tab, "start")

    assert portal.session.run.of_account
    words = " ".join(caption.value for caption in tab.caption)
    assert "Running with" not in words, "what the controls show is what runs"
    assert "at Alpaca's costs, before fees" in tile(tab, "Unrealized P&L")
    assert "there is no file to compare it with" in words
    assert "each fill is in them" in words
    assert not board(tab).empty


def test_whoever_goes_back_to_a_file_finds_the_one_that_was_named(portal):
    tab = portal.open()
    tab.segmented_control(key="source").set_value("account").run()
    tab.segmented_control(key="source").set_value("file").run()
    assert tab.text_input(key="portfolio").value == "portfolio.json"
    assert not board(tab).empty


def test_a_link_and_the_launcher_choose_the_account_until_something_runs(portal, monkeypatch):
    monkeypatch.setenv("OH_PORTFOLIO_SOURCE", "account")
    assert portal.open().segmented_control(key="source").value == "account"

    other = portal.open()
    other.segmented_control(key="source").set_value("file").run()
    press(other, "start")
    assert portal.open().segmented_control(key="source").value == "file"
    assert portal.open(book="account").segmented_control(key="source").value == "file", "whose run it is"


@pytest.mark.parametrize(("ran", "asked"), [("account", "file"), ("file", "account")])
def test_after_a_run_a_link_is_heard_again_and_without_one_the_last_choice_stays(
    portal, ran: str, asked: str
):
    tab = portal.open(book=ran)
    press(tab, "start")
    portal.session.stop()

    assert portal.open().segmented_control(key="source").value == ran
    linked = portal.open(book=asked)
    assert linked.segmented_control(key="source").value == asked
    press(linked, "start")
    assert portal.session.run.of_account is (asked == "account")


def test_restart_connects_anew_with_what_runs(portal):
    tab = portal.show(scenes.live)
    press(tab, "restart")

    assert portal.runs == 2
    assert state(tab) == "running"


@pytest.mark.parametrize(
    ("scene", "at_alpaca", "is_said"),
    [
        (scenes.quiet, True, True),
        (scenes.live, True, False),  # of the picture's own day
        (scenes.quiet, False, False),
        (scenes.simulated, True, False),
    ],
)
def test_a_real_market_says_that_the_file_is_a_picture_of_another_day(
    portal,
    monkeypatch: pytest.MonkeyPatch,
    scene: Callable[[], LiveSnapshot],
    *,
    at_alpaca: bool,
    is_said: bool,
):
    if at_alpaca:
        for name in ("APCA_API_BASE_URL", "OH_ALPACA_STREAM_URL"):
            monkeypatch.delenv(name)

    said = warned(portal.show(scene))

    assert ("The portfolio file is a picture of 20 Nov 26 When it is yours, remove" in said) is is_said


def test_a_portfolio_broken_while_running_stays_in_use_and_is_named(portal):
    tab = portal.show(scenes.live)
    (portal.folder / "portfolio.json").write_text("{")
    portal.session.keep()
    tab.run()

    assert "portfolio.json is not valid JSON" in warned(tab)
    assert "The last good reading of it stays in use" in warned(tab)
    assert "the portfolio file cannot be used, so with what it said before" in pieces(tab, "oh-sentence")
    assert "oh-line" not in pieces(tab, "oh-items"), "a remedy at the end is not cut off"
    assert "Book · 15 legs" in board(tab).index


def test_a_portfolio_changed_while_running_shows_without_a_reconnect(portal):
    tab = portal.show(scenes.live)
    path = portal.folder / "portfolio.json"
    book = json.loads(path.read_text())
    book["positions"].append({"id": "spy", "symbol": "SPY", "shares": 10, "cost_basis": 600.0})
    path.write_text(json.dumps(book))
    portal.session.keep()
    tab.run()

    assert portal.runs == 1
    assert "+10" in list(board(tab)["Qty"]["shares"])


def test_contracts_beyond_the_limit_are_named(portal):
    tab = portal.open()
    tab.number_input(key="max_option_contracts").set_value(3).run()
    press(tab, "start")

    assert "option contracts are not subscribed (limit 3)" in warned(tab)


def test_a_start_that_is_refused_says_why(portal, monkeypatch):
    def refuse(config):
        raise ConfigError("The keys were taken away.")

    tab = portal.open()
    monkeypatch.setattr(scenes.ShowingManager, "start", lambda self, config: refuse(config))
    tab.button(key="start-page").click().run()

    assert not tab.exception
    assert "The keys were taken away." in warned(tab)
    assert "options-helper doctor" in warned(tab)
    assert state(tab) == "not started"


def test_code_changed_under_a_run_leaves_it_running_until_restart(portal):
    class OlderSession(LiveSession):
        """What a session is called after its module was loaded again."""

    older = OlderSession(build_manager=scenes.manager_for(scenes.live), housekeeping_seconds=3_600)
    install_session(older)
    tab = portal.open()
    press(tab, "start")

    assert "The program's code has changed since Start" in html(tab)
    assert state(tab) == "running"
    assert board(tab)["Mark"]["275 C · 15 Jan 27"]

    press(tab, "restart")
    assert not older.running
    assert type(process_session()) is LiveSession


def test_a_session_of_changed_code_is_seen_from_outside_and_judges_alerts_as_the_one_before(
    portal, monkeypatch
):
    class OlderSession(LiveSession):
        """What a session is called after its module was loaded again."""

    build = scenes.manager_for(scenes.live)
    monkeypatch.setattr("options_helper.live.session._live_manager", lambda settings, **_: build(settings))
    install_session(OlderSession(build_manager=build, housekeeping_seconds=3_600))
    tab = portal.open()
    for button in ("start", "restart"):
        press(tab, button)

    session, heartbeat = process_session(), dashboard_file()
    assert session.running
    assert {sender.who for sender in session.alerts().senders.values()} == {"dashboard"}
    assert heartbeat is not None
    wait_until(lambda: (beat := read_heartbeat(heartbeat)) and beat.state is not RunState.ENDED)
    session.stop()


def test_new_keys_are_read_at_the_press_of_restart(portal, monkeypatch):
    tab = portal.show(scenes.failed)
    monkeypatch.setenv("APCA_API_KEY_ID", "another-key")
    press(tab, "restart")

    assert [manager.is_running() for manager in portal.managers] == [False, True]


def test_hidden_amounts_are_nowhere(portal):
    tab = portal.show(lambda: scenes.live(fills=[scenes.fill(1)]))
    tab.toggle(key="hide").set_value(True).run()

    assert "$" not in html(tab)
    rows = board(choose(tab, *headings()))
    assert not {"Qty", "P&L $", "Natural $", "Cost $", "Net debit $", "Value $"} & set(rows.columns)
    assert rows["P&L %"]["275 C · 15 Jan 27"].endswith(" %")
    assert "Covered call · shares + 530 C · 18 Dec 26" in rows.index, "how many is an amount too"


def test_the_toggle_says_what_it_hides_and_what_stays(portal):
    said = portal.open().toggle(key="hide").help

    for hidden in ("Dollars", "quantities", "tooltips", "chart's data", "downloads"):
        assert hidden in said.partition("stay visible")[0]
    assert "Prices per share, percentages and signs stay visible" in said


def test_each_tab_decides_for_itself_what_it_hides(portal):
    first, second = portal.show(scenes.live), portal.open()
    first.toggle(key="hide").set_value(True).run()
    second.run()

    assert "$" in html(second)


def test_what_is_hidden_is_not_told_by_an_error_in_the_file_either(portal):
    """From the first drawing on, as an address with the wish in it asks for."""
    path = portal.folder / "portfolio.json"
    tab = portal.open()
    tab.toggle(key="hide").set_value(True).run()
    entry = {"id": "a", "symbol": "AAPL", "shares": 1, "cost_basis": -4321.75}
    path.write_text(json.dumps({"positions": [entry]}))
    os.utime(path, (2_000, 2_000))
    tab.run()

    assert "position 'a', cost_basis" in warned(tab)
    assert "4321.7" not in everything(tab)


def test_an_error_in_the_file_is_said_once_and_as_the_text_it_is(portal):
    """Once whole on the page, however many places it concerns; an id is no markup and is cut where it is long."""
    path = portal.folder / "portfolio.json"
    path.write_text(
        json.dumps({"positions": [{"id": "**b** [t](u) $x$" + "y" * 400, "symbol": "AAPL", "shares": 0}]})
    )
    tab = portal.open()

    assert html(tab).count("position '**b** [t](u) $x$y") == 1
    assert "y" * 41 not in everything(tab)
    assert not [error for error in tab.error if "**" in error.value]


def test_the_count_of_positions_is_of_those_that_are_shown(portal):
    """Whatever became of the file: a run goes on with its last good reading."""
    path = portal.folder / "portfolio.json"
    portal.show(scenes.live)
    path.unlink()
    tab = portal.open()
    path.write_text("")

    assert "10 positions" in [caption.value for caption in tab.run().caption]


def test_the_course_of_a_structure_is_hidden_with_its_amounts(portal):
    """Its trend is of dollars; the amounts themselves must not be sent to draw it."""
    tab = portal.show(scenes.live)
    portal.session.keep()
    portal.scene = lambda: scenes.live(step=1)
    portal.session.keep()
    tab.toggle(key="hide").set_value(True).run()

    trends = board(choose(tab, "Trend"))["Trend"]
    assert set("".join(trends)) <= set(SPARKS)
    assert len(trends["270/280 C vertical · 18 Dec 26"]) == 2


def test_a_structure_says_how_many_and_of_which_kind(portal):
    tab = portal.show(scenes.live)
    assert board(tab)["Qty"]["270/280 C vertical · 18 Dec 26"] == "+2"

    tab.toggle(key="hide").set_value(True).run()
    assert "270/280 C vertical · 18 Dec 26" in board(tab).index
    assert "Qty" not in board(tab).columns
