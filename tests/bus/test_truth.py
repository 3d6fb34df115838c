"""What an owner tells beside its batches, as bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from pydantic import SecretStr

from options_helper.bus.truth import encode
from tests.kit.waiting import A_PROCESS

ROOT: Final = Path(__file__).resolve().parents[2]


class Told(msgspec.Struct):
    """Anything in a message."""

    key: Any


def test_what_has_no_form_on_the_bus_is_refused_where_it_is_written():
    """Nothing is sent as whatever its text may be, a secret least of all."""
    with pytest.raises(TypeError, match="SecretStr does not travel"):
        encode(Told(SecretStr("hidden")))


@pytest.mark.processes
def test_threads_that_are_the_first_to_read_a_kind_of_message_end_nothing():
    """In a program of its own: what goes wrong here goes wrong without an exception."""
    for _ in range(3):
        ended = subprocess.run(
            [sys.executable, "-m", "tests.bus.first_reads"], cwd=ROOT, timeout=A_PROCESS, check=False
        )
        assert ended.returncode == 0
