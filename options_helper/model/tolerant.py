"""Read what a server sends field by field: one odd value must never cost the row, nor one row the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any


def field(holder: Any, name: str) -> Any:
    """The named field of a map or of an SDK object; None where there is none."""
    # Nearly all are what JSON becomes, and an exact type is quicker to ask for than any map.
    is_map = type(holder) is dict or isinstance(holder, Mapping)
    return holder.get(name) if is_map else getattr(holder, name, None)


def word(value: Any) -> str | None:
    """The text of a word, an enum or an identifier; Alpaca leaves a field empty where it does not apply."""
    if type(value) is str:  # nearly all of them
        return value or None
    plain = getattr(value, "value", value)
    if plain is None or isinstance(plain, Mapping | bool) or _is_list(plain):
        return None
    return str(plain) or None


def amount(value: Any) -> Decimal | None:
    """An amount exactly as written; a float by its shortest text, which is what was written before it was parsed."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        # The second is Python's own limit on the digits of an integer.
        return None
    return number if number.is_finite() else None


def items(value: Any) -> list[Any]:
    """The elements of a list; none for anything else."""
    return list(value) if _is_list(value) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
