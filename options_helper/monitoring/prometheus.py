"""Offer a run's numbers to Prometheus; needs the extra `metrics`."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from options_helper.errors import ConfigError, Unavailable
from options_helper.model.providers import BreakerState, FailureKind
from options_helper.model.snapshot import Phase
from options_helper.monitoring.heartbeat import Heartbeat

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LOOPBACK: Final = "127.0.0.1"
Table = Sequence[tuple[str, str, str]]

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
_BUDGET_GAUGES: Final = (
    ("request_budget", "Requests a minute that the account has at this host.", "per_minute"),
    ("request_budget_share", "Requests a minute that this program may make of them.", "share"),
    ("request_budget_left", "Requests that it may still make now.", "left"),
    ("request_pause_seconds", "Seconds for which the host wants to be left alone.", "held_seconds"),
)
_ENDPOINT_GAUGES: Final = (
    ("request_seconds_last", "Seconds that the newest answer took.", "latency_last"),
    ("request_seconds_p50", "Seconds that half of the newest answers took at most.", "latency_p50"),
    ("request_seconds_p95", "Seconds that 95 % of the newest answers took at most.", "latency_p95"),
    ("questions_failing", "Questions without an answer since the last one that had one.", "failing"),
)
_ENDPOINT_COUNTERS: Final = (
    ("requests", "Requests sent, each try of a question.", "requests"),
    ("request_successes", "Requests that brought what was asked for.", "successes"),
)
_JOB_GAUGES: Final = (
    ("job_watermark_age_seconds", "How far what is stored lies behind now.", "watermark_age_seconds"),
    ("job_late_seconds", "For how long the oldest window that is not done has been due.", "late_seconds"),
    ("job_every_seconds", "How often the job comes due.", "every_seconds"),
    ("job_failing", "Windows that failed since the last success.", "failing"),
    ("job_empty_sessions", "Sessions that are stored without a single row.", "empty"),
)
_JOB_TIMES: Final = (
    ("job_next_due_time_seconds", "When the job comes due next.", "next_due_at"),
    ("job_last_success_time_seconds", "When it last stored a window.", "last_success_at"),
)
_JOB_COUNTERS: Final = (
    ("job_successes", "Windows that were stored.", "successes"),
    ("job_failures", "Windows that failed.", "failures"),
    ("job_rows", "Rows that were stored.", "rows"),
)

# offered = delivered + failed + given up + pending
_CALLBACK_GAUGES: Final = (
    ("callback_values_pending", "Values that wait for a callback, or are with it.", "pending"),
    ("callback_slowest_seconds", "Seconds that one call of a callback took at most.", "slowest"),
)
_CALLBACK_COUNTERS: Final = (
    ("callback_values_offered", "Values that callbacks were offered.", "offered"),
    ("callback_values_delivered", "Values with which a callback returned.", "delivered"),
    ("callback_values_failed", "Values on which a callback raised an error.", "failed"),
    (
        "callback_values_given_up",
        "Values that no callback got: it was too slow, or the run ended.",
        "given_up",
    ),
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
        raise Unavailable(_port_problem(port, host, error)) from error
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
        callbacks = [((), beat.callbacks)] if beat.callbacks is not None else []
        yield from _families(_CALLBACK_GAUGES, _CALLBACK_COUNTERS, (), callbacks)
        yield from _provider_families(beat)
        yield from _job_families(beat)

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
    rows = [((stream, one.feed or ""), one) for stream, one in beat.streams.items()]
    yield from _families(_STREAM_GAUGES, _STREAM_COUNTERS, ("stream", "feed"), rows)


def _provider_families(beat: Heartbeat) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    budgets = [((host,), one.budget) for host, one in beat.providers.items()]
    yield from _families(_BUDGET_GAUGES, (), ("host",), budgets)
    endpoints = [
        ((host, family), endpoint)
        for host, one in beat.providers.items()
        for family, endpoint in one.endpoints.items()
    ]
    yield from _families(_ENDPOINT_GAUGES, _ENDPOINT_COUNTERS, ("host", "endpoint"), endpoints)
    failures = CounterMetricFamily(
        f"{_PREFIX}_request_failures", "Requests that failed, by kind.", labels=("host", "endpoint", "kind")
    )
    breakers = GaugeMetricFamily(
        f"{_PREFIX}_breaker_state",
        "1 for the state of the breaker, 0 for the rest.",
        labels=("host", "endpoint", "state"),
    )
    for labels, endpoint in endpoints:
        for kind in FailureKind:
            failures.add_metric((*labels, kind.value), endpoint.failures.get(kind, 0))
        for state in BreakerState:
            breakers.add_metric((*labels, state.value), float(endpoint.breaker is state))
    yield failures
    yield breakers


def _job_families(beat: Heartbeat) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    rows = [((job,), one) for job, one in beat.jobs.items()]
    yield from _families(_JOB_GAUGES, _JOB_COUNTERS, ("job",), rows)
    for name, meaning, attribute in _JOB_TIMES:
        family = GaugeMetricFamily(f"{_PREFIX}_{name}", meaning, labels=("job",))
        for labels, one in rows:
            if (at := getattr(one, attribute)) is not None:
                family.add_metric(labels, at.timestamp())
        yield family


def _families(
    gauges: Table, counters: Table, labels: Sequence[str], rows: Sequence[tuple[Sequence[str], object]]
) -> Iterator[Metric]:
    """A family for each number of the tables, with a sample for each row that knows it; none without rows."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for make, table in ((GaugeMetricFamily, gauges), (CounterMetricFamily, counters)):
        for name, meaning, attribute in table if rows else ():
            family = make(f"{_PREFIX}_{name}", meaning, labels=labels)
            for values, one in rows:
                if (value := getattr(one, attribute)) is not None:
                    family.add_metric(values, value)
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
