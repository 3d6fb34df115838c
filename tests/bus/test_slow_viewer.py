"""Viewers with the slow feed on a real bus: fewer quotes, all else, each event counted, and others as before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.detail import Detail
from options_helper.bus.viewer import BusManager
from options_helper.data.streaming.messages import count_messages
from options_helper.model.snapshot import StreamHealth
from options_helper.settings import Settings
from tests.bus.test_viewer import STOCKS, WANTED, WELL, bid, is_well, said, stocks, viewing
from tests.kit.bus import CURRENT, NatsServer, nats_server
from tests.kit.fakes import deliver, frame, quote_message, trade_message, wait_for
from tests.kit.order_updates import order_update
from tests.kit.serving import Relay, quotes, serving
from tests.kit.waiting import A_PROCESS, wait_until


def slowly(address: BusAddress) -> BusAddress:
    return replace(address, detail=Detail.SLOW)


def feed_of(viewer: BusManager) -> Detail:
    """The feed of its last batch of stocks."""
    return viewer._source.legs.of(STOCKS).feed  # noqa: SLF001 - no user asks that


def trades(first: int, count: int) -> list[bytes]:
    """Frames of a quote, a quote and a trade, each numbered."""
    return [
        frame(
            quote_message("AAPL", bid=number),
            quote_message("AAPL", bid=number + 0.5),
            trade_message("AAPL", price=number),
        )
        for number in range(first, first + count)
    ]


def on_the_slow_feed(viewer: BusManager, push: Callable[[], object]) -> None:
    """Something has to come for a feed to be changed."""

    def changed() -> bool:
        push()
        return feed_of(viewer) is Detail.SLOW

    wait_until(changed, every=0.05, saw=lambda: stocks(viewer))


def exact(health: StreamHealth) -> bool:
    return (
        health.received == health.applied + health.dropped + health.rejected + health.queued + health.missed
    )


def test_one_that_asks_for_it_has_fewer_quotes_all_trades_and_each_event_counted_while_another_has_all():
    with (
        nats_server() as server,
        serving(server, wait_for(threading.Event())) as owner,
        viewing(slowly(server.address)) as slow,
        viewing(server.address) as full,
    ):
        wait_until(lambda: is_well(slow) and is_well(full), saw=lambda: (stocks(slow), stocks(full)))
        stream = owner.source_stream()
        began = stocks(full).received
        on_the_slow_feed(slow, lambda: stream.sink.frame(quotes(0, 1)[0], 2))
        for payload in [*quotes(0, 200), *trades(500, 20)]:
            stream.sink.frame(payload, count_messages(payload))
        sent = owner.manager
        wait_until(lambda: bid(full.snapshot()) == 519.5)
        wait_until(lambda: bid(slow.snapshot()) == 519.5, saw=lambda: stocks(slow))

        all_of_it, some = stocks(full), stocks(slow)
        assert slow.snapshot().trades["AAPL"].price == 519
        assert all_of_it.missed == 0
        assert some.received == all_of_it.received - began == sent.snapshot().streams[STOCKS].received
        assert exact(some)
        assert 0 < some.missed < some.received
        assert some.applied >= 20, "each trade"
        assert "This computer shows" in said(slow)
        assert f"(as asked): {some.missed:,} missed, newest" in said(slow)
        assert not any(gap.lost for gap in some.gaps)
        ours, theirs = slow.snapshot().quotes["AAPL"], full.snapshot().quotes["AAPL"]
        assert ours == theirs, "with the owner's receipt"


def test_one_whose_queue_fills_falls_back_to_it_and_says_so_and_nothing_is_lost_on_the_way():
    with (
        nats_server() as server,
        serving(server, wait_for(threading.Event())) as owner,
        filling(server.address) as (viewer, fill),
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        stream = owner.source_stream()
        stream.sink.frame(quotes(0, 1)[0], 2)
        wait_until(lambda: bid(viewer.snapshot()) == 100)
        fill.append(0.8)
        on_the_slow_feed(viewer, lambda: stream.sink.frame(trades(1, 1)[0], 3))
        wait_until(lambda: "(it is behind)" in said(viewer))
        fill.append(0.3)
        wait_until(lambda: "(it was behind)" in said(viewer))
        wait_until(
            lambda: stocks(viewer).received == owner.manager.snapshot().streams[STOCKS].received,
            saw=lambda: (stocks(viewer), owner.manager.snapshot().streams[STOCKS]),
        )
        assert not stocks(viewer).gaps


@contextmanager
def filling(address: BusAddress) -> Iterator[tuple[BusManager, list[float]]]:
    """A viewer, and how full its queue is: the last of the list."""
    fill = [0.0]
    viewer = BusManager(Settings(), address, fill=lambda: fill[-1])
    viewer.start(WANTED)
    try:
        yield viewer, fill
    finally:
        viewer.stop()
        assert exact(stocks(viewer))


def test_where_the_next_owner_knows_of_nobody_slow_all_prices_are_followed_until_it_does():
    with nats_server() as server, viewing(slowly(server.address)) as viewer:
        with serving(server, wait_for(threading.Event())) as owner:
            wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
            stream = owner.source_stream()
            on_the_slow_feed(viewer, lambda: stream.sink.frame(quotes(0, 1)[0], 2))
        with serving(server, deliver(*quotes(50, 1)), epoch=owner.owner._term.epoch + 1) as second:  # noqa: SLF001
            wait_until(lambda: bid(viewer.snapshot()) == 150, saw=lambda: stocks(viewer))
            wait_until(lambda: is_well(viewer))
            on_the_slow_feed(viewer, lambda: second.source_stream().sink.frame(quotes(60, 1)[0], 2))
            assert exact(stocks(viewer))


def test_a_thin_line_makes_its_own_viewer_late_and_nobody_else_and_loses_nothing():
    fill, go_on = msgspec.json.encode(order_update()), threading.Event()
    with (
        nats_server() as server,
        Relay(server.port, bytes_per_second=100_000) as thin,
        serving(
            server, wait_for(threading.Event()), fills=(wait_for(go_on := threading.Event()), deliver(fill))
        ) as owner,
        viewing(thin.address) as late,
        viewing(server.address) as quick,
    ):
        wait_until(lambda: is_well(late) and is_well(quick), saw=lambda: (stocks(late), stocks(quick)))
        for payload in quotes(0, 3_000):
            owner.source_stream().sink.frame(payload, 2)
        go_on.set()
        wait_until(lambda: stocks(quick).received == 6_000, saw=lambda: stocks(quick))
        assert stocks(late).received < 6_000, "its line takes seconds for that"
        wait_until(lambda: quick.snapshot().fills == owner.manager.snapshot().fills)
        wait_until(lambda: stocks(late).received == 6_000, A_PROCESS, saw=lambda: stocks(late))

        assert (stocks(late).missed, stocks(quick).missed) == (0, 0)
        wait_until(lambda: late.snapshot().fills == owner.manager.snapshot().fills)
        assert len(late.snapshot().fills) == 1


def test_one_that_takes_nothing_is_cut_off_at_nobody_elses_cost_and_knows_what_it_missed(tmp_path: Path):
    """As one that was stopped in its tracks, or whose computer sleeps."""

    def impatient(port: int) -> Path:
        # Half a second without taking anything is too long; a step of below, which is of a megabyte, is not too much.
        path = tmp_path / "nats.conf"
        path.write_text(
            f'listen: "127.0.0.1:{port}"\nmax_pending: 8388608\nmax_payload: 131072\nwrite_deadline: "500ms"\n'
            f'jetstream {{ store_dir: "{tmp_path}" }}\n'
        )
        return path

    fill, go_on = msgspec.json.encode(order_update()), threading.Event()
    with (
        NatsServer(CURRENT, impatient) as server,
        Relay(server.port) as relay,
        serving(
            server, wait_for(threading.Event()), fills=(wait_for(go_on := threading.Event()), deliver(fill))
        ) as owner,
        viewing(relay.address) as stopped,
        viewing(server.address) as quick,
    ):
        wait_until(lambda: is_well(stopped) and is_well(quick), saw=lambda: (stocks(stopped), stocks(quick)))
        sink, sent = owner.source_stream().sink, 2
        sink.frame(quotes(0, 1)[0], 2)
        for viewer in (stopped, quick):
            wait_until(lambda: stocks(viewer).received == 2, saw=lambda: stocks(viewer))  # noqa: B023
        wait_until(
            lambda: all(one.phase in WELL for one in stopped.snapshot().streams.values() if one.requested),
            saw=lambda: stopped.snapshot().streams,
        )
        relay.mute()
        before = relay.accepted
        # More than the system keeps for a socket that nobody reads.
        payload = frame(*[quote_message("AAPL", bid=bid) for bid in range(100)])
        for _ in range(60):
            for _ in range(100):
                sink.frame(payload, 100)
            sent += 10_000
            wait_until(lambda: stocks(quick).received == sent, saw=lambda: stocks(quick))  # noqa: B023
        burst = sent
        go_on.set()
        wait_until(lambda: quick.snapshot().fills == owner.manager.snapshot().fills)
        assert stocks(quick).missed == 0
        assert stocks(stopped).received == 2
        relay.unmute()
        wait_until(lambda: relay.accepted > before, saw=lambda: stocks(stopped))
        wait_until(lambda: is_well(stopped), saw=lambda: stocks(stopped))
        # Where a batch is sent just before it listens again, it has the price from the picture, and only the next batch
        # tells how many were before.
        following = (frame(quote_message("AAPL", bid=bid)) for bid in range(800, 2_000))

        def missed_by_now() -> int:
            nonlocal sent
            sink.frame(next(following), 1)
            sent += 1
            return stocks(stopped).missed

        wait_until(missed_by_now, saw=lambda: stocks(stopped), every=0.1)
        wait_until(lambda: bid(stopped.snapshot()) == 800 + sent - burst - 1, saw=lambda: stocks(stopped))
        wait_until(lambda: stopped.snapshot().fills == owner.manager.snapshot().fills)
        wait_until(lambda: stocks(stopped).received == sent, saw=lambda: stocks(stopped))
        health = stocks(stopped)
        assert f"On the way from the owner {health.missed:,} events were missed." in said(stopped)
        assert len(stopped.snapshot().fills) == 1


def test_what_a_stalled_viewer_has_no_room_for_is_counted_and_what_is_kept_is_asked_for_anew(
    monkeypatch: pytest.MonkeyPatch,
):
    """Prices, and the last word on the account, which is not said again while nothing changes."""
    fill, more = msgspec.json.encode(order_update()), threading.Event()
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        serving(server, wait_for(threading.Event()), fills=(wait_for(more), deliver(fill))) as owner,
    ):
        # Of the viewers' connections alone.
        monkeypatch.setattr("options_helper.bus.connection.PENDING_MESSAGES", 3)
        with viewing(relay.address) as stalled, viewing(server.address) as quick:
            wait_until(
                lambda: all(
                    one.phase in WELL for one in stalled.snapshot().streams.values() if one.requested
                ),
                saw=lambda: stalled.snapshot().streams,
            )
            wait_until(lambda: is_well(quick), saw=lambda: stocks(quick))
            sink, sent = owner.source_stream().sink, 0
            relay.mute()
            before = relay.accepted
            for payload in quotes(0, 40):
                sink.frame(payload, 2)
                sent += 2
                wait_until(lambda: stocks(quick).received == sent, saw=lambda: stocks(quick))  # noqa: B023
            more.set()
            wait_until(lambda: len(quick.snapshot().fills) == 1, saw=lambda: said(quick))
            relay.unmute()

            wait_until(lambda: relay.accepted > before, saw=lambda: stocks(stalled))
            wait_until(lambda: stocks(stalled).received == sent, saw=lambda: stocks(stalled))
            wait_until(lambda: stalled.snapshot().fills == owner.manager.snapshot().fills)
            assert stocks(stalled).missed > 0
            assert exact(stocks(stalled))
            assert any("could not be taken" in gap.reason for gap in stocks(stalled).gaps)
