"""
Values as text, spelled by the database as it reads them: ids, times, booleans, JSON, cells of a spreadsheet.

The SQL here is SQLite's own. Pure: composes expressions and runs none.
"""

from typing import Any

from peewee import Case, Value, fn

from steward.types import FORMULA_STARTS

_SECOND = 1_000_000  # us


def uuid_text(field: Any) -> Any:
    """Return the 16 bytes of *field* as a UUID is written."""
    parts = [fn.HEX(field), *(fn.HEX(fn.SUBSTR(field, start)) for start in (5, 7, 9, 11))]
    return fn.LOWER(fn.PRINTF("%.8s-%.4s-%.4s-%.4s-%s", *parts))


TIME_FORM = "%sT%s.%06dZ"  # of PRINTF, for `time_parts`


def time_parts(field: Any) -> tuple[Any, ...]:
    """Return what TIME_FORM takes for the microseconds of *field*: 2025-09-30T12:00:00.000000Z, never of NULL."""
    seconds = (field - (field < 0) * (_SECOND - 1)) / _SECOND  # rounded down: SQL rounds towards 0
    # Twice as fast as STRFTIME.
    return fn.DATE(seconds, "unixepoch"), fn.TIME(seconds, "unixepoch"), field - seconds * _SECOND


def time_text(field: Any) -> Any:
    """Return the microseconds of *field* as 2025-09-30T12:00:00.000000Z, NULL when it is NULL."""
    spelled = fn.PRINTF(TIME_FORM, *time_parts(field))
    return Case(None, [(field.is_null(False), spelled)]) if field.null else spelled


def boolean_text(field: Any) -> Any:
    """Return *field* as true or false, NULL when it is NULL."""
    return Case(None, [(field == 1, Value("true")), (field == 0, Value("false"))])


def real_text(field: Any) -> Any:
    """Return the floating-point number *field* in the digits that give it back exactly, NULL when it is NULL."""
    spelled = fn.PRINTF("%!.17g", field)  # by itself it makes 0.0 of NULL
    return Case(None, [(field.is_null(False), spelled)]) if field.null else spelled


def compact_json(field: Any) -> Any:
    """Return the JSON of *field* without blanks or line breaks."""
    return fn.JSON(field)


def quoted_json(text: Any) -> Any:
    """Return *text* as a string of JSON."""
    return fn.JSON_QUOTE(text)


def harmless(text: Any) -> Any:
    """Return *text*, with one more apostrophe before it when but for those a spreadsheet takes it for a formula."""
    first = fn.SUBSTR(fn.LTRIM(text, "'").concat(Value("a")), 1, 1)  # something there always is
    # Most begin with a letter, which two comparisons tell: what is dangerous, and the apostrophe, is before or behind.
    plain = (text >= "A") & (text < "\uff0b")
    return Case(None, [(plain, text), (fn.INSTR(FORMULA_STARTS, first) > 0, Value("'").concat(text))], text)
