"""
The cells of a row of the predecessor's, read as what they should be; what they are not is noted.

Pure: no clock, no disk, no network.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, TypeVar

from steward import ids
from steward.types import FieldViolation

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Cells:
    """The cells of one row. What is read of a bad one stands for nothing: the row is then to be rejected."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row
        self.bad: list[FieldViolation] = []  # so far
        self.number: int = row["id"] if isinstance(row["id"], int) else 0

    def take(self, column: str, read: Callable[[Any], T], default: T, *, field: str | None = None) -> T:
        """Return what *read* makes of *column*, *default* when that is NULL; what it cannot read is bad in *field*."""
        return default if self._row[column] is None else self.need(column, read, default, field=field)

    def need(self, column: str, read: Callable[[Any], T], stand_in: T, *, field: str | None = None) -> T:
        """Return what *read* makes of *column*, or the *stand_in* when it cannot: NULL too is then bad in *field*."""
        try:
            return read(self._row[column])
        except (ValueError, OverflowError) as error:
            self.bad.append(FieldViolation(field or column, str(error)))
            return stand_in

    def time(self, column: str, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return the time in *column* as it stands there, and in UTC, taken as one of *zone* where it names none."""
        naive = self.need(column, time, _EPOCH, field="occurred_at")
        return naive, self.need(column, lambda _: _placed(naive, zone), _EPOCH, field="occurred_at")

    def known(self, column: str) -> bool:
        """Whether there is such a column, and something in it."""
        return self._row.get(column) is not None

    def id(self, naive: datetime, *of: str) -> str:
        """Return an id made of the *naive* time and all the row, as one *of* something when that is said."""
        content = json.dumps([*of, self._row] if of else self._row, sort_keys=True, default=bytes.hex)
        return ids.derive((naive.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1), content.encode())


def time(value: Any) -> datetime:
    """Return the time that *value* names. Raises: ValueError, as all of these do."""
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 time")  # noqa: TRY004 -- see text
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be an ISO 8601 time") from None


def _placed(moment: datetime, zone: tzinfo) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def day(value: Any) -> date:
    """Return the day that *value* names."""
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("must be a day as YYYY-MM-DD") from None


def text(value: Any) -> str:
    """Return *value* as text."""
    if isinstance(value, bytes):
        raise ValueError("must be text")  # noqa: TRY004 -- a row that is wrong, not a caller
    found = str(value)
    if not found.isprintable() and any("\ud800" <= each <= "\udfff" for each in found):
        raise ValueError("must be text in UTF-8")
    return found


def real(value: Any) -> float:
    """Return the number *value*."""
    if not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 -- see text
    return float(value)


def whole(value: Any) -> int:
    """Return the whole number *value*."""
    if not isinstance(value, int | float) or value != int(value) or not -(2**63) <= value < 2**63:
        raise ValueError("must be a whole number of 64 bits")
    return int(value)


def truth(value: Any) -> bool:
    """Return whether *value* is 1."""
    if value not in (0, 1):
        raise ValueError("must be 0 or 1")
    return bool(value)


def roles(value: Any) -> tuple[str, ...]:
    """Return the roles in *value*: JSON, an array of them or an object that has them for keys."""
    content = text(value)
    try:
        named = json.loads(content) if content else []
    except (ValueError, RecursionError):
        named = None
    if not isinstance(named, list | dict) or not all(isinstance(each, str) for each in named):
        raise ValueError("must be a JSON array of strings, or a JSON object whose keys are roles")
    return tuple(map(text, named))


def pairs(value: Any) -> dict[str, str]:
    """Return the names and values in *value*: a JSON object, or else all of it as one value."""
    content = text(value)
    try:
        found = json.loads(content) if content else {}
        named = found if isinstance(found, dict) else {"metadata": _spelled(found)}
        read = {name: each if isinstance(each, str) else _spelled(each) for name, each in named.items()}
    except (ValueError, RecursionError):
        read = {"metadata": content}
    return {text(name): text(each) for name, each in read.items()}


def _spelled(value: Any) -> str:
    """Return *value* as JSON without escapes, behind which redaction would not see what they spell."""
    return json.dumps(value, ensure_ascii=False)
