"""What Prometheus scrapes: the numbers of the heartbeat, on this computer only, for as long as the run lasts."""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from options_helper.errors import ConfigError
from options_helper.model.callbacks import CallbackStats
from options_helper.model.providers import (
    BreakerState,
    BudgetReport,
    EndpointReport,
    FailureKind,
    ProviderReport,
)
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Heartbeat, JobBeat
from options_helper.monitoring.prometheus import serve_metrics
from tests.kit.builders import AS_OF
from tests.kit.heartbeats import heartbeat, stream_beat
from tests.kit.waiting import AT_ONCE

Samples = dict[tuple[str, str], float]


def scrape(address: str, labels: Sequence[str] = ("stream", "phase")) -> Samples:
    """(name, the values of these labels with / between) → value."""
    with urllib.request.urlopen(address, timeout=AT_ONCE) as answer:  # noqa: S310 - our own server
        text = answer.read().decode()
    return {
        (
            sample.name,
            "/".join(sample.labels[name] for name in labels if name in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(labels: Sequence[str] = ("stream", "phase"), **facts: Any) -> Samples:
    with serve_metrics(0, lambda: heartbeat(**facts)) as address:
        return scrape(address, labels)


def test_callbacks_have_a_ledger_of_their_own_that_adds_up():
    stats = CallbackStats(offered=10, delivered=5, failed=1, given_up=2, pending=2, slowest=0.5)

    found = {name: value for (name, _), value in scraped(callbacks=stats).items() if "callback" in name}

    values = "options_helper_callback_values"
    assert found == {
        f"{values}_pending": 2,
        "options_helper_callback_slowest_seconds": 0.5,
        f"{values}_offered_total": 10,
        f"{values}_delivered_total": 5,
        f"{values}_failed_total": 1,
        f"{values}_given_up_total": 2,
    }
    assert not any("callback" in name for name, _ in scraped())


def test_another_path_than_the_one_that_was_told_has_no_metrics():
    with serve_metrics(0, heartbeat) as address:
        with pytest.raises(urllib.error.HTTPError) as refusal:
            scrape(address.replace("/metrics", "/foo"))

        with refusal.value as answer:
            assert (answer.code, answer.read()) == (
                404,
                b"There is nothing here; the metrics are at /metrics\n",
            )
        assert scrape(address)


def test_every_number_a_watcher_needs_is_there():
    samples = scraped(rows_waiting=84)

    assert samples["options_helper_feed_age_seconds", "stocks"] == 0.5
    assert samples["options_helper_feed_lag_seconds", "stocks"] == 0.5
    assert samples["options_helper_events_received_total", "stocks"] == 100
    assert samples["options_helper_events_dropped_total", "stocks"] == 2
    assert samples["options_helper_queue_depth", "stocks"] == 0
    assert samples["options_helper_gaps_total", ""] == 1
    assert samples["options_helper_rows_written_total", ""] == 97
    assert samples["options_helper_rows_waiting", ""] == 84
    assert samples["options_helper_partition_bytes_written_total", ""] == 2_000
    assert samples["options_helper_journal_bytes_written_total", ""] == 1_000
    assert samples["options_helper_heartbeat_time_seconds", ""] == AS_OF.timestamp()


def test_a_stream_is_in_one_phase():
    samples = scraped(streams={StreamName.OPTIONS: stream_beat(phase=Phase.STALLED)})

    phases = {key[1]: value for key, value in samples.items() if key[0] == "options_helper_stream_phase"}
    assert [key for key, value in phases.items() if value] == ["options/stalled"]
    assert len(phases) == len(Phase)


def test_what_is_not_known_is_left_out():
    """An absent number is told from a zero."""
    samples = scraped(streams={StreamName.STOCKS: stream_beat(silent_seconds=None)}, rows=None)

    assert ("options_helper_feed_age_seconds", "stocks") not in samples
    assert ("options_helper_rows_written_total", "") not in samples


def test_each_scrape_sees_the_newest_numbers():
    beats: list[Heartbeat] = [heartbeat(gaps=1)]

    with serve_metrics(0, lambda: beats[-1]) as address:
        before = scrape(address)
        beats.append(heartbeat(gaps=2))
        after = scrape(address)

    assert [one["options_helper_gaps_total", ""] for one in (before, after)] == [1, 2]


def test_only_this_computer_can_ask():
    with serve_metrics(0, heartbeat) as address, socket.socket() as others:
        others.bind(
            ("127.0.0.2", urlsplit(address).port)
        )  # free, since the metrics are on 127.0.0.1 and not everywhere


def test_it_ends_with_the_run():
    with serve_metrics(0, heartbeat) as address:
        scrape(address)

    with pytest.raises(urllib.error.URLError, match="refused"):
        scrape(address)


def test_a_taken_port_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with (
            pytest.raises(
                ConfigError, match=rf"Port {port} on 127\.0\.0\.1 is taken.*--metrics-port {port + 1}"
            ),
            serve_metrics(port, heartbeat),
        ):
            pass


def test_a_port_that_is_none_is_a_sentence():
    with pytest.raises(ConfigError, match="cannot listen on"), serve_metrics(70_000, heartbeat):
        pass


def test_a_missing_extra_is_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with (
        pytest.raises(ConfigError, match=r"pip install 'options-helper\[metrics\]'"),
        serve_metrics(0, heartbeat),
    ):
        pass


def provider(**more: Any) -> ProviderReport:
    endpoint = EndpointReport(
        requests=5, successes=3, failures={FailureKind.SERVER: 2}, latency_last=0.25, failing=2, **more
    )
    return ProviderReport(
        budget=BudgetReport(per_minute=200, share=100, left=95), endpoints={"/v2/clock": endpoint}
    )


def test_what_was_asked_over_rest_is_told_by_host_and_endpoint():
    samples = scraped(
        ("host", "endpoint", "kind", "state"), providers={"data": provider(breaker=BreakerState.OPEN)}
    )

    assert samples["options_helper_request_budget_left", "data"] == 95
    assert samples["options_helper_requests_total", "data//v2/clock"] == 5
    assert samples["options_helper_request_failures_total", "data//v2/clock/5xx"] == 2
    assert samples["options_helper_request_failures_total", "data//v2/clock/429"] == 0
    assert samples["options_helper_request_seconds_last", "data//v2/clock"] == 0.25
    assert ("options_helper_request_seconds_p95", "data//v2/clock") not in samples, "not known is not zero"
    assert samples["options_helper_breaker_state", "data//v2/clock/open"] == 1
    assert samples["options_helper_breaker_state", "data//v2/clock/closed"] == 0


def test_each_job_of_an_ingestion_tells_how_far_it_is():
    job = JobBeat(every_seconds=300.0, watermark_age_seconds=42.0, next_due_at=AS_OF, rows=7)

    samples = scraped(("job",), jobs={"chains": job})

    assert samples["options_helper_job_watermark_age_seconds", "chains"] == 42
    assert samples["options_helper_job_next_due_time_seconds", "chains"] == AS_OF.timestamp()
    assert samples["options_helper_job_rows_total", "chains"] == 7
    assert ("options_helper_job_late_seconds", "chains") not in samples
