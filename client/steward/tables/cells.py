"""
The cells of a table as values of their columns: of JSON by its types, of CSV by their spelling.

Pure. Each raises ValueError, saying what would be right.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Reader = Callable[[Any], Any]

_WHOLE = re.compile(r"-?[0-9]{1,19}")
_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TRUTHS = {"true": True, "false": False}


def text(value: Any) -> str:
    """Return the text *value*."""
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 -- a cell that is wrong, not a caller
    if not value.isprintable() and any("\ud800" <= each <= "\udfff" for each in value):
        raise ValueError("must be text in UTF-8")
    return value


def time(value: Any) -> datetime:
    """Return the time that *value* names, in UTC."""
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError("must be a time with its zone, such as 2025-09-30T12:00:00.000000Z")


def real(value: Any) -> float:
    """Return the number *value* of JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 -- see text
    try:
        return float(value)
    except OverflowError:
        raise ValueError("must be a finite number") from None


def whole(value: Any) -> int:
    """Return the whole number *value* of JSON."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError("must be a whole number of 64 bits")
    return value


def truth(value: Any) -> bool:
    """Return the truth *value* of JSON."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 -- see text
    return value


def spelled_real(value: str) -> float:
    """Return the number that *value* spells."""
    return real(float(value) if _REAL.fullmatch(value) else value)


def spelled_whole(value: str) -> int:
    """Return the whole number that *value* spells."""
    return whole(int(value) if _WHOLE.fullmatch(value) else value)


def spelled_truth(value: str) -> bool:
    """Return the truth that *value* spells, in whatever case: spreadsheets write TRUE."""
    return truth(_TRUTHS.get(value.lower(), value))


SPELLED: dict[Reader, Reader] = {real: spelled_real, whole: spelled_whole, truth: spelled_truth}
