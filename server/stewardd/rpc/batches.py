"""
Interactions as the batches of an export, in either layout.

From the rows of `recorded_query`; by way of values it would take twice the time.
"""

from collections.abc import Callable, Sequence
from typing import Any

from steward import ids
from steward.errors import InvalidArgument
from steward.types import FieldViolation
from steward.v1 import export_pb2

SECOND = 10**6  # microseconds

Row = tuple[Any, ...]
Part = export_pb2.ExportBatch


def demand_layout(layout: int) -> None:
    """Raise InvalidArgument when there is no such *layout*."""
    if layout not in _LAYOUTS:
        raise InvalidArgument.of(FieldViolation("layout", "must be unset, EXPORT_LAYOUT_ROWS or EXPORT_LAYOUT_COLUMNS"))


def lay_out(found: Sequence[Row], part: Part, *, layout: int) -> bytes:
    """Fill *part* with what was *found*; return that as it is on the wire."""
    content: bytes = _LAYOUTS[layout](found, part).SerializeToString(deterministic=True)
    return content


def _rows(found: Sequence[Row], part: Part) -> Any:
    fields: Any = [_fields(row) for row in found]
    part.rows.interactions.extend(export_pb2.InteractionRows(interactions=fields).interactions)
    return part.rows


def _columns(found: Sequence[Row], part: Part) -> Any:
    for values, (name, spelled) in zip(zip(*found, strict=True), _FIELDS.items(), strict=True):
        spelled(getattr(part.columns, name), values)
    return part.columns


def _plain(field: Any, values: Sequence[Any]) -> None:
    field.extend(values)


def _ids(field: Any, values: Sequence[bytes]) -> None:
    field.extend(map(ids.spell, values))


def _optional(field: Any, values: Sequence[Any]) -> None:
    if None in values:
        field.values.extend(0 if value is None else value for value in values)
        field.present.extend(value is not None for value in values)
    else:
        field.values.extend(values)


def _fields(row: Row) -> dict[str, Any]:
    occurred, recorded, rated = row[3], row[4], row[16]
    return {
        "seq": row[0],
        "interaction_id": ids.spell(row[1]),
        "session": row[2],
        "occurred_at": {"seconds": occurred // SECOND, "nanos": occurred % SECOND * 1000},
        "recorded_at": {"seconds": recorded // SECOND, "nanos": recorded % SECOND * 1000},
        "user_role": row[5],
        "query": row[6],
        "query_type": row[7],
        "response_time_seconds": row[8],
        "response_length": row[9],
        "code_snippets_shown": row[10],
        "citations_provided": row[11],
        "success": None if row[12] is None else row[12] != 0,
        "user_rating": row[13],
        "follow_up_query": row[14] != 0,
        "conversation_turn": row[15],
        "rated_at": None if rated is None else {"seconds": rated // SECOND, "nanos": rated % SECOND * 1000},
    }


_FIELDS: dict[str, Callable[[Any, Sequence[Any]], None]] = {  # in the order of `recorded_query`
    "seq": _plain,
    "interaction_id": _ids,
    "session": _plain,
    "occurred_at": _plain,
    "recorded_at": _plain,
    "user_role": _plain,
    "query": _plain,
    "query_type": _plain,
    "response_time_seconds": _optional,
    "response_length": _optional,
    "code_snippets_shown": _plain,
    "citations_provided": _plain,
    "success": _optional,
    "user_rating": _optional,
    "follow_up_query": _plain,
    "conversation_turn": _plain,
    "rated_at": _optional,
}
_LAYOUTS: dict[int, Callable[[Sequence[Row], Part], Any]] = {
    export_pb2.EXPORT_LAYOUT_UNSPECIFIED: _rows,
    export_pb2.EXPORT_LAYOUT_ROWS: _rows,
    export_pb2.EXPORT_LAYOUT_COLUMNS: _columns,
}
