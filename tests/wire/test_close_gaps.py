"""Gaps cut into a recorded day are closed by the real client from the market's history, row for row."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from options_helper.data.recording.close_gaps import ClosingReport, close_gaps
from options_helper.data.recording.loss_log import loss_rows
from options_helper.data.recording.verify import audit
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RequestLimits, RestPolicy
from options_helper.data.streaming.messages import decode_frame
from options_helper.errors import RestError
from options_helper.model.events import Quote, Trade, stamp
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import NO_FAULTS, Faults, Message
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.cut import MINUTE, Told, record_cut, rows_kept, uncut_rows
from tests.kit.fakes import SteppedClock, frame, quote_message
from tests.kit.pace import LONG
from tests.kit.recordings import TAQ_SYMBOL, Recordings
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import wait_until
from tests.wire.test_capture import ONLY_STOCKS, capturing

SECOND = NANOSECONDS
DATASETS = ("quotes", "trades", "quotes_backfill", "trades_backfill")
RECORDED: Any = {"channels": {"stocks": ("quotes", "trades")}, "asked": {"stocks": (TAQ_SYMBOL,)}}
UNPROVEN = "no rows recorded before and after it"
SEEDS = range(20) if LONG else range(2)


@dataclass(frozen=True, slots=True)
class DayThatIsOver(SilentMarket):
    """A recorded day, some hours later: nothing happens any more, and all of it is past."""

    recording: ReplayMarket = field(kw_only=True)

    def past(self, kind: str, symbol: str, since_ns: int, until_ns: int) -> Sequence[Message]:
        """What was recorded."""
        return self.recording.past(kind, symbol, since_ns, until_ns)


@pytest.fixture(scope="module")
def recording(recordings: Recordings) -> ReplayMarket:
    return ReplayMarket(recordings.folder("quotes", "trades", opening=not LONG))


@pytest.fixture(scope="module")
def events(recording: ReplayMarket) -> list[Told]:
    """The first day (but for the long form, its opening) as a capture receives it, a millisecond later."""
    day = recording.start_ns, recording.start_ns + 16 * 60 * MINUTE
    messages = itertools.chain.from_iterable(recording.past(kind, TAQ_SYMBOL, *day) for kind in "qt")
    return list(_received(messages))


def _received(messages: Iterator[Message]) -> Iterator[Told]:
    for message in messages:
        (event,) = decode_frame(frame(message)).events
        assert isinstance(event, Quote | Trade)
        stamp(event, (event.timestamp_ns or 0) + SECOND // 1_000)
        yield event


@pytest.fixture(scope="module")
def market(recording: ReplayMarket) -> Iterator[SimulatorServer]:
    with SimulatorServer(
        DayThatIsOver(start_ns=recording.until_ns + 60 * MINUTE, recording=recording)
    ) as server:
        yield server


@pytest.fixture(scope="module")
def uncut(events: list[Told], tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ...]]:
    return uncut_rows(tmp_path_factory.mktemp("uncut"), events)


def cut_at_random(seed: int, events: Sequence[Told]) -> list[tuple[int, int]]:
    """Some gaps of a second to some minutes where there is much to be heard; they may overlap."""
    chance = random.Random(seed)
    begins = [chance.choice(events).received_ns for _ in range(chance.randint(2, 5))]
    return [(since_ns, since_ns + int(chance.lognormvariate(3.0, 1.5) * SECOND)) for since_ns in begins]


def client(market: SimulatorServer, policy: RestPolicy = PATIENT_REST) -> AlpacaRest:
    return AlpacaRest(settings_for(market), policy=policy)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_with_gaps_is_the_uncut_day_again_row_for_row(
    seed: int, events: list[Told], uncut: list[tuple[str, ...]], market: SimulatorServer, tmp_path: Path
):
    gaps = cut_at_random(seed, events)
    record_cut(tmp_path, events, gaps, **RECORDED)
    assert len(rows_kept(tmp_path, *DATASETS)) < len(uncut)

    with client(market) as rest:
        report = close_gaps(tmp_path, rest, now=utc_datetime(market.now_ns))

    assert report.problems == report.later == ()
    # Where nothing was quoted or traded for a minute, nothing proves that an answer without more is whole.
    assert {closing.why.partition(" prove")[0] for closing in report.closings} <= {"", UNPROVEN}
    assert all(0 < closing.recorded == closing.found for closing in report.closings)
    assert rows_kept(tmp_path, *DATASETS) == uncut
    found = audit(tmp_path)
    assert found.ok
    assert found.closings == report.closings


@pytest.mark.parametrize("seed", range(3) if LONG else range(1))
def test_hundreds_of_short_gaps_are_closed_in_few_requests_and_several_runs(
    seed: int, events: list[Told], uncut: list[tuple[str, ...]], market: SimulatorServer, tmp_path: Path
):
    chance = random.Random(seed)
    begins = [chance.choice(events).received_ns for _ in range(800 if LONG else 200)]
    gaps = [(since_ns, since_ns + int(chance.lognormvariate(0.0, 1.0) * SECOND)) for since_ns in begins]
    record_cut(tmp_path, events, gaps, **RECORDED)
    limits = RequestLimits()

    reports: list[ClosingReport] = []
    with AlpacaRest(settings_for(market), policy=PATIENT_REST, limits=limits) as rest:
        while not reports or reports[-1].unfinished:
            reports.append(close_gaps(tmp_path, rest, now=utc_datetime(market.now_ns), requests=8))

    assert len(reports) > 1
    asked = sum(one.requests for host in limits.report().values() for one in host.endpoints.values())
    assert asked <= 10 * len(reports) <= len(set(gaps))
    closings = [closing for report in reports for closing in report.closings]
    assert {(one.found == one.recorded, one.beside) for one in closings} == {(True, 0)}
    assert rows_kept(tmp_path, *DATASETS) == uncut


def test_a_pause_that_history_asks_for_is_kept_and_a_lasting_one_leaves_the_gap(
    events: list[Told], market: SimulatorServer, tmp_path: Path
):
    middle_ns = events[len(events) // 2].received_ns
    record_cut(tmp_path, events, [(middle_ns, middle_ns + SECOND)], **RECORDED)
    now = utc_datetime(market.now_ns)
    refused = Faults(rest_status=429, rest_retry_after=0.01)

    market.set_faults(refused)
    with client(market) as rest, pytest.raises(RestError, match="429"):
        close_gaps(tmp_path, rest, now=now)
    assert audit(tmp_path).closings == ()

    market.set_faults(replace(refused, rest_first_requests=2))
    with client(market, replace(PATIENT_REST, attempts=3)) as rest:
        report = close_gaps(tmp_path, rest, now=now)
    market.set_faults(NO_FAULTS)
    assert [0 < closing.recorded == closing.found for closing in report.closings] == [True]


@pytest.mark.parametrize("played_ago_ns", [0, 21 * 24 * 60 * MINUTE], ids=["now", "played"])
def test_a_capture_that_was_cut_off_and_goes_on_is_completed_while_it_records(
    running_simulator: Callable[..., SimulatorServer], tmp_path: Path, played_ago_ns: int
):
    """Of a market that is played, too, whose time is not the computer's."""
    clock = SteppedClock()
    server = running_simulator(SilentMarket(), computer_ns=lambda: clock.now_ns - played_ago_ns)
    numbers = itertools.count()

    def quoted(count: int) -> None:
        for _ in range(count):
            clock.now_ns += SECOND
            message = quote_message("AAPL", 1 + next(numbers), at_ns=server.now_ns)
            server.push(StreamName.STOCKS, [message])

    def recorded() -> int:
        return len(rows_kept(tmp_path, "quotes"))

    with capturing(server, tmp_path, ONLY_STOCKS, now_ns=clock, flush_events=1, journal=False) as capture:
        quoted(5)
        wait_until(lambda: recorded() == 5, saw=recorded)
        server.set_faults(Faults(http_status=503))
        server.reset_all()
        wait_until(lambda: capture.status().streams[StreamName.STOCKS].phase is Phase.RECONNECTING)
        quoted(3)
        server.set_faults(NO_FAULTS)
        wait_until(lambda: bool(server.subscribed(StreamName.STOCKS)), saw=capture.status)
        quoted(4)
        wait_until(lambda: recorded() == 9, saw=recorded)
        wait_until(lambda: len(loss_rows(tmp_path)) == 1, saw=lambda: loss_rows(tmp_path))

        with client(server) as rest:
            report = close_gaps(tmp_path, rest, now=utc_datetime(clock.now_ns + 5 * MINUTE))

    (closing,) = report.closings
    assert "9 of 9 recorded rows are in the answer, 3 more" in closing.words
    # Nothing but quotes of AAPL was pushed.
    assert closing.why == f"{UNPROVEN} prove the answer whole for trades, MSFT"
    assert len(rows_kept(tmp_path, "quotes", "quotes_backfill")) == next(numbers)
    assert audit(tmp_path).closings == report.closings
