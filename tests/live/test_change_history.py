"""What is kept of a book from moment to moment: its change is told since Start, or since a later step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from math import fsum

import numpy as np
import pytest
from msgspec import structs

from options_helper.analysis.book_look import look_at_book
from options_helper.analysis.risk.book_reading import keyed_lines, reading_of
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.change_subject import BOOK
from options_helper.analysis.risk.fill_costs import DayTrades, Traded, trades_of_day
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.what_changed import Change, Part, change_of
from options_helper.data.portfolio_file import open_portfolio_file
from options_helper.live.change_history import ChangeHistory, ChangeRecord
from options_helper.live.session import READING_SECONDS, LiveSession, RunSettings
from options_helper.model.account import AccountState
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import Portfolio, load_portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.settings import Settings
from tests.portal import scenes
from tests.portal.scenes import ShowingManager

SAMPLE = load_portfolio(scenes.SAMPLE)


def snapshot(minute: int) -> LiveSnapshot:
    """A minute later every price has moved by a little."""
    as_of = scenes.OPEN + timedelta(minutes=minute)
    return scenes.live(as_of=as_of, step=minute)


def book(minute: int, portfolio: Portfolio = SAMPLE) -> BookFigures:
    return look_at_book(
        portfolio, snapshot(minute), RiskChoices(), stale_after_seconds=30, wide_spread_pct=25
    ).risk


def history_of(books: Iterable[BookFigures], steps_at_most: int = 500) -> ChangeRecord:
    history = ChangeHistory(steps_at_most)
    for one in books:
        history.add(one, None, is_heard=True)
    record = history.record()
    assert record is not None
    return record


def worth(one: Reading) -> float:
    return fsum(one.worth[one.is_known].tolist())


@pytest.fixture(scope="module")
def books() -> list[BookFigures]:
    """Of the first eight minutes."""
    return [book(minute) for minute in range(8)]


@pytest.fixture(scope="module")
def readings(books: list[BookFigures]) -> list[Reading]:
    """The same as they are kept."""
    return [reading_of(one) for one in books]


def test_a_reading_has_each_line_at_its_mark(readings: list[Reading]):
    look = look_at_book(SAMPLE, snapshot(0), RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)

    assert readings[0].keys == tuple(key for key, _ in keyed_lines(look.risk))
    assert len(set(readings[0].keys)) == len(look.risk.lines)
    value = np.nansum([*look.positions["market_value"], *look.structures["net_mark"]])
    assert worth(readings[0]) == pytest.approx(value)


def test_a_book_that_cannot_be_heard_has_no_marks():
    assert not reading_of(book(0)).unheard().is_known.any()


def test_the_change_since_start_is_what_the_marks_say_and_its_parts_add_up(
    books: list[BookFigures], readings: list[Reading]
):
    change = change_of(history_of(books).since(None))

    assert change.profit == pytest.approx(worth(readings[-1]) - worth(readings[0]))
    assert fsum(change.parts.values()) == pytest.approx(change.profit)
    assert change.parts[Part.THETA]
    assert change.parts[Part.VEGA]


def test_a_later_moment_begins_there(books: list[BookFigures], readings: list[Reading]):
    record = history_of(books)

    assert record.moments == tuple(one.at for one in readings)
    change = change_of(record.since(readings[5].at))
    assert change.since == readings[5].at
    assert change.profit == pytest.approx(worth(readings[-1]) - worth(readings[5]))


def test_what_is_not_a_step_yet_is_in_the_change_all_the_same(
    books: list[BookFigures], readings: list[Reading]
):
    soon = replace(
        books[0],
        as_of=books[0].as_of + timedelta(seconds=5),
        lines=tuple(
            structs.replace(line, mark=None if line.mark is None else line.mark + 0.01)
            for line in books[0].lines
        ),
    )
    record = history_of([books[0], soon])

    assert len(record.moments) == 1
    assert change_of(record.since(None)).profit == pytest.approx(worth(reading_of(soon)) - worth(readings[0]))


def test_a_stretch_that_was_not_heard_is_a_gap_and_no_volatility(books: list[BookFigures]):
    history = ChangeHistory()
    history.add(books[0], None, is_heard=True)
    history.add(books[3], None, is_heard=True, was_lost=True)
    record = history.record()
    assert record is not None
    change = change_of(record.since(None))

    assert change.parts[Part.GAP]
    assert change.parts[Part.VEGA] == change.parts[Part.THETA] == 0
    assert [gap.until for gap in change.gaps] == [books[3].as_of]


def test_a_book_that_cannot_be_heard_is_no_step_of_its_profit(books: list[BookFigures]):
    history = ChangeHistory()
    history.add(books[0], None, is_heard=True)
    history.add(books[3], None, is_heard=False)
    record = history.record()
    assert record is not None

    assert change_of(record.since(None)).profit == 0


def test_a_fill_costs_its_price_also_when_the_line_is_gone(books: list[BookFigures]):
    """All of the first entry is sold a dollar below its mark; nothing else moves."""
    sold = next(line for line in books[0].lines if line.mark and line.multiplier)
    assert sold.mark is not None
    assert sold.multiplier is not None
    rest = Portfolio(positions=tuple(one for one in SAMPLE.positions if one.id != sold.position_id))
    without = replace(book(0, rest), as_of=books[0].as_of + timedelta(minutes=1))
    day = new_york_date(books[0].as_of)
    done = Traded(-sold.quantity, -sold.quantity * (sold.mark - 1.0))
    history = ChangeHistory()
    history.add(books[0], DayTrades(day, {}), is_heard=True)
    history.add(without, DayTrades(day, {sold.symbol: done}), is_heard=True)
    record = history.record()
    assert record is not None
    change = change_of(record.since(None))

    assert change.parts[Part.FILLS] == pytest.approx(-sold.quantity * sold.multiplier)
    assert change.unpriced == 0


def test_a_long_session_keeps_its_total_and_the_newest_steps(books: list[BookFigures]):
    record = history_of(books, steps_at_most=3)

    assert record.moments == tuple(one.as_of for one in books[-3:])
    assert record.strip.since == books[0].as_of


def test_a_book_from_before_the_last_is_passed_over(books: list[BookFigures]):
    record = history_of([books[4], books[1]])

    assert record.newest.at == books[4].as_of


def test_a_day_of_many_looks_is_kept_in_as_many_steps_as_are_allowed_and_no_more(books: list[BookFigures]):
    """A virtual day with a look each minute and a loss of the streams each hour."""
    history = ChangeHistory(steps_at_most=50)
    sizes = []
    for hour in range(24):
        for second in range(0, 3_600, 60):
            at = books[0].as_of + timedelta(hours=hour, seconds=second)
            history.add(
                replace(books[second % len(books)], as_of=at), None, is_heard=True, was_lost=second == 0
            )
        record = history.record()
        assert record is not None
        sizes.append((len(record.steps), size_of(record)))

    assert sizes[0][0] == 50
    assert len(set(sizes[1:])) == 1, "what is kept after two hours is kept after a day"


def size_of(record: ChangeRecord) -> int:
    """Numbers in all arrays that are kept, and gaps up to as many as are told one by one."""
    readings = (*record.steps, record.newest, record.strip.last)
    arrays = [getattr(one, name) for one in readings for name in ("mark", "slope", "paid", "underlying")]
    return sum(len(one) for one in arrays) + record.strip.amounts.size + min(len(record.strip.gaps), 1)


def test_a_run_tells_what_its_fills_cost_by_the_accounts_own_executions():
    """A contract of the file is bought and sold again between two looks, half a dollar dearer."""
    contract = next(one for one in SAMPLE.instruments if one.is_option and one.multiplier == 100).live_symbol
    bought, sold = (
        scenes.execution(contract, quantity, price, at=scenes.OPEN)
        for quantity, price in ((1, "2.00"), (-1, "2.50"))
    )
    seconds, told = [0.0], [scenes.known_account()]
    session = LiveSession(
        build_manager=lambda settings: ShowingManager(
            lambda: scenes.live(account=told[-1], as_of=scenes.OPEN + timedelta(seconds=seconds[0])),
            settings.market_kind,
        ),
        monotonic=lambda: seconds[0],
        housekeeping_seconds=3_600,
    )
    session.start(open_portfolio_file(str(scenes.SAMPLE), [scenes.SAMPLE.parent]), RunSettings(), Settings())
    try:
        session.keep()
        told.append(scenes.known_account(None, bought, sold))
        seconds[0] += READING_SECONDS
        session.keep()
        record = session.changes()
    finally:
        session.stop()
    assert record is not None

    assert change_of(record.since(None)).parts[Part.FILLS] == pytest.approx(50.0)


def record_of(*looks: tuple[Portfolio, LiveSnapshot]) -> ChangeRecord:
    """What is kept of these books, each with the executions that the account tells beside it."""
    history = ChangeHistory()
    for portfolio, live in looks:
        look = look_at_book(portfolio, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)
        history.add(look.risk, trades_of_day(portfolio, live), is_heard=True)
    record = history.record()
    assert record is not None
    return record


def beside(account: AccountState, minute: int) -> LiveSnapshot:
    return scenes.live(account=account, as_of=scenes.OPEN + timedelta(minutes=minute), step=minute)


def test_the_days_profit_is_what_was_before_start_and_what_was_split_since():
    account = scenes.known_account()
    record = record_of(*((SAMPLE, beside(account, minute)) for minute in range(4)))
    whole = record.today(BOOK)
    assert whole is not None

    assert whole.profit == record.profits.of[BOOK]
    for subject in record.profits.of:
        day, since = record.today(subject), record.of(subject, None)
        assert day is not None
        assert fsum(day.parts.values()) == pytest.approx(day.profit)
        assert day.parts[Part.BEFORE] == pytest.approx(day.profit - since.profit)
        assert day.parts[Part.DELTA] == since.parts[Part.DELTA]


def test_what_was_closed_today_is_in_the_day_of_its_underlying():
    """Nothing is left of the contract, and what it made since the last close was made since Start alone."""
    entry = next(one for one in SAMPLE.positions if one.id == "aapl-call")
    sold = next(one for one in Portfolio(positions=(entry,)).instruments)
    count = Portfolio(positions=(entry,)).quantities[sold.live_symbol]
    rest = Portfolio(positions=tuple(one for one in SAMPLE.positions if one.id != "aapl-call"))
    done = scenes.execution(sold.live_symbol, -int(count), "3.00", at=scenes.OPEN)  # at its last close
    record = record_of(
        (SAMPLE, beside(scenes.known_account(), 0)), (rest, beside(scenes.known_account(SAMPLE, done), 1))
    )
    held = sum(record.profits.of[f"e:{one.id}"] or 0.0 for one in rest.positions)
    whole, underlying = record.today(BOOK), record.today("u:AAPL")
    assert whole is not None
    assert underlying is not None

    assert whole.profit == pytest.approx(held)
    others = sum(record.profits.of[f"u:{symbol}"] or 0.0 for symbol in ("SPY", "MSFT", "NVDA", "BRK.B"))
    assert underlying.profit == pytest.approx(whole.profit - others)
    assert record.of("u:AAPL", None).parts[Part.FILLS] != 0
    assert record.today("e:aapl-call") is None


def test_an_entry_that_lost_a_line_today_has_no_day_of_its_own_though_the_rest_has_a_profit():
    """What is left made so much, and the leg that was closed is not in it."""
    account = scenes.known_account()
    record = record_of(*((SAMPLE, beside(account, minute)) for minute in range(2)))
    newest, entry = record.newest, "e:spy-iron-condor"
    places = [n for n, key in enumerate(newest.keys) if key.startswith("spy-iron-condor ")]
    assert record.today(entry) is not None

    def day(*, slope: float, fills: int) -> Change | None:
        """Of the condor, one leg of which is held so and was traded so often."""
        slopes, counts = newest.slope.copy(), newest.fills.copy()
        slopes[places[0]], counts[places[0]] = slope, fills
        changed = replace(record, newest=replace(newest, slope=slopes, fills=counts))
        assert changed.profits.of[entry] is not None
        return changed.today(entry)

    assert day(slope=0.0, fills=1) is None
    assert day(slope=100.0, fills=1) is not None, "it was added to, and is held"
    assert day(slope=0.0, fills=0) is not None, "nothing of it was traded"


def test_a_run_of_yesterday_splits_the_day_from_midnight_on():
    night = [timedelta(hours=-20), timedelta(hours=-1), timedelta()]
    account = scenes.known_account()
    looks = [scenes.live(account=account, as_of=scenes.OPEN + by, step=n) for n, by in enumerate(night)]
    day = record_of(*((SAMPLE, look) for look in looks)).today(BOOK)
    assert day is not None

    assert day.since == looks[1].as_of


def test_gaps_and_changes_that_nobody_explains_are_told_of_the_lines_that_are_chosen(
    books: list[BookFigures],
):
    """A gap over which MSFT alone moved is none of AAPL's."""
    scenario = books[0].scenario
    of_msft = [line.underlying == "MSFT" for line in books[0].lines if line.iv_state is not None]
    moved = replace(
        books[0],
        as_of=books[0].as_of + timedelta(minutes=1),
        scenario=replace(scenario, mark=scenario.mark + np.array(of_msft)),
        lines=tuple(
            structs.replace(line, mark=line.mark + 1.0) if line.mark and line.underlying == "MSFT" else line
            for line in books[0].lines
        ),
    )
    history = ChangeHistory()
    history.add(books[0], None, is_heard=True)
    history.add(moved, None, is_heard=True, was_lost=True)
    record = history.record()
    assert record is not None

    assert [gap.dollars for gap in record.of("u:MSFT", None).gaps] == [
        pytest.approx(record.of("u:MSFT", None).parts[Part.GAP])
    ]
    assert record.of("u:AAPL", None).gaps == ()
    assert len(record.of(BOOK, None).gaps) == 1


def test_what_the_account_does_not_say_of_today_is_no_fill():
    assert trades_of_day(SAMPLE, snapshot(0)) is None
