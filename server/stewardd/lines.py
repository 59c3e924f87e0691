"""
The rows of a table as lines of text: put together by the database, which lets Python's other threads go on meanwhile.

Pure: composes expressions and runs none.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from peewee import Case, Value, fn

from stewardd.store.spelling import (
    TIME_FORM,
    boolean_text,
    compact_json,
    harmless,
    quoted_json,
    real_text,
    time_parts,
    time_text,
    uuid_text,
)
from stewardd.tables import Column, Kind

_QUOTED = (Kind.TEXT, Kind.JSON)  # in CSV: the others have nothing in them that would need it
_BARE = (Kind.UUID, Kind.PSEUDONYM, Kind.TIME)  # strings with nothing in them that JSON escapes


def cell(column: Column, *, raw: bool) -> Any:
    """Return *column* as a cell of a spreadsheet: numbers as such, and unless *raw* no text that is a formula there."""
    match column.kind:
        case Kind.TIME:
            return time_text(column.source)
        case Kind.BOOLEAN:
            return boolean_text(column.source)
        case Kind.TEXT if not raw:
            return harmless(column.source)
        case Kind.REAL:
            return column.source
    return _typed(column)


def csv_line(columns: Sequence[Column], *, raw: bool) -> Any:
    """Return *columns* as a line of CSV by RFC 4180, every text in quotes."""
    slots = [_time(each) if _is_time(each) else _quoted(each, _text(each, raw=raw)) for each in columns]
    return _line(",".join(slot.form for slot in slots) + "\r\n", slots)


def typed_line(columns: Sequence[Column]) -> Any:
    """Return *columns* as CSV for a reader that knows their types: times in microseconds, booleans 0 and 1."""
    slots = [_quoted(each, _typed(each)) for each in columns]
    return _line(",".join(slot.form for slot in slots) + "\r\n", slots)


def json_line(columns: Sequence[Column], *, before: str = "", behind: str = "") -> Any:
    """Return *columns* as an object of JSON, with *before* and *behind* around it."""
    slots = [_json(each) for each in columns]
    fields = ",".join(f'"{column.name}":{slot.form}' for column, slot in zip(columns, slots, strict=True))
    return _line(f"{before}{{{fields}}}{behind}", slots)


class _Slot(NamedTuple):
    """Where a column stands in a line: how PRINTF is to write it, and of what."""

    form: str
    values: tuple[Any, ...]


def _line(form: str, slots: Sequence[_Slot]) -> Any:
    return fn.PRINTF(form, *(value for slot in slots for value in slot.values))


def _text(column: Column, *, raw: bool) -> Any:
    return real_text(column.source) if column.kind is Kind.REAL else cell(column, raw=raw)


def _typed(column: Column) -> Any:
    spelled = {Kind.UUID: uuid_text, Kind.JSON: compact_json, Kind.REAL: real_text}
    return spelled[column.kind](column.source) if column.kind in spelled else column.source


def _is_time(column: Column) -> bool:
    return column.kind is Kind.TIME and not column.source.null


def _time(column: Column) -> _Slot:
    """Return where a time stands that is never NULL: put together by the line itself, which takes less time."""
    return _Slot(TIME_FORM, time_parts(column.source))


def _quoted(column: Column, spelled: Any) -> _Slot:
    """Return where *column*, as it is *spelled*, stands in a line of CSV."""
    if column.kind not in _QUOTED:
        return _Slot("%s", (spelled,))
    if not column.source.null:
        return _Slot('"%w"', (spelled,))
    return _Slot("%s", (Case(None, [(column.source.is_null(), Value(""))], fn.PRINTF('"%w"', spelled)),))


def _json(column: Column) -> _Slot:
    if _is_time(column):
        form, values = _time(column)
        return _Slot(f'"{form}"', values)
    spelled = _text(column, raw=True)
    if column.kind in _BARE and not column.source.null:
        return _Slot('"%s"', (spelled,))
    if column.kind in (Kind.TEXT, *_BARE):
        return _Slot("%s", (quoted_json(spelled),))  # that makes null of NULL
    return _Slot("%s", (fn.COALESCE(spelled, "null") if column.source.null else spelled,))
