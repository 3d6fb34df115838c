"""One snapshot of several accounts: the market's once, and of each account what is its own and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

from options_helper.model.account import (
    AccountPositions,
    AccountState,
    PreviousClose,
    RestPhase,
    RestReport,
    RestTask,
)
from options_helper.model.problems import Problem
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.snapshots_together import Unusable, snapshots_together, streams_together
from options_helper.model.streams import StreamName, fills_of
from tests.kit.builders import AS_OF, health, quote, snapshot_with
from tests.portal import scenes

MAIN, IRA = fills_of("main"), fills_of("ira")
EARLIER = datetime(2026, 11, 20, 15, 1, tzinfo=UTC)


def close(symbol: str) -> dict[str, PreviousClose]:
    return {symbol: PreviousClose(symbol, Decimal(1), date(2026, 11, 19))}


def reports(**problems: str) -> MappingProxyType[RestTask, RestReport]:
    return MappingProxyType(
        {
            task: RestReport(
                task,
                RestPhase.FAILED if task.name in problems else RestPhase.DONE,
                done=1,
                finished_at=AS_OF,
                problems=(Problem(problems[task.name]),) if task.name in problems else (),
            )
            for task in RestTask
        }
    )


def market() -> LiveSnapshot:
    base = snapshot_with(quote("AAPL", 181.0, 181.1))
    streams = {name: one for name, one in base.streams.items() if name != StreamName.FILLS}
    return replace(
        base,
        fills=(scenes.fill(1),),
        streams=MappingProxyType({**streams, MAIN: StreamHealth(MAIN, Phase.LIVE)}),
        account=AccountState(
            reports=reports(),
            view=AccountPositions(AS_OF, {}, cash=Decimal(5)),
            closes=close("AAPL"),
            executions_day=AS_OF.date(),
        ),
    )


def own(account: AccountState | None = None, *, phase: Phase = Phase.LIVE) -> LiveSnapshot:
    """As a run of fills alone has it: no prices, and streams that are off."""
    return LiveSnapshot(
        AS_OF + timedelta(seconds=1),
        running=True,
        fills=(scenes.fill(2),),
        streams=MappingProxyType(
            {StreamName.STOCKS: health("stocks", Phase.OFF), IRA: StreamHealth(IRA, phase)}
        ),
        account=account or AccountState(reports=reports(), view=AccountPositions(AS_OF, {}, cash=Decimal(7))),
    )


def test_each_account_has_its_own_fills_and_positions_and_the_prices_of_all():
    whole = snapshots_together("main", market(), {"ira": own()})

    assert list(whole.accounts) == ["main", "ira"]
    for account, cash, number in (("main", 5, 1), ("ira", 7, 2)):
        one = whole.accounts[account]
        assert one.quotes is whole.quotes
        assert one.as_of == whole.as_of
        assert one.account.view is not None
        assert one.account.view.cash == cash
        assert [fill.order_id for fill in one.fills] == [f"order-{number}"]
        assert [name for name in one.streams if name.kind.carries_orders] == [fills_of(account)]
        assert one.streams[StreamName.STOCKS] is whole.streams[StreamName.STOCKS]
        assert not one.accounts


def test_the_whole_has_every_stream_and_fill_and_no_positions_to_be_taken_for_one_accounts():
    whole = snapshots_together("main", market(), {"ira": own()})

    assert {MAIN, IRA} <= set(whole.streams)
    assert [fill.order_id for fill in whole.fills] == ["order-1", "order-2"]
    assert whole.account.view is None
    assert whole.account.executions == ()
    assert whole.account.executions_day is None


def test_fills_are_in_the_order_of_their_times_whichever_account_they_are_of():
    late = replace(market(), fills=(scenes.fill(3),))
    early = replace(own(), fills=(scenes.fill(1, at=EARLIER), scenes.gone(number=9)))

    whole = snapshots_together("main", late, {"ira": early})

    assert [fill.identity for fill in whole.fills] == ["execution-1", "execution-3", "execution-9"]


def test_closes_of_what_an_account_traded_alone_are_its_own_and_those_of_the_market_stay():
    further = AccountState(reports=reports(), closes={**close("MSFT"), "AAPL": close("OTHER")["OTHER"]})

    whole = snapshots_together("main", market(), {"ira": own(further)})

    closes = whole.accounts["ira"].account.closes
    assert set(closes) == {"AAPL", "MSFT"}
    assert closes["AAPL"].symbol == "AAPL"
    assert set(whole.accounts["main"].account.closes) == {"AAPL"}


def test_trouble_is_told_with_the_account_that_has_it_and_is_no_others():
    troubled = own(AccountState(reports=reports(POSITIONS="The key was refused.", PRICES="No closes.")))

    whole = snapshots_together("main", market(), {"ira": troubled})

    for task, said in ((RestTask.POSITIONS, "The key was refused."), (RestTask.PRICES, "No closes.")):
        assert whole.accounts["main"].account.reports[task].problem is None
        assert whole.accounts["ira"].account.reports[task].problem == said
        assert whole.account.reports[task].problem == f"ira: {said}"
        assert whole.account.reports[task].phase is RestPhase.FAILED
    assert whole.accounts["ira"].account.reports[RestTask.CHAINS].problem is None


def test_what_was_read_of_all_is_as_old_as_the_oldest_reading():
    old = dict(reports())
    old[RestTask.POSITIONS] = replace(old[RestTask.POSITIONS], finished_at=EARLIER - timedelta(hours=1))
    whole = snapshots_together("main", market(), {"ira": own(AccountState(reports=MappingProxyType(old)))})
    assert whole.account.reports[RestTask.POSITIONS].finished_at == EARLIER - timedelta(hours=1)

    unread = own(AccountState())
    whole = snapshots_together("main", market(), {"ira": unread})
    assert whole.account.reports[RestTask.POSITIONS].finished_at is None


def test_an_account_that_cannot_be_asked_is_there_with_the_reason_and_costs_the_other_nothing():
    whole = snapshots_together("main", market(), {"ira": Unusable("env_file ira.env is not there.")})

    ira = whole.accounts["ira"]
    assert ira.account.view is None
    assert ira.fills == ()
    assert not any(name.kind.carries_orders for name in ira.streams)
    assert ira.account.reports[RestTask.POSITIONS].problem == "env_file ira.env is not there."
    assert whole.accounts["main"].account.view is not None
    assert whole.account.reports[RestTask.POSITIONS].problem == "ira: env_file ira.env is not there."


def test_what_became_of_ended_contracts_is_asked_of_each_account():
    ended = scenes.execution("AAPL261120C00180000", -1, "0", at=AS_OF)
    facts = replace(
        market().expiry_facts,
        executions=(ended,),
        executions_since=AS_OF.date(),
        executions_read_at=AS_OF,
    )

    whole = snapshots_together("main", market(), {"ira": replace(own(), expiry_facts=facts)})

    assert whole.accounts["ira"].expiry_facts.executions == (ended,)
    assert whole.accounts["ira"].expiry_facts.executions_read_at == AS_OF
    assert whole.accounts["main"].expiry_facts.executions == ()
    assert whole.accounts["main"].expiry_facts.executions_read_at is None


def test_a_stream_that_several_accounts_runs_have_is_as_the_worst_of_them_says_with_the_ledger_of_all():
    stocks = StreamName.STOCKS
    main = StreamHealth(
        stocks,
        Phase.LIVE,
        last_error="of before",
        received=5,
        applied=4,
        missed=1,
        requested=("AAPL", "MSFT"),
    )
    ira = StreamHealth(
        stocks,
        Phase.FAILED,
        last_error="Refused.",
        received=3,
        applied=2,
        dropped=1,
        requested=("SPY", "AAPL"),
    )
    roth = StreamHealth(stocks)
    fills = StreamHealth(IRA, Phase.LIVE, last_error="of before")

    whole = streams_together(
        {"main": {stocks: main}, "ira": {stocks: ira, IRA: fills}, "roth": {stocks: roth}}
    )

    both = whole[stocks]
    assert (both.phase, both.last_error) == (Phase.FAILED, "ira: Refused.")
    assert both.requested == ("AAPL", "MSFT", "SPY")
    assert (both.received, both.applied, both.dropped, both.missed) == (8, 6, 1, 1)
    assert both.accounted
    assert whole[IRA] is fills, "nobody else has one"
