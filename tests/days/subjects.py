"""The subjects that take part in a day, in the order in which they are built."""

from __future__ import annotations

from typing import Final

from tests.days.stage import Subject
from tests.days.streams_subject import StreamsSubject

SUBJECTS: Final[tuple[type[Subject], ...]] = (StreamsSubject,)
