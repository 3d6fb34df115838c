"""One recorder's process without its threads: `CaptureEngine` and its writer, until it ends or is killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from options_helper.capture.capture_config import CaptureConfig
from options_helper.capture.pressure import AwaitDisk, Command, Done, Happened, Step, Take
from options_helper.capture.runner import CaptureEngine
from options_helper.capture.writer import GATHER_SECONDS, CaptureWriter
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.settings import Settings
from tests.days.agenda import Action, Agenda, Entry
from tests.days.clocks import NS
from tests.days.product.streams import (
    PULSE_SECONDS,
    Heard,
    VirtualMarketStreamer,
    VirtualPulse,
    VirtualTradingStreamer,
    VirtualWorker,
)
from tests.days.recorder.disk import BadDisk, Killed
from tests.days.stage import Stage
from tests.days.world.network import Client, Line, Network

SETTINGS: Final = Settings(api_key=SecretStr("demo-key"), api_secret=SecretStr("demo-secret"))


class ProcessAgenda:
    """The agenda as one process sees it: nothing of what it meant to do happens after its end."""

    def __init__(self, agenda: Agenda, process: Process) -> None:
        self._agenda = agenda
        self._process = process
        self.clocks = agenda.clocks

    def timer(self, seconds: float, action: Action) -> Entry:
        """One of the process's own."""
        return self._agenda.timer(seconds, partial(self._process.run, action))


class ProcessStage:
    """The stage as one process sees it."""

    def __init__(self, stage: Stage, process: Process) -> None:
        self.agenda = ProcessAgenda(stage.agenda, process)
        self.clocks = stage.clocks
        self.stir = process.stir


class ProcessNetwork:
    """The network as one process sees it: the kernel closes what is answered after its end."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process
        self.stage = network.stage

    def dial(self, stream: str, client: Client, answered: Callable[[Line | str], None]) -> None:
        """The process wants a connection."""

        def answer(what: Line | str) -> None:
            if self._process.is_alive:
                answered(what)
            elif isinstance(what, Line):
                what.close()

        self._network.dial(stream, client, answer)


class VirtualWriter(CaptureWriter):
    """A writer whose thread is the agenda."""

    def __init__(self, process: Process, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._process = process
        self._waits: Entry | None = None
        self._waits_for_frames: Take | None = None
        self._runs = False

    @property
    def is_alive(self) -> bool:
        """Whether it writes."""
        return self._runs

    def start(self) -> None:
        """Begin."""
        self._runs = True
        self._go_on(partial(self._attempt, self._begin))

    def join(self) -> None:
        """Carry out everything that is left: nothing else happens meanwhile."""
        if self._waits is not None:
            self._waits.cancel()
        happened = self._answer()
        while self._runs:
            happened = self._turn(happened, waits=False)

    def wake(self) -> None:
        """A frame came."""
        if self._waits_for_frames is not None and self._waits is not None:
            self._waits.cancel()
            self._waits = self._process.stage.agenda.timer(0.001, self._waited)

    def forget(self) -> None:
        """The process is gone: what was under way ends here, where nothing can be written, and not when collected."""
        with suppress(Killed):
            self._earlier.close()

    def _waited(self) -> None:
        self._go_on(self._answer)

    def _answer(self) -> Happened:
        """What came of the command that was waited for."""
        take, self._waits_for_frames, self._waits = self._waits_for_frames, None, None
        return Done() if take is None else self._attempt(partial(self._carry_out, Take(0.0)))

    def _go_on(self, happened: Callable[[], Happened]) -> None:
        answer = happened()
        while self._runs and self._waits is None:
            answer = self._turn(answer, waits=True)

    def _turn(self, happened: Happened, *, waits: bool) -> Happened:
        command = self._decide(happened)
        if command is Step.END:
            self._runs = False
            self._close()
            return Done()
        if waits and (seconds := self._seconds(command)):
            if isinstance(command, AwaitDisk):
                self._streams.keep_house(None)
            self._waits_for_frames = command if isinstance(command, Take) else None
            self._waits = self._process.stage.agenda.timer(seconds, self._waited)
            return Done()
        if isinstance(command, Take):
            command = Take(0.0)
        elif command is Step.GATHER or isinstance(command, AwaitDisk):
            return Done()
        return self._attempt(partial(self._carry_out, command))

    def _seconds(self, command: Command) -> float:
        """How long it waits for that."""
        if isinstance(command, AwaitDisk):
            return command.seconds
        if isinstance(command, Take):
            # A quiet hour needs no look at each half second of it.
            calm = self._process.calm_seconds()
            return 0.0 if self._streams.queue.fill else max(command.seconds, calm) * bool(command.seconds)
        return GATHER_SECONDS if command is Step.GATHER else 0.0


class Process:
    """A recorder into a folder, from its start to its stop or its end without warning."""

    def __init__(
        self,
        stage: Stage,
        network: Network,
        heard: Heard,
        *,
        config: CaptureConfig,
        disk: BadDisk,
        died: Callable[[], None],
        taken: list[int],
    ) -> None:
        # Numbers of files that were open when one of these was killed; see `_close_all_under`.
        self._taken = taken
        self._writer: VirtualWriter | None = None
        self.network: Any = ProcessNetwork(network, self)
        self._lines = network.lines
        self.heard = heard
        self.was_kept = True
        self.just_woke = False
        self.pulse: VirtualPulse | None = None
        self.is_alive = True
        self._flux_until = 0
        self._real = stage
        self._root = config.out
        self._died = died
        self.stage: Any = ProcessStage(stage, self)
        self._disk = disk
        disk.revive()
        clocks = stage.clocks
        desk: Any = self
        self.engine = CaptureEngine(
            config,
            SETTINGS,
            source=AlpacaSource(
                stocks=partial(VirtualMarketStreamer, desk, "stocks"),
                options=partial(VirtualMarketStreamer, desk, "options"),
                fills=partial(VirtualTradingStreamer, desk, "fills"),
            ),
            retry=RetryPolicy(jitter=stage.dice("recorder's jitter").random),
            now_ns=clocks.wall_ns,
            monotonic=clocks.monotonic,
            writer_clock=clocks.monotonic,
            elapsed=clocks.elapsed,
            disk=disk.calls(),
            group_cls=partial(
                StreamGroup, worker_cls=partial(VirtualWorker, desk), pulse_cls=partial(VirtualPulse, desk)
            ),
            writer_cls=self._new_writer,
        )

    def _new_writer(self, *arguments: Any, **more: Any) -> VirtualWriter:
        self._writer = writer = VirtualWriter(self, *arguments, **more)
        return writer

    def run(self, action: Action) -> None:
        """Do something of its own, unless it is gone."""
        if self.is_alive:
            try:
                action()
            except Killed:
                self.kill()

    def start(self) -> None:
        """Begin to record."""
        self.run(self.engine.start)

    def stop(self) -> None:
        """End as it should."""
        self.run(self.engine.stop)

    def before_sleep(self) -> None:
        """Its pulse looked a moment before."""
        if self.is_alive and self.pulse is not None:
            self.pulse.beat(PULSE_SECONDS / 3)

    def after_sleep(self) -> None:
        """It runs again; its pulse may be the first to look, or one that reads a socket."""
        if self.is_alive and self.pulse is not None:
            self.just_woke = True
            if self._real.dice(f"recorder wakes/{self._real.clocks.true_ns}").random() < 0.5:
                self.run(self.pulse.look)
            self.stage.agenda.timer(0.2, self.pulse.look)

    def wake_consumer(self) -> None:
        """A frame came, or a worker went on."""
        if self._writer is not None:
            self._writer.wake()

    def calm_seconds(self) -> float:
        """How long nothing needs to be looked at."""
        flux_until = max(self._flux_until, self._real.computer_in_flux_until)
        return 0.0 if self._real.clocks.true_ns < flux_until else 5.0

    def stir(self, seconds: float) -> None:
        """Something of it is in flux for so long."""
        self._flux_until = max(self._flux_until, self._real.clocks.true_ns + int(seconds * NS))

    def kill(self) -> None:
        """Its sockets and locks are the kernel's to close; nothing of it happens any more."""
        self.is_alive = False
        for line in list(self._lines.values()):
            line.close()
        self._disk.die()
        if self._writer is not None:
            self._writer.forget()
        self._taken += _close_all_under(self._root)
        self._died()


def _close_all_under(root: Path) -> list[int]:
    """Close every descriptor that may write there, as the end of a process does, and with it its locks.

    Their numbers, which stay taken by what takes everything: what is left of the process may close them once more, and
    would close another's file. They are the caller's to close when nothing is left.
    """
    taken = []
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in list(Path("/proc/self/fd").iterdir()):
            with suppress(OSError):
                if descriptor.readlink().is_relative_to(root) and _may_write(descriptor.name):
                    os.dup2(nowhere, int(descriptor.name), inheritable=False)
                    taken.append(int(descriptor.name))
    finally:
        os.close(nowhere)
    return taken


def _may_write(descriptor: str) -> bool:
    facts = dict(
        line.split(":", 1) for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    )
    return bool(int(facts["flags"], 8) & os.O_ACCMODE)
