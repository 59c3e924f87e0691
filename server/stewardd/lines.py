"""
The rows of a table as lines of text: put together by the database, which lets Python's other threads go on meanwhile.

Pure: composes expressions and runs none.
"""

from collections.abc import Callable, Sequence
from typing import Any

from peewee import Case, Value, fn

from stewardd.store.spelling import boolean_text, compact_json, harmless, quoted_json, real_text, time_text, uuid_text
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
    return _comma_separated(columns, lambda each: _text(each, raw=raw))


def typed_line(columns: Sequence[Column]) -> Any:
    """Return *columns* as CSV for a reader that knows their types: times in microseconds, booleans 0 and 1."""
    return _comma_separated(columns, _typed)


def json_line(columns: Sequence[Column], *, before: str = "", behind: str = "") -> Any:
    """Return *columns* as an object of JSON, with *before* and *behind* around it."""
    form = ",".join(f'"{each.name}":"%s"' if _is_bare(each) else f'"{each.name}":%s' for each in columns)
    return fn.PRINTF(f"{before}{{{form}}}{behind}", *(_json(each) for each in columns))


def _text(column: Column, *, raw: bool) -> Any:
    return real_text(column.source) if column.kind is Kind.REAL else cell(column, raw=raw)


def _typed(column: Column) -> Any:
    spelled = {Kind.UUID: uuid_text, Kind.JSON: compact_json, Kind.REAL: real_text}
    return spelled[column.kind](column.source) if column.kind in spelled else column.source


def _comma_separated(columns: Sequence[Column], spelled: Callable[[Column], Any]) -> Any:
    form = ",".join('"%w"' if each.kind in _QUOTED and not each.source.null else "%s" for each in columns)
    return fn.PRINTF(f"{form}\r\n", *(_quoted(each, spelled(each)) for each in columns))


def _quoted(column: Column, spelled: Any) -> Any:
    if column.kind not in _QUOTED or not column.source.null:
        return spelled
    return Case(None, [(column.source.is_null(), Value(""))], fn.PRINTF('"%w"', spelled))


def _is_bare(column: Column) -> bool:
    return column.kind in _BARE and not column.source.null


def _json(column: Column) -> Any:
    spelled = _text(column, raw=True)
    if _is_bare(column):
        return spelled
    if column.kind in (Kind.TEXT, *_BARE):
        return quoted_json(spelled)  # that makes null of NULL
    return fn.COALESCE(spelled, "null") if column.source.null else spelled
