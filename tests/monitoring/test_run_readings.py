"""What rules are told of other runs."""

from __future__ import annotations

import pytest

from options_helper.model.alerts import SubjectKind
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.judgement import RunStatus
from options_helper.monitoring.run_readings import run_readings
from options_helper.monitoring.run_report import RunReport
from tests.kit.heartbeats import heartbeat, stream_beat


def report(role: Role, phase: Phase) -> RunReport:
    beat = heartbeat(role=role, streams={StreamName.STOCKS: stream_beat(phase=phase)})
    return RunReport(RunStatus.RUNNING, "It runs.", beat, 1.0)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_stream_that_two_runs_have_is_as_the_worse_of_them_says(*, is_first: bool):
    """A recorder whose stream had failed was judged by the page beside it, whose own was live."""
    reports = [report(Role.CAPTURE, Phase.FAILED), report(Role.DASHBOARD, Phase.LIVE)]

    found = run_readings(reports if is_first else reversed(reports))
    reading = found[SubjectKind.STREAM, "phase"]["stocks"]

    assert (reading.value, reading.label) == ("failed", "The stocks stream of the capture")
