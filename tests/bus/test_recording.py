"""A recorder on a real bus: each event once, or a row in the ledger that says what is missing."""

from __future__ import annotations

import threading
from itertools import count
from pathlib import Path

from options_helper.bus.address import BusAddress
from options_helper.bus.legs import UNHEARD_SECONDS
from options_helper.bus.recording import BusRecording
from options_helper.bus.truth import DeskHealth
from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.data.recording.loss_log import loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.messages import count_messages
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase
from tests.kit.bus import both_servers, nats_server
from tests.kit.fakes import (
    NOON,
    SETTINGS,
    ScriptedSource,
    ScriptedStream,
    ScriptedStreams,
    Step,
    acknowledge,
    deliver,
    wait_for,
)
from tests.kit.rebuilt import partitions
from tests.kit.recording_bus import AT_THE_END, STOCKS, WANTED, bids, recording, stocks
from tests.kit.secured import secured_bus
from tests.kit.serving import Relay, quotes, serving
from tests.kit.waiting import A_PROCESS, wait_until

MILLISECOND = 1_000_000


def received_at(first_ns: int, *payloads: bytes) -> Step:
    """These frames arrive a millisecond apart, the first of them then."""

    def step(stream: ScriptedStream) -> None:
        for payload, at_ns in zip(payloads, count(first_ns, MILLISECOND), strict=False):
            stream.sink.frame(payload, count_messages(payload), at_ns)

    return step


@both_servers
def test_partitions_are_those_of_a_direct_capture_byte_for_byte(tmp_path: Path, binary):
    frames = quotes(0, 300)
    direct, followed, again = tmp_path / "direct", tmp_path / "followed", tmp_path / "again"
    engine = CaptureEngine(
        CaptureConfig(WANTED, direct, policy=AT_THE_END),
        SETTINGS,
        source=ScriptedSource({STOCKS: ScriptedStreams([acknowledge(), received_at(NOON, *frames)])}),
    )
    engine.start()
    wait_until(lambda: stocks(engine).applied == 600)
    engine.stop()

    go_on = threading.Event()
    with (
        nats_server(binary) as server,
        serving(server, wait_for(go_on), received_at(NOON, *frames)),
        recording(server.address, followed) as recorder,
    ):
        wait_until(lambda: stocks(recorder).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(recorder))
        go_on.set()
        wait_until(lambda: stocks(recorder).applied == 600, saw=lambda: stocks(recorder))

    assert partitions(followed) == partitions(direct)
    assert len(partitions(direct)) == 2
    rebuild(followed, again)
    assert partitions(again) == partitions(followed)
    assert audit(followed).problems == ()
    assert not loss_rows(followed)


def test_the_next_recorder_goes_on_behind_the_last_record_of_the_journal_whatever_came_meanwhile(
    tmp_path: Path,
):
    go_on, later = threading.Event(), threading.Event()
    with (
        nats_server() as server,
        serving(
            server, wait_for(go_on), deliver(*quotes(0, 50)), wait_for(later), deliver(*quotes(50, 50))
        ) as owner,
    ):
        with recording(server.address, tmp_path) as first:
            wait_until(lambda: stocks(first).phase in (Phase.LIVE, Phase.QUIET))
            go_on.set()
            wait_until(lambda: stocks(first).applied == 100, saw=lambda: stocks(first))
        later.set()
        wait_until(lambda: owner.events() == 200)
        with recording(server.address, tmp_path) as second:
            wait_until(lambda: stocks(second).applied == 100, saw=lambda: stocks(second))

    assert bids(tmp_path) == [100 + number for number in range(100)]
    assert not loss_rows(tmp_path)
    assert audit(tmp_path).problems == ()


def test_a_late_word_of_an_owner_that_another_has_followed_is_not_that_of_the_desk():
    """Each stream's connection brings the same words, and one of them may lag behind."""
    seconds = [100.0]
    recorded = BusRecording(BusAddress.parse("127.0.0.1"), now_ns=lambda: NOON, monotonic=lambda: seconds[0])
    den, attic = (
        DeskHealth(program="1", host=host, pid=7, epoch=epoch, at_ns=NOON, market=MarketKind.ALPACA)
        for host, epoch in (("den", 1), ("attic", 2))
    )
    recorded.hear(den, now=True)
    recorded.hear(attic, now=True)
    for now in (True, False):
        recorded.hear(den, now=now)
        assert "attic" in recorded.owner
    seconds[0] += UNHEARD_SECONDS
    recorded.hear(den, now=True)
    assert "den" in recorded.owner, "it is heard alone"


def test_cuts_of_the_way_cost_nothing_and_are_no_gap(tmp_path: Path):
    steps: list[Step] = []
    gates = [threading.Event() for _ in range(10)]
    for number, gate in enumerate(gates):
        steps += [wait_for(gate), deliver(*quotes(number * 20, 20))]
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        serving(server, *steps),
        recording(relay.address, tmp_path) as recorder,
    ):
        wait_until(lambda: stocks(recorder).phase in (Phase.LIVE, Phase.QUIET))
        for gate in gates:
            gate.set()
            relay.cut()
        wait_until(lambda: stocks(recorder).applied == 400, A_PROCESS, saw=lambda: stocks(recorder))

    assert bids(tmp_path) == [100 + number for number in range(200)]
    assert not loss_rows(tmp_path)


def test_over_tls_a_recorders_role_is_enough_and_a_viewers_is_not_and_says_so(tmp_path: Path):
    out = tmp_path / "out"
    go_on = threading.Event()
    with (
        secured_bus(tmp_path) as bus,
        serving(bus.user("owner"), wait_for(go_on), deliver(*quotes(0, 50))),
        recording(bus.user("nas").address, out) as recorder,
        recording(bus.user("laptop").address, tmp_path / "other") as refused,
    ):
        wait_until(lambda: stocks(recorder).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(recorder))
        go_on.set()
        wait_until(lambda: stocks(recorder).applied == 100, saw=lambda: stocks(recorder))
        wait_until(lambda: stocks(refused).phase is Phase.FAILED, saw=lambda: stocks(refused))
        assert "laptop" in (stocks(refused).last_error or "")
        assert "$JS.API" in (stocks(refused).last_error or "")
    assert bids(out) == [100 + number for number in range(50)]
