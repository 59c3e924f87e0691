"""
Interactions field by field, as the batches of an export have them: as lists, and as values.

Pure. The presence and the times are those of the codec: None is what is unset, and what is no time is an error.
"""

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from steward.codec import EPOCH, TIME_RULE, field_type
from steward.errors import InvalidArgument, StreamTruncated
from steward.types import FieldViolation, RecordedInteraction, many_maker
from steward.v1 import export_pb2

# The fields of an interaction, in order, and their types without None.
KINDS: dict[str, Any] = {
    each.name: field_type(RecordedInteraction, each.name)[0] for each in fields(RecordedInteraction)
}

_OPTIONAL = {each.name for each in export_pb2.InteractionColumns.DESCRIPTOR.fields if each.message_type is not None}
_TIMES = [(place, name) for place, (name, kind) in enumerate(KINDS.items()) if kind is datetime]

_make = many_maker(RecordedInteraction)


def lists(batch: export_pb2.InteractionColumns) -> list[list[Any]]:
    """
    Return the values of each field of *batch* in the order of KINDS, None where unset, times in microseconds.

    Raises: StreamTruncated when fields have not equally many.
    """
    found = [_list(name, getattr(batch, name)) for name in KINDS]
    if any(len(each) != len(found[0]) for each in found):
        raise StreamTruncated("a batch came whose fields have not equally many values")
    return found


def values(batch: export_pb2.InteractionColumns) -> list[RecordedInteraction]:
    """
    Return the interactions of *batch*.

    Raises: InvalidArgument, naming the time that is none, StreamTruncated.
    """
    found = lists(batch)
    for place, name in _TIMES:
        found[place] = times(name, found[place])
    return _make(*found)


def times(name: str, found: list[int | None]) -> list[datetime | None]:
    """Return the times of the field *name* that are *found* in microseconds. Raises: InvalidArgument."""
    try:
        return [None if each is None else EPOCH + timedelta(0, 0, each) for each in found]  # by position: see codec
    except OverflowError:
        raise InvalidArgument.of(FieldViolation(name, TIME_RULE)) from None


def _list(name: str, column: Any) -> list[Any]:
    if name not in _OPTIONAL:
        return list(column)
    found = map(bool, column.values) if KINDS[name] is bool else column.values
    if not column.present:
        return list(found)
    # Too few are found by lists.
    return [value if present else None for value, present in zip(found, column.present, strict=False)]
