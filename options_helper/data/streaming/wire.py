"""Read a single message that may be JSON or MessagePack, text or binary: Alpaca's streams use all of these."""

from __future__ import annotations

import json
from typing import Any

import msgspec

Message = bytes | str


def read_message(message: Message | None) -> Any:
    """Decode a control message of either encoding; None when it is neither JSON nor MessagePack."""
    if message is None:
        return None
    try:
        return json.loads(message) if isinstance(message, str) else _read_binary(message)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def _read_binary(message: bytes) -> Any:
    # The paper trading stream sends JSON in binary frames; a JSON object starts with "{", which no array does.
    if message[:1] in (b"{", b"["):
        return json.loads(message)
    return msgspec.msgpack.decode(message)
