"""What the page says of the account beside the streams: how the asking goes, and where the file is behind."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType

import pytest

from options_helper.live.comparison import FileComparison
from options_helper.model.account import AccountState, RestPhase, RestReport, RestTask
from options_helper.model.portfolio import load_portfolio
from options_helper.model.problems import Problem
from tests.portal import scenes
from tests.portal.conftest import html, pieces, press, table, warned
from tests.portal.scenes import OPEN, SAMPLE, account_with, execution, known_account, with_account

AAPL_CALL = "AAPL270115C00275000"
LATER = OPEN - timedelta(minutes=10)
BOUGHT = execution(AAPL_CALL, 1, "9.15", at=LATER)


def rest_text(tab) -> str:
    """The line that says how the asking goes."""
    return re.sub(
        "<[^>]+>", "", html(tab).split('<div class="oh-rest')[1].split(">", 1)[1].split("</div>")[0]
    )


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (account_with(RestTask.PRICES, RestPhase.WAITING), "prices not asked for yet"),
        (
            account_with(RestTask.PRICES, RestPhase.REQUESTING, done=120, of=280),
            "prices asked for: 120 of 280",
        ),
        (account_with(RestTask.FILLS, RestPhase.REQUESTING), "fills asked for"),
        (
            account_with(RestTask.PRICES, RestPhase.FAILED, problems=(Problem("Alpaca said no."),)),
            "✕ prices FAILED · fills not asked for yet · positions not asked for yet · Alpaca said no.",
        ),
        (known_account(), "prices asked for: 20, done 15:32:04 UTC · fills asked for, done 15:32:04 UTC"),
        (AccountState(), "Beside the streams nothing is asked for."),
    ],
    ids=["waiting", "prices", "fills", "failed", "done", "off"],
)
def test_one_line_says_how_the_asking_goes(portal, account, words):
    assert words in rest_text(portal.show(lambda: scenes.live(account=account)))


def every_time(phase, problem):
    """An account whose tasks all meet the same."""
    reports = {task: RestReport(task, phase, done=1, of=2, problems=(Problem(problem),)) for task in RestTask}
    return AccountState(reports=MappingProxyType(reports))


@pytest.mark.parametrize(("phase", "said"), [(RestPhase.REQUESTING, "asking"), (RestPhase.FAILED, "failed")])
def test_a_problem_is_said_once_until_it_is_over_and_also_while_the_next_try_waits(portal, phase, said):
    account = every_time(phase, "Alpaca asked to wait 20 s (429).")
    tab = portal.show(lambda: scenes.live(account=account))
    line, details = pieces(tab, "oh-rest"), html(tab).split("Asked by REST")[1].partition("</p>")[0]

    assert rest_text(tab).count("Alpaca asked to wait 20 s (429).") == 1
    assert details.count(f"{', '.join(RestTask)}: Alpaca asked to wait 20 s (429).") == 1
    assert details.count(f">{said}</td>") == len(RestTask)
    # On the page itself, and not behind Details alone.
    assert 'class="oh-rest oh-troubled"' in line


REFUSED = "Alpaca (api.alpaca.markets) answered with HTTP 401. Check the keys."
CUT_OFF = "Alpaca (data.alpaca.markets) cannot be reached. Check the network."


def in_vain(problems):
    """An account whose tasks met these."""
    reports = {task: RestReport(task, problems=problems.get(task, ())) for task in RestTask}
    return AccountState(
        reports=MappingProxyType(
            {
                task: replace(one, phase=RestPhase.FAILED) if one.problems else one
                for task, one in reports.items()
            }
        )
    )


def said_in_details(tab):
    """The sentences below the table of what is asked."""
    return html(tab).split("Asked by REST")[1].split("</table></div>")[1].partition("</div>")[0]


def test_what_one_server_says_of_several_questions_is_said_once_with_all_that_follows(portal):
    account = in_vain(
        {
            RestTask.FILLS: (Problem(REFUSED, asked="/v2/orders"),),
            RestTask.POSITIONS: (Problem(REFUSED, asked="/v2/positions"),),
            RestTask.EXPIRIES: (
                Problem(REFUSED, "how SPY is settled", "/v2/options/contracts/SPY"),
                Problem(REFUSED, "what became of contracts that ended", "/v2/account/activities"),
            ),
        }
    )
    tab = portal.show(lambda: scenes.live(account=account))

    assert rest_text(tab) == (
        "✕ fills FAILED · ✕ positions FAILED · ✕ expiries FAILED · "
        f"{REFUSED} Not known now: how SPY is settled; what became of contracts that ended."
    )
    details = said_in_details(tab)
    assert details.count(REFUSED) == 1
    # Which questions they were is in the details.
    assert f"fills, positions, expiries: {REFUSED}" in details
    assert "Asked: /v2/orders, /v2/positions, /v2/options/contracts/SPY, /v2/account/activities." in details


def test_on_the_whole_page_a_cause_is_told_in_the_line_and_in_the_details_and_nowhere_else(portal):
    """Whatever else says that it is missing, in whichever tab, says where the reason is."""
    tab = portal.show(lambda: scenes.live(account=in_vain({task: (Problem(REFUSED),) for task in RestTask})))
    page = html(tab) + captions(tab)

    assert (rest_text(tab).count(REFUSED), said_in_details(tab).count(REFUSED)) == (1, 1)
    assert page.count(REFUSED) == 2
    assert page.count("for the reason above") >= 2


def test_two_causes_are_two_sentences_each_with_its_own_consequences(portal):
    account = in_vain(
        {
            RestTask.PRICES: (Problem(CUT_OFF, asked="/v2/stocks/snapshots"), Problem(REFUSED)),
            RestTask.EXPIRIES: (Problem(REFUSED, "how SPY is settled"), Problem(CUT_OFF, "what ended")),
        }
    )
    tab = portal.show(lambda: scenes.live(account=account))

    assert rest_text(tab) == (
        "✕ prices FAILED · ✕ expiries FAILED · "
        f"{CUT_OFF} Not known now: what ended. · {REFUSED} Not known now: how SPY is settled."
    )
    details = said_in_details(tab)
    assert (details.count(CUT_OFF), details.count(REFUSED)) == (1, 1)


def test_a_last_success_does_not_hide_that_the_next_try_waits(portal):
    waiting = account_with(
        RestTask.POSITIONS, RestPhase.REQUESTING, finished_at=OPEN, problems=(Problem("Wait 20 s."),)
    )
    words = rest_text(portal.show(lambda: scenes.live(account=waiting)))

    assert "done" not in words
    assert "positions asked for · Wait 20 s." in words


def test_the_details_say_that_fills_are_counted_by_what_was_new(portal):
    details = html(portal.show(with_account())).split("Asked by REST")[1]
    reports = re.findall("<td[^>]*>(.*?)</td>", details)

    assert reports[4:7] == ["fills", "done", "15 new"]
    assert reports[8:11] == ["positions", "done", "15"]


def test_what_is_asked_for_each_minute_does_not_flicker(portal):
    again = account_with(RestTask.POSITIONS, RestPhase.REQUESTING, finished_at=OPEN)

    assert "positions asked for, done 15:32:04 UTC" in rest_text(
        portal.show(lambda: scenes.live(account=again))
    )


def test_a_problem_is_told_in_full_under_stream_details(portal):
    failed = account_with(
        RestTask.PRICES,
        RestPhase.FAILED,
        done=100,
        of=280,
        problems=(Problem("Alpaca said no. Wait a minute."),),
    )
    details = html(portal.show(lambda: scenes.live(account=failed))).split("Asked by REST")[1]

    assert "100 of 280" in details
    assert "Alpaca said no. Wait a minute." in details


def test_what_a_server_said_over_rest_is_text_and_never_markup(portal):
    hostile = account_with(
        RestTask.PRICES, RestPhase.FAILED, problems=(Problem('"><img src=x onerror=alert(1)>'),)
    )
    tab = portal.show(lambda: scenes.live(account=hostile))

    assert "<img" not in "".join(element.proto.body for element in tab.get("html"))


def test_totals_over_an_account_that_cannot_be_read_are_not_green(portal):
    unread = account_with(RestTask.POSITIONS, RestPhase.FAILED, problems=(Problem("HTTP 500."),))
    page = html(portal.show(lambda: scenes.live(account=unread)))

    assert "Live, but quantities not compared with the account (it could not be read)" in page
    # Today's P&L and the unrealized, delta, theta, vega, maximum loss and liquidation value.
    assert page.count("QUANTITIES not compared with the account (it could not be read)") == 7


def test_a_file_behind_the_account_is_said_and_the_edit_is_there_to_copy(portal):
    tab = portal.show(with_account(BOUGHT))

    assert "Your file is behind the account: bought 1 AAPL 15 Jan 27 275 C at 9.15 " in warned(tab)
    assert '"contracts": 4' in tab.code[0].value


def test_a_file_behind_the_account_is_still_said_after_stop(portal):
    tab = portal.show(with_account(BOUGHT))
    press(tab, "stop")

    assert "Your file is behind the account: bought 1 AAPL 15 Jan 27 275 C at 9.15 " in warned(tab)
    assert '"contracts": 4' in tab.code[0].value


def test_a_file_that_knows_everything_raises_no_banner(portal):
    tab = portal.show(with_account())

    assert "behind" not in html(tab)
    assert len(tab.code) == 0


def test_hidden_amounts_hide_what_the_account_did(portal):
    tab = portal.show(with_account(BOUGHT))
    tab.toggle(key="hide").set_value(True).run()

    assert "Your file is behind the account" in html(tab)
    assert "bought 1" not in html(tab)
    assert len(tab.code) == 0
    assert list(table(tab, "Likely cause").columns) == ["Contract", "Agrees", "Likely cause"]


def test_what_file_and_account_hold_comes_first_where_a_phone_shows_it(portal):
    rows = table(portal.show(with_account(BOUGHT)), "Likely cause")

    assert list(rows.columns[:3]) == ["Contract", "File qty", "Account qty"]


def test_file_and_account_are_compared_contract_by_contract_what_differs_first(portal):
    rows = table(portal.show(with_account(BOUGHT)), "Likely cause")

    first = rows.iloc[0]
    assert list(first[["Contract", "Agrees", "File qty", "Account qty"]]) == [
        "AAPL 15 Jan 27 275 C",
        "NO",
        "+3",
        "+4",
    ]
    assert first["Likely cause"] == "filled after the file was written"
    assert first["File value $"] == "+4,350.00"
    assert rows["Account value $"].isna().all()
    assert set(rows["Agrees"][1:]) == {"yes"}


def test_what_is_sold_has_a_true_minus_as_everywhere_on_the_page(portal):
    tab = portal.show(with_account())
    rows = table(tab, "Likely cause")
    sold = [words for words in rows["File qty"] if not words.startswith("+")]

    assert sold
    assert all(re.fullmatch("−[0-9]+", words) for words in sold)
    # Neither here nor in what stands around it does a number begin with a hyphen.
    said = " ".join((re.sub("<[^>]*>", " ", html(tab)), *map(str, rows.to_numpy().ravel())))
    assert re.findall(r"(?<![\w-])-\$?[0-9][0-9.,]*", said) == []


def captions(tab) -> str:
    return " ".join(caption.value for caption in tab.caption)


def test_the_comparison_says_when_the_account_was_read_and_what_it_found(portal):
    assert "File and account agree. The account was read 15:32:04 UTC" in captions(
        portal.show(with_account())
    )
    portal.session.stop()
    assert "lines differ" in captions(portal.show(with_account(BOUGHT)))


def test_rows_of_the_account_that_cannot_be_read_keep_it_from_saying_that_all_agrees(portal):
    account = known_account()
    assert account.view is not None
    view = replace(account.view, left_out=frozenset({AAPL_CALL}), unnamed=2)
    words = captions(portal.show(lambda: scenes.live(account=replace(account, view=view))))

    assert "What can be compared agrees, 3 cannot be compared" in words
    assert "File and account agree" not in words


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (AccountState(), "without the fills stream it is not asked for"),
        (
            account_with(RestTask.POSITIONS, RestPhase.FAILED, problems=(Problem("No route."),)),
            "The account is not known: its positions could not be read, for the reason above.",
        ),
        (account_with(RestTask.POSITIONS, RestPhase.REQUESTING), "it was asked and has not answered"),
        (
            account_with(RestTask.POSITIONS, RestPhase.REQUESTING, problems=(Problem("Wait 20 s."),)),
            "The account is not known; it is asked again, for the reason above.",
        ),
        (
            account_with(RestTask.FILLS, RestPhase.FAILED, problems=(Problem("No route."),)),
            "The account is not known yet: its positions were not asked for yet.",
        ),
    ],
    ids=["off", "failed", "asking", "held up", "waiting"],
)
def test_an_account_that_is_not_known_is_said_so(portal, account, words):
    tab = portal.show(lambda: scenes.live(account=account))

    assert words in captions(tab)
    assert not any("Likely cause" in element.value.columns for element in tab.dataframe)


def test_before_start_the_account_is_not_known(portal):
    assert "The account is not known before Start" in captions(portal.open())


def test_the_file_is_compared_again_when_the_account_or_the_file_changes():
    book, comparison = load_portfolio(SAMPLE), FileComparison()
    behind = known_account(book, BOUGHT)
    assert comparison.behind(book, behind) is comparison.behind(book, behind)

    unknown = replace(behind, view=None)
    assert comparison.behind(book, unknown) is None
    assert comparison.behind(book, behind) is not None
    mended = book.changed(
        positions=tuple(
            entry.changed(contracts=4) if entry.id == "aapl-call" else entry for entry in book.positions
        )
    )
    assert sum(scenes.quantities(mended).values()) == sum(scenes.quantities(book).values()) + Decimal(1)
    assert comparison.behind(mended, behind) is None


def test_a_fill_is_told_before_the_positions_are_read_again():
    """The table of fills has it at once; a banner that waits for the next reading would contradict it."""
    book, comparison = load_portfolio(SAMPLE), FileComparison()
    just_filled = replace(known_account(book), later=(BOUGHT,))
    told = comparison.behind(book, just_filled)

    assert told is not None
    assert told.symbols == {BOUGHT.symbol}
    assert comparison.behind(book, replace(just_filled, later=())) is None


def test_what_differs_is_told_while_the_comparison_is_behind_its_tab(portal):
    assert "Account" not in warned(portal.show(with_account()))

    portal.session.stop()
    tab = portal.show(with_account(BOUGHT))
    assert "The edit to copy is under File and account." in warned(tab)
    assert "1 of 15 lines differ" in captions(tab)
