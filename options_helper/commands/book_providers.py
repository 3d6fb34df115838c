"""Who sends order books."""

from __future__ import annotations

from enum import StrEnum


class BookProvider(StrEnum):
    """Who sends order books."""

    ALPACA_CRYPTO = "alpaca-crypto"
    BREEZE = "breeze"
