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
Batch = export_pb2.InteractionRows | export_pb2.InteractionColumns
LayOut = Callable[[Sequence[Row]], Batch]


def rows(found: Sequence[Row]) -> export_pb2.InteractionRows:
    """Return what was *found* as a message for each."""
    fields: Any = [_fields(row) for row in found]
    return export_pb2.InteractionRows(interactions=fields)


def columns(found: Sequence[Row]) -> export_pb2.InteractionColumns:
    """Return what was *found* as an array for each field."""
    (
        seq,
        interaction_id,
        session,
        occurred_at,
        recorded_at,
        user_role,
        query,
        query_type,
        response_time_seconds,
        response_length,
        code_snippets_shown,
        citations_provided,
        success,
        user_rating,
        follow_up_query,
        conversation_turn,
        rated_at,
    ) = zip(*found, strict=True)
    return export_pb2.InteractionColumns(
        seq=seq,
        interaction_id=map(ids.spell, interaction_id),
        session=session,
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        user_role=user_role,
        query=query,
        query_type=query_type,
        response_time_seconds=export_pb2.OptionalDoubles(**_optional(response_time_seconds)),
        response_length=export_pb2.OptionalIntegers(**_optional(response_length)),
        code_snippets_shown=code_snippets_shown,
        citations_provided=citations_provided,
        success=export_pb2.OptionalIntegers(**_optional(success)),
        user_rating=export_pb2.OptionalDoubles(**_optional(user_rating)),
        follow_up_query=follow_up_query,
        conversation_turn=conversation_turn,
        rated_at=export_pb2.OptionalIntegers(**_optional(rated_at)),
    )


def layout(asked: int) -> LayOut:
    """Return what lays a batch out as is *asked*. Raises: InvalidArgument."""
    if asked not in _LAYOUTS:
        raise InvalidArgument.of(FieldViolation("layout", "must be unset, EXPORT_LAYOUT_ROWS or EXPORT_LAYOUT_COLUMNS"))
    return _LAYOUTS[asked]


def part(batch: Batch, *, token: str) -> export_pb2.ExportBatch:
    """Return *batch* with the *token* that goes on behind it."""
    if isinstance(batch, export_pb2.InteractionColumns):
        return export_pb2.ExportBatch(columns=batch, resume_token=token)
    return export_pb2.ExportBatch(rows=batch, resume_token=token)


def _optional(values: Sequence[Any]) -> dict[str, Any]:
    if None not in values:
        return {"values": values}
    return {
        "values": [0 if value is None else value for value in values],
        "present": [value is not None for value in values],
    }


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


_LAYOUTS: dict[int, LayOut] = {
    export_pb2.EXPORT_LAYOUT_UNSPECIFIED: rows,
    export_pb2.EXPORT_LAYOUT_ROWS: rows,
    export_pb2.EXPORT_LAYOUT_COLUMNS: columns,
}
