"""Offer a run's numbers to Prometheus; needs the extra `metrics`."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from options_helper.errors import ConfigError
from options_helper.model.snapshot import Phase
from options_helper.monitoring.heartbeat import Heartbeat

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LOOPBACK: Final = "127.0.0.1"
_PREFIX: Final = "options_helper"
# Name, what it is, and where one stream has it. A counter's name gets `_total` from the library.
_STREAM_GAUGES: Final = (
    ("feed_age_seconds", "Seconds since the newest event.", "silent_seconds"),
    (
        "feed_lag_seconds",
        "Seconds of silence although data is expected; absent while none is.",
        "lag_seconds",
    ),
    ("events_per_second", "Events per second over the last few seconds.", "events_per_second"),
    ("queue_depth", "Events that were received and not yet made into rows or shown.", "queued"),
    ("symbols_asked", "Symbols that were subscribed to.", "asked"),
    ("symbols_acknowledged", "Symbols that the server confirmed.", "acknowledged"),
)
_STREAM_COUNTERS: Final = (
    ("events_received", "Events received.", "received"),
    ("events_applied", "Events made into rows or shown.", "applied"),
    ("events_dropped", "Events that found the queue full.", "dropped"),
    ("events_rejected", "Events that could not be read.", "rejected"),
    ("connections", "How often the stream became live.", "connections"),
)
_RUN_GAUGES: Final = (
    ("rows_waiting", "Rows that are in memory or in the journal, and not in the files yet.", "rows_waiting"),
)
_RUN_COUNTERS: Final = (
    ("gaps", "Stretches in which a stream could not hear, and losses.", "gaps"),
    ("events_lost", "Events that are in no file, or were never shown.", "lost"),
    ("rows_written", "Rows written to the recorded files.", "rows"),
    ("partition_bytes_written", "Bytes written to the recorded files.", "bytes"),
    ("journal_bytes_written", "Bytes written to the journal.", "journal_bytes"),
)


@contextmanager
def serve_metrics(port: int, read: Callable[[], Heartbeat], *, host: str = LOOPBACK) -> Iterator[str]:
    """Serve the numbers for the time of the context and yield their address; port 0 takes any free one.

    `read` is called at each scrape, on the server's threads. ConfigError when the extra is missing or the port taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise ConfigError(
            "--metrics-port needs the extra metrics. Install it: pip install 'options-helper[metrics]'"
        ) from error
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(read))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except (OSError, OverflowError) as error:
        raise ConfigError(_port_problem(port, host, error)) from error
    server.set_app(_at_its_paths(server.get_app()))
    thread.name = "live-metrics"
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        _end(server, thread)


def _at_its_paths(app: Any) -> Callable[[Any, Any], Any]:
    """The metrics where they are said to be, and no metrics elsewhere: a wrong address must not look right."""

    def answer(environ: Any, start_response: Any) -> Any:
        if environ.get("PATH_INFO") in {"", "/", "/metrics", "/favicon.ico"}:
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"There is nothing here; the metrics are at /metrics\n"]

    return answer


def _end(server: Any, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()


def _port_problem(port: int, host: str, error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return (
                f"Port {port} on {host} is taken, perhaps by another capture. "
                f"Choose another: --metrics-port {port + 1}"
            )
        case errno.EACCES:
            return f"Port {port} needs a privilege that this user lacks. Choose one above 1023: --metrics-port 9108"
        case _:
            return f"The metrics cannot listen on {host}, port {port}: {error}. Choose another: --metrics-port 9108"


class _Collector:
    """Turns the newest heartbeat into metrics whenever it is asked; what is not known is left out."""

    def __init__(self, read: Callable[[], Heartbeat]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        beat = self._read()
        yield _single("start_time_seconds", "When the run began.", beat.started_at.timestamp())
        yield _single("heartbeat_time_seconds", "When these numbers were taken.", beat.written_at.timestamp())
        yield from _run_numbers(beat)
        yield from _stream_families(beat)
        yield _phases(beat)

    def describe(self) -> Iterable[Metric]:
        return ()


def _single(name: str, meaning: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"{_PREFIX}_{name}", meaning, value=value)


def _run_numbers(beat: Heartbeat) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for make, table in ((GaugeMetricFamily, _RUN_GAUGES), (CounterMetricFamily, _RUN_COUNTERS)):
        for name, meaning, attribute in table:
            if (value := getattr(beat, attribute)) is not None:
                yield make(f"{_PREFIX}_{name}", meaning, value=value)


def _stream_families(beat: Heartbeat) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for make, table in ((GaugeMetricFamily, _STREAM_GAUGES), (CounterMetricFamily, _STREAM_COUNTERS)):
        for name, meaning, attribute in table:
            family = make(f"{_PREFIX}_{name}", meaning, labels=("stream", "feed"))
            for stream, one in beat.streams.items():
                if (value := getattr(one, attribute)) is not None:
                    family.add_metric((stream, one.feed or ""), value)
            yield family


def _phases(beat: Heartbeat) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(
        f"{_PREFIX}_stream_phase",
        "1 for what the stream is doing, 0 for the rest.",
        labels=("stream", "phase"),
    )
    for stream, one in beat.streams.items():
        for phase in Phase:
            family.add_metric((stream, phase.value), float(one.phase is phase))
    return family
