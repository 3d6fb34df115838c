"""Viewers on a real bus: they show what the owner has, say which leg is ill, and count what they missed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from options_helper.analysis.live_health import Level, headline
from options_helper.bus.address import BusAddress
from options_helper.bus.streamer import BusStreamer, Legs
from options_helper.bus.viewer import BusManager
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.errors import StreamError
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from tests.kit.bus import nats_server
from tests.kit.fakes import CONFIG, NOON, announce, deliver, wait_for
from tests.kit.order_updates import order_update
from tests.kit.serving import Relay, quotes, serving
from tests.kit.waiting import AT_ONCE, wait_until

STOCKS = StreamName.STOCKS
WELL = (Phase.LIVE, Phase.QUIET)
WANTED = replace(CONFIG, stocks=("AAPL", "MSFT"))
SECOND = 1_000_000_000


@contextmanager
def viewing(
    address: BusAddress, *, now_ns: Callable[[], int] = utc_now_ns, config=WANTED
) -> Iterator[BusManager]:
    """A viewer without any keys; its ledger is checked at the end."""
    viewer = BusManager(Settings(), address, now_ns=now_ns)
    viewer.start(config)
    try:
        yield viewer
    finally:
        viewer.stop()
        for health in viewer.snapshot().streams.values():
            assert health.accounted, health


def stocks(viewer: BusManager) -> StreamHealth:
    return viewer.snapshot().streams[STOCKS]


def is_well(viewer: BusManager) -> bool:
    return stocks(viewer).phase in WELL


def said(viewer: BusManager) -> str:
    desk = viewer.snapshot().desk
    return "" if desk is None else " ".join(desk.remarks)


def bid(snapshot: LiveSnapshot, symbol: str = "AAPL") -> float | None:
    quote = snapshot.quotes.get(symbol)
    return None if quote is None else quote.bid_price


def test_a_viewer_without_keys_has_what_the_owner_has_to_the_receipt():
    go_on = threading.Event()
    with (
        nats_server() as server,
        serving(server, wait_for(go_on), deliver(*quotes(0, 200))) as owner,
        viewing(server.address) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        go_on.set()
        wait_until(lambda: bid(viewer.snapshot()) == 299, saw=lambda: stocks(viewer))
        wait_until(lambda: owner.events() == 400)

        theirs, ours = owner.manager.snapshot(), viewer.snapshot()
        assert dict(ours.quotes) == dict(theirs.quotes), "the moment of receipt among it"
        assert (stocks(viewer).received, stocks(viewer).applied, stocks(viewer).missed) == (400, 400, 0)
        assert stocks(viewer).acknowledged == ("AAPL", "MSFT")
        assert ours.desk is not None
        assert "served by here (process 1)" in ours.desk.owner


def test_who_comes_late_gets_the_picture_with_the_owners_receipts_and_no_event_in_the_ledger():
    with nats_server() as server, serving(server, deliver(*quotes(0, 20))) as owner:
        wait_until(lambda: owner.events() == 40)
        with viewing(server.address) as viewer:
            wait_until(lambda: bid(viewer.snapshot()) == 119, saw=lambda: stocks(viewer))

            assert dict(viewer.snapshot().quotes) == dict(owner.manager.snapshot().quotes)
            assert stocks(viewer).received == 0


def test_who_learns_only_later_what_it_wants_gets_the_picture_too():
    """A page whose positions are the account's begins without symbols, and what lies still is all there is of them."""
    with nats_server() as server, serving(server, deliver(*quotes(0, 20))) as owner:
        wait_until(lambda: owner.events() == 40)
        with viewing(server.address, config=replace(WANTED, stocks=(), option_contracts=())) as viewer:
            wait_until(lambda: (desk := viewer.snapshot().desk) is not None and desk.owner)
            viewer.start(WANTED)

            wait_until(lambda: bid(viewer.snapshot()) == 119, saw=lambda: stocks(viewer))


def test_a_viewer_shows_only_the_symbols_it_wants_though_more_are_streamed():
    with nats_server() as server, serving(server, deliver(*quotes(0, 20))) as owner:
        wait_until(lambda: owner.events() == 40)
        with viewing(server.address, config=replace(WANTED, stocks=("MSFT", "TSLA"))) as viewer:
            wait_until(lambda: bid(viewer.snapshot(), "MSFT") == 219)
            wait_until(lambda: stocks(viewer).acknowledged == ("MSFT",), saw=lambda: stocks(viewer))

            assert set(viewer.snapshot().quotes) == {"MSFT"}
            assert stocks(viewer).requested == ("MSFT", "TSLA")


def test_without_an_owner_nothing_is_called_live_and_the_viewer_says_why():
    with nats_server() as server, viewing(server.address) as viewer:
        wait_until(
            lambda: "no owner has told of itself yet" in (stocks(viewer).last_error or ""),
            saw=lambda: stocks(viewer),
        )
        assert stocks(viewer).phase is Phase.CONNECTING

        with serving(server, deliver(*quotes(0, 1))):
            wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
            wait_until(lambda: bid(viewer.snapshot()) == 100)


def test_the_end_of_the_owner_is_the_first_leg_and_another_owner_is_a_gap():
    go_on = threading.Event()
    with nats_server() as server, viewing(server.address) as viewer:
        with serving(server, wait_for(go_on), deliver(*quotes(0, 5))):
            wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
            go_on.set()
            wait_until(lambda: bid(viewer.snapshot()) == 104)
        wait_until(
            lambda: "here (process 1) has ended in order" in (stocks(viewer).last_error or ""),
            saw=lambda: stocks(viewer),
        )
        assert stocks(viewer).phase is Phase.STOPPED
        with viewing(server.address) as late:
            wait_until(lambda: stocks(late).phase is Phase.STOPPED, saw=lambda: stocks(late))
        found = viewer.snapshot()
        assert bid(found) == 104, "the last price stays"
        assert found.running
        said_first = headline(found)
        assert said_first.level is Level.WARNING
        assert "stopped: From Alpaca to the owner: the owner on here" in said_first.sentence

        with serving(server, deliver(*quotes(50, 5)), epoch=NOON + 1):
            wait_until(lambda: bid(viewer.snapshot()) == 154, saw=lambda: stocks(viewer))
            wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
            # The picture may have the price first, which is no event.
            wait_until(lambda: stocks(viewer).received == 20, saw=lambda: stocks(viewer))
            assert any("Another owner took over; 0 events" in gap.reason for gap in stocks(viewer).gaps)
            assert stocks(viewer).missed == 0


def test_the_way_from_the_owner_that_is_cut_is_the_second_leg_and_what_was_missed_is_counted():
    go_on, later = threading.Event(), threading.Event()
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        serving(
            server,
            wait_for(go_on),
            deliver(*quotes(0, 10)),
            wait_for(later),
            deliver(*quotes(10, 40)),
            wait_for(threading.Event()),
        ) as owner,
        viewing(relay.address) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        go_on.set()
        wait_until(lambda: bid(viewer.snapshot()) == 109)
        relay.cut(stays_away=True)
        wait_until(lambda: stocks(viewer).phase is Phase.RECONNECTING, saw=lambda: stocks(viewer))
        assert "From the owner to this program" in (stocks(viewer).last_error or "")
        later.set()
        wait_until(lambda: owner.events() == 100)
        relay.heal()

        # The picture has what was missed, before the next frame comes.
        wait_until(lambda: bid(viewer.snapshot()) == 149, saw=lambda: stocks(viewer))
        owner.source_stream().sink.frame(quotes(90, 1)[0], 2)
        wait_until(lambda: bid(viewer.snapshot()) == 190, saw=lambda: stocks(viewer))
        health = stocks(viewer)
        assert (health.received, health.applied, health.missed) == (102, 22, 80)
        assert any(gap.lost == 80 for gap in health.gaps)
        assert "80 events were missed" in said(viewer)


def test_a_streamer_that_is_run_again_says_again_what_is_streamed_and_wants_a_picture_each_time():
    """What came while it was away may be the last for long: it is in the picture, and in no batch that is to come."""

    class Noted(StreamSink):
        def __init__(self) -> None:
            self.answers: list[tuple[str, ...]] = []

        def connected(self, announcement: str | None) -> None: ...

        def subscribed(
            self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
        ) -> None:
            self.answers.append(tuple(acknowledged))

        def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None: ...

        def notice(self, sentence: str) -> None: ...

        def invite(self) -> None: ...

    with nats_server() as server, Relay(server.port) as relay, serving(server):
        sink = Noted()
        legs = Legs()
        streamer = BusStreamer(relay.address, STOCKS, sink, legs, viewer="one")
        streamer.subscribe(["AAPL"], channels=("quotes",))
        for round_ in (1, 2):
            raised: list[StreamError] = []
            thread = threading.Thread(target=run_once, args=(streamer, raised), name="live-run")
            thread.start()
            wait_until(lambda: sink.answers.count(("AAPL",)) == round_, saw=lambda: sink.answers)  # noqa: B023
            wait_until(lambda: legs.holes == round_, saw=lambda: legs.holes)  # noqa: B023
            relay.cut()
            thread.join(AT_ONCE)
            assert raised


def run_once(streamer: BusStreamer, raised: list[StreamError]) -> None:
    try:
        streamer.run()
    except StreamError as error:
        raised.append(error)


def test_fills_and_account_are_those_of_the_owner():
    update = msgspec.json.encode(order_update())
    with (
        nats_server() as server,
        serving(server, fills=(deliver(update),)) as owner,
        viewing(server.address) as viewer,
    ):
        wait_until(lambda: owner.manager.snapshot().fills)
        wait_until(lambda: viewer.snapshot().fills, saw=lambda: viewer.snapshot().streams)

        assert viewer.snapshot().fills == owner.manager.snapshot().fills
        wait_until(
            lambda: viewer.snapshot().account == owner.manager.snapshot().account,
            saw=lambda: (viewer.snapshot().account, owner.manager.snapshot().account),
        )


def test_a_simulated_market_is_called_that_on_every_screen():
    header = Announcement(MarketKind.SIMULATED, NOON, 1.0, None).header()
    with (
        nats_server() as server,
        serving(server, announce(header), deliver(*quotes(0, 3))),
        viewing(server.address) as viewer,
    ):
        wait_until(lambda: viewer.snapshot().market is MarketKind.SIMULATED)
        wait_until(lambda: bid(viewer.snapshot()) == 102)

        age = viewer.snapshot().as_of - viewer.snapshot().quotes["AAPL"].received_at
        assert abs(age.total_seconds()) < 20


@pytest.mark.parametrize("off", [5, -5])
def test_a_clock_that_is_wrong_here_changes_no_age_and_is_said(off):
    go_on = threading.Event()
    with (
        nats_server() as server,
        serving(server, wait_for(go_on), deliver(*quotes(0, 3))) as owner,
        viewing(server.address, now_ns=lambda: utc_now_ns() + off * SECOND) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        go_on.set()
        wait_until(lambda: bid(viewer.snapshot()) == 102)
        wait_until(lambda: "ages are corrected" in said(viewer))
        wait_until(lambda: owner.events() == 6)  # what the owner folds, others may have had before

        ours = viewer.snapshot()
        theirs = owner.manager.snapshot()
        age = (ours.as_of - ours.quotes["AAPL"].received_at).total_seconds()
        their_age = (theirs.as_of - theirs.quotes["AAPL"].received_at).total_seconds()
        assert abs(age - their_age) < 2, "the clocks are five seconds apart"


def test_what_is_no_batch_ends_nothing_and_is_counted_by_the_next_one():
    go_on = threading.Event()
    with (
        nats_server() as server,
        serving(server, deliver(*quotes(0, 1)), wait_for(go_on), deliver(*quotes(1, 1))) as owner,
        viewing(server.address) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        owner.say("oh.desk.md.stocks", b"no batch at all")
        owner.say("oh.desk.state.health", b"\x00nothing")
        owner.say("oh.desk.acct.state.truth", b"\x01nothing")
        go_on.set()

        wait_until(lambda: bid(viewer.snapshot()) == 101)
        assert is_well(viewer)


def test_ten_viewers_hear_the_same():
    go_on = threading.Event()
    with (
        nats_server() as server,
        serving(server, wait_for(go_on), deliver(*quotes(0, 50))) as owner,
    ):
        viewers = [BusManager(Settings(), server.address) for _ in range(10)]
        try:
            for viewer in viewers:
                viewer.start(WANTED)
            wait_until(lambda: all(map(is_well, viewers)), saw=lambda: list(map(stocks, viewers)))
            go_on.set()
            wait_until(lambda: owner.events() == 100)
            wait_until(lambda: all(stocks(viewer).applied == 100 for viewer in viewers))
            assert (
                len({msgspec.msgpack.encode(sorted(one.snapshot().quotes.items())) for one in viewers}) == 1
            )
        finally:
            for viewer in viewers:
                viewer.stop()


def test_the_viewers_of_the_docs_run_as_they_stand_there(capsys: pytest.CaptureFixture[str]):
    page = Path(__file__).resolve().parents[2] / "docs" / "MORE_THAN_ONE_COMPUTER.md"
    single, several = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)

    with nats_server() as server:
        for code in (single, several):
            assert "nats://127.0.0.1:4222" in code
            exec(code.replace("nats://127.0.0.1:4222", server.url), {})  # noqa: S102 - our own docs

    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("stocks ")
    assert said[-2:] == ["main not known None", "ira not known None"], "nobody serves this desk"
