"""What a run is told of contracts that end: by the manager with alpaca-py's clients against the simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.polling import expiry_reading
from options_helper.data.streaming.polling.expiry_reading import read_expiry_facts, together
from options_helper.model.account import ExecutionKind, RestPhase, RestReport, RestTask
from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.instants import utc_datetime
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import nanoseconds, new_york
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import A_PROCESS, wait_until
from tests.wire.test_account_watch import SOON, watching

FRIDAY = date(2026, 11, 20)
PUT, INDEX = "AAPL261120P00200000", "SPXW261120P06600000"
FAR = "AAPL270115P00200000"
CONFIG = LiveStreamConfig(stocks=("AAPL",), option_contracts=(PUT, INDEX, FAR))
AGAIN = replace(SOON, expiries=0.2)

Simulators = Callable[..., SimulatorServer]


@pytest.fixture
def friday(running_simulator: Simulators) -> SimulatorServer:
    """Ten minutes before the close; the account holds all of it."""
    server = running_simulator(SilentMarket(start_ns=nanoseconds(new_york("2026-11-20 15:50"))))
    for symbol in (PUT, INDEX, FAR):
        server.account.set_position(symbol, -1, 2)
    server.account.set_position("AAPL", 100, 190)
    return server


def report(manager: LiveStreamManager) -> RestReport:
    return manager.snapshot().account.reports[RestTask.EXPIRIES]


def settled(manager: LiveStreamManager) -> None:
    """Until all is told as of the simulator's day, which a stream tells after the connection."""
    wait_until(
        lambda: (
            report(manager).phase is RestPhase.DONE
            and manager.snapshot().expiry_facts.executions_since == date(2026, 11, 13)
        ),
        timeout=A_PROCESS,  # of several looks, each with questions of its own
        saw=lambda: report(manager),
    )


def test_records_and_hours_of_what_ends_soon_are_in_the_snapshot(friday: SimulatorServer):
    with watching(friday, CONFIG) as manager:
        settled(manager)
        facts = manager.snapshot().expiry_facts

    assert facts.records.keys() == {PUT, INDEX}
    assert facts.records[INDEX].exercise_style == "european"
    assert facts.executions_since == date(2026, 11, 13)
    times = {*(one.read_at for one in facts.records.values()), *facts.late_close_read_at.values()}
    assert None not in {*times, facts.executions_read_at}


def test_what_became_of_a_contract_comes_while_the_run_goes_on(friday: SimulatorServer):
    """As on the morning after: an assignment and the shares that it moved, with a day and no time."""
    with watching(friday, CONFIG, AGAIN) as manager:
        settled(manager)
        friday.account.add_activity("OPASN", PUT, 1)
        friday.account.add_activity("OPTRD", "AAPL", 100, 200)
        wait_until(lambda: len(manager.snapshot().expiry_facts.executions) == 2)
        executions = manager.snapshot().expiry_facts.executions

    assert {(one.symbol, one.kind, one.day) for one in executions} == {
        (PUT, ExecutionKind.ASSIGNMENT, FRIDAY),
        ("AAPL", ExecutionKind.OPTION_TRADE, FRIDAY),
    }


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2/account/activities", "what became of contracts that ended"),
        ("/v2/options/contracts", "their root decides"),
        ("/v2/assets", "how long options on AAPL are traded"),
    ],
)
def test_an_answer_that_fails_costs_itself_and_is_asked_again(friday: SimulatorServer, path: str, said: str):
    friday.set_faults(Faults(rest_status=500, rest_path=path))
    with watching(friday, CONFIG) as manager:
        wait_until(lambda: report(manager).problem is not None, saw=lambda: report(manager))
        assert said in (report(manager).problem or "")
        assert manager.snapshot().account.reports[RestTask.EXPIRIES].finished_at is None

        friday.set_faults(Faults())
        settled(manager)

    assert report(manager).problem is None


def test_what_was_told_stays_when_it_cannot_be_asked_again(friday: SimulatorServer):
    friday.account.add_activity("OPEXP", PUT, 1)
    with watching(friday, CONFIG, AGAIN) as manager:
        settled(manager)
        friday.set_faults(Faults(rest_status=500))
        wait_until(lambda: report(manager).phase is RestPhase.FAILED, saw=lambda: report(manager))
        facts = manager.snapshot().expiry_facts

    assert (len(facts.executions), facts.executions_since, len(facts.records)) == (1, date(2026, 11, 13), 2)


def test_a_class_and_expiry_is_one_question(friday: SimulatorServer):
    """However many strikes of it are held."""
    strikes = [f"AAPL261120P00{strike}000" for strike in (190, 195, 200)]
    for symbol in strikes:
        friday.account.set_position(symbol, 1, 2)
    with AlpacaRest(settings_for(friday), policy=PATIENT_REST) as rest:
        found = read_expiry_facts(rest, strikes, utc_datetime(friday.now_ns))

    asked = [path for path in friday.requests if path.startswith("/v2/options/contracts")]
    assert found.problems == ()
    assert found.facts.records.keys() == set(strikes)
    assert [friday.requests[path] for path in asked] == [1]


def test_what_an_adjusted_contract_delivers_is_asked_for_as_long_as_it_lives(friday: SimulatorServer):
    """Of others only what ends within a week is; what ended is not asked for."""
    adjusted, usual, ended = "AAPL1270115C00200000", "AAPL270115C00200000", "AAPL1261113C00200000"
    for symbol in (adjusted, usual, ended):
        friday.account.set_position(symbol, 1, 2)
    with AlpacaRest(settings_for(friday), policy=PATIENT_REST) as rest:
        found = read_expiry_facts(rest, [adjusted, usual, ended, PUT], utc_datetime(friday.now_ns))

    assert found.facts.records.keys() == {adjusted, PUT}
    assert found.facts.records[adjusted].deliverables == (Deliverable("AAPL", Decimal(110)),)
    usually = found.facts.records[PUT]
    assert (usually.size, usually.multiplier) == (Decimal(100), Decimal(100))
    assert usually.deliverables == (Deliverable(parse_contract_symbol(PUT).underlying, Decimal(100)),)


MANY = (PUT, INDEX, "MSFT261120P00400000", "NVDA261120P00100000", "SPY261123P00600000")


def test_more_than_one_look_has_room_for_have_their_turn_in_the_next(
    running_simulator: Simulators, monkeypatch: pytest.MonkeyPatch
):
    """One that fails again and again takes the place of no other."""
    prices = {"AAPL": 200.0, "MSFT": 400.0, "NVDA": 100.0, "SPY": 600.0}
    begin = nanoseconds(new_york("2026-11-20 15:50"))
    friday = running_simulator(SilentMarket(start_ns=begin, prices=prices, contracts=MANY))
    monkeypatch.setattr(expiry_reading, "AT_MOST", 2)
    friday.set_faults(Faults(rest_status=500, rest_path=f"/v2/options/contracts/{PUT}"))
    with watching(friday, LiveStreamConfig(stocks=("AAPL",), option_contracts=MANY)) as manager:

        def told() -> set[str]:
            facts = manager.snapshot().expiry_facts
            return {*facts.records, *facts.late_close}

        wait_until(lambda: told() == {*MANY, *prices} - {PUT}, timeout=A_PROCESS, saw=told)

        friday.set_faults(Faults())
        wait_until(lambda: PUT in told(), timeout=A_PROCESS, saw=told)
        settled(manager)


def test_one_look_says_how_many_had_no_turn(friday: SimulatorServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expiry_reading, "AT_MOST", 2)
    with AlpacaRest(settings_for(friday), policy=PATIENT_REST) as rest:
        at = utc_datetime(friday.now_ns)
        first = read_expiry_facts(rest, MANY, at)
        second = read_expiry_facts(rest, MANY, at, asked=first.asked)

    assert (len(first.asked), first.left) == (4, 5)
    assert (len(second.asked), second.left) == (4, 1)
    assert not first.asked & second.asked


def test_what_was_told_by_a_clock_that_was_put_right_since_is_kept():
    """By another market's time it is of another session, and counts nothing."""
    at = new_york("2026-11-20 10:00")
    known = ExpiryFacts(
        records={PUT: ContractRecord(symbol=PUT, read_at=at)},
        late_close={"AAPL": False},
        late_close_read_at={"AAPL": at},
        executions_since=at.date(),
        executions_read_at=at,
    )

    put_right = together(known, ExpiryFacts(), at - timedelta(hours=1))
    another = together(known, ExpiryFacts(), at - timedelta(days=30))
    assert put_right == known
    assert another == ExpiryFacts()


def test_the_record_of_what_ended_long_ago_is_kept_no_more():
    def told(*symbols: str) -> ExpiryFacts:
        return ExpiryFacts(records={one: ContractRecord(symbol=one) for one in symbols})

    kept = together(told(PUT, FAR), told(INDEX), new_york("2026-11-20 10:00"))
    assert kept.records.keys() == {PUT, INDEX, FAR}
    assert together(kept, told(), new_york("2026-11-28 10:00")).records.keys() == {FAR}
