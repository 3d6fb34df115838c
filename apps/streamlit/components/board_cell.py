"""What one cell of the page's table says, and how a number is written there."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Cell(Struct, frozen=True, gc=False):
    """What one cell says; `tone` is a colour of the palette, `title` is under the pointer, pills have tones."""

    text: str = ""
    tone: str = ""
    title: str = ""
    pills: tuple[tuple[str, str], ...] = ()


EMPTY: Final = Cell()
# Before a sum with a bound in it, or a quantity that is not the account's, or may not be.
ROUGHLY: Final = "≈ "
_FORMATS: Final = tuple(f",.{digits}f" for digits in range(10))


def written(value: float, digits: int, *, signed: bool) -> str:
    """With a true minus; what rounds to nothing has no sign."""
    text = format(value, _FORMATS[digits])
    if text[0] == "-":
        return f"−{text[1:]}" if _is_some(value, text) else text[1:]
    return f"+{text}" if signed and value > 0 and _is_some(value, text) else text


def _is_some(value: float, text: str) -> bool:
    """Whether what is written is no zero."""
    return abs(value) >= 1 or text.strip("-0.") != ""
