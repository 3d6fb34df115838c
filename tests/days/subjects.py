"""The subjects that take part in a day, in the order in which they are built."""

from __future__ import annotations

from typing import Final

from tests.days.account_subject import AccountSubject
from tests.days.alerts_subject import AlertsSubject
from tests.days.ingest_subject import IngestSubject
from tests.days.lease_subject import LeaseSubject
from tests.days.prices_subject import PricesSubject
from tests.days.recorder_subject import RecorderSubject
from tests.days.stage import Subject
from tests.days.streams_subject import StreamsSubject

SUBJECTS: Final[tuple[type[Subject], ...]] = (
    StreamsSubject,
    AccountSubject,
    RecorderSubject,
    AlertsSubject,
    LeaseSubject,
    IngestSubject,
    PricesSubject,
)
_left_out: Final[set[str]] = set()


def leave_out_all_but(name: str) -> None:
    """Play this one alone from now on: its day is the same, and nothing else happens on it."""
    _left_out.update(subject.name for subject in SUBJECTS if subject.name != name)


def taking_part() -> list[Subject]:
    """Those of a day, made anew."""
    return [subject() for subject in SUBJECTS if subject.name not in _left_out]
