"""What an owner tells beside its batches, as bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from options_helper.bus.truth import encode


class Told(msgspec.Struct):
    """Anything in a message."""

    key: Any


def test_what_has_no_form_on_the_bus_is_refused_where_it_is_written():
    """Nothing is sent as whatever its text may be, a secret least of all."""
    with pytest.raises(TypeError, match="SecretStr does not travel"):
        encode(Told(SecretStr("hidden")))
