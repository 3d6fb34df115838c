"""Say what keeps the files of a capture from being complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from options_helper.commands.durations import format_duration
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.model.text import format_count, named

# What is shorter would be said to have lasted 0.0 s.
SHOWN_SECONDS: Final = 0.05


def wholeness(status: CaptureStatus) -> str:
    """What a capture without troubles may say of its files: a stretch in which nobody heard is no loss, nor nothing."""
    if status.unowned_seconds >= SHOWN_SECONDS:
        return "Nothing that an owner received, and that came here, was lost."
    if status.gaps:
        return "Nothing that was received was lost."
    return "Nothing was lost."


def troubles_of(status: CaptureStatus, *, complete: bool = True) -> list[str]:
    """A sentence for everything that keeps the files from being complete, as far as the capture can know."""
    return [*_stream_troubles(status), *_run_troubles(status, complete=complete)]


def _stream_troubles(status: CaptureStatus) -> Iterator[str]:
    for health in wanted_streams(status):
        if health.phase is Phase.FAILED:
            yield _failure(health)
        elif not health.connections:
            reason = f" {health.last_error}" if health.last_error else ""
            yield f"The {health.name} stream ({health.feed}) never came to life.{reason}"
        elif refused := health.refused_symbols:
            yield _refusal(health, refused)
        if health.refused_seconds and health.phase is not Phase.FAILED:
            lasted = format_duration(health.refused_seconds)
            yield f"The {health.name} stream ({health.feed}) was refused for {lasted}, and then recorded."
        if health.dropped:
            yield f"The {health.name} stream dropped {format_count(health.dropped, 'event')}: the queue was full."
        if health.missed:
            events = format_count(health.missed, "event")
            yield f"Of the {health.name} stream {events} were missed on the way: the bus had them no more."
        if health.rejected:
            example = f" ({health.last_rejections[-1]})" if health.last_rejections else ""
            messages = format_count(health.rejected, "message")
            yield f"The {health.name} stream rejected {messages} that could not be read{example}."


def _failure(health: StreamHealth) -> str:
    stream = f"The {health.name} stream ({health.feed})"
    if not health.refused_seconds:
        return f"{stream} was not recorded: {health.last_error}"
    lasted = format_duration(health.refused_seconds)
    ending = "to the end" if health.connections else "and never recorded"
    return f"{stream} was refused for {lasted}, {ending}: {health.last_error}"


def _refusal(health: StreamHealth, refused: Sequence[str]) -> str:
    reason, feed = health.last_error or "", f"{health.name.provider.capitalize()}'s {health.feed} feed"
    if refused[0] in reason:  # the stream's own sentence names them
        return f"{feed}: {reason}"
    return f"{feed} refused {named(refused)}. {reason}".rstrip()


def _run_troubles(status: CaptureStatus, *, complete: bool) -> Iterator[str]:
    if status.put_off:
        yield (
            f"In the journal and not in the files yet: {format_count(status.put_off, 'event')}. "
            "The next capture into this folder makes them, or: options-helper stream rebuild"
        )
    dropped = sum(health.dropped + health.rejected + health.missed for health in status.streams.values())
    if (unwritten := status.lost - dropped) > 0:
        yield f"Received and in no file: {format_count(unwritten, 'event')}."
    if status.absent_seconds:
        yield (
            f"This process did not run for {format_duration(status.absent_seconds)} (a computer asleep, or a process "
            "stopped): what came meanwhile was received late, if at all."
        )
    if status.problem:
        yield status.problem
    if not complete or status.state is not CaptureState.ENDED:
        yield "The disk did not take everything in time; the next capture repairs what was left half written."


def wanted_streams(status: CaptureStatus) -> list[StreamHealth]:
    """Those that the capture has symbols for."""
    return [
        health
        for name, health in status.streams.items()
        if health.phase is not Phase.OFF and name is not StreamName.FILLS
    ]
