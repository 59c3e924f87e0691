"""
What goes into the store and what comes back for it. Takes only clean text and pseudonyms, which mypy enforces.
"""

from collections.abc import Sequence
from typing import NamedTuple

from stewardd.privacy import Clean, Pseudonym


class Row(NamedTuple):
    """One interaction, ready to store."""

    interaction_id: bytes  # 16
    session: Pseudonym
    occurred_at: int | None  # microseconds; None: when it is recorded
    user_role: Clean
    query: Clean
    query_type: Clean
    response_time_seconds: float | None
    response_length: int | None
    code_snippets_shown: int
    citations_provided: int
    success: bool | None
    user_rating: float | None
    follow_up_query: bool
    conversation_turn: int


class Times(NamedTuple):
    """When a row was recorded, and last rated, in the store that it comes from."""

    recorded_at: int  # microseconds
    rated_at: int | None  # microseconds


class Stored(NamedTuple):
    """Where a row stands in the store."""

    seq: int
    recorded_at: int  # microseconds
    already_stored: bool


class Marks(NamedTuple):
    """What a request says of a recorder's numbers. Ranges are (first, last), in rising order, and do not touch."""

    recorder_id: bytes  # 16
    name: Clean
    arrived: Sequence[tuple[int, int]]
    forgone: Sequence[tuple[int, int]]
    issued: int


# What a row weighs in the queue beside its question, in bytes: the objects themselves, and its labels.
ROW_OVERHEAD = 1200


def weight(rows: Sequence[Row]) -> int:
    """Return about how many bytes of memory *rows* take."""
    return ROW_OVERHEAD * len(rows) + sum(len(row.query) for row in rows)


# The other records. The model of each has seq, then these fields in this order, with recorded_at after occurred_at.


class ContentRow(NamedTuple):
    """An access to content, ready to store."""

    access_id: bytes  # 16
    occurred_at: int | None  # microseconds; None: when it is recorded
    content_type: Clean
    content_id: Clean
    user_roles: Clean  # a JSON array
    accesses: int
    relevance_score: float | None
    engagement_score: float | None
    effectiveness_score: float | None
    metadata: Clean  # a JSON object


class BusinessRow(NamedTuple):
    """A figure of the business, ready to store."""

    metric_id: bytes  # 16
    occurred_at: int | None  # microseconds; None: when it is recorded
    name: Clean
    value: float
    metric_type: Clean
    metadata: Clean  # a JSON object
    date: str  # YYYY-MM-DD or ''


class PointRow(NamedTuple):
    """A measurement, ready to store."""

    metric_id: bytes  # 16
    occurred_at: int | None  # microseconds; None: when it is recorded
    name: Clean
    value: float
    unit: Clean
    component: Clean
    labels: Clean  # a JSON object


Record = ContentRow | BusinessRow | PointRow


def record_weight(rows: Sequence[Record]) -> int:
    """Return about how many bytes of memory *rows* take: labels and metadata may be 36 KB each time."""
    return ROW_OVERHEAD * len(rows) + sum(len(each) for row in rows for each in row if isinstance(each, str))


class Kept(NamedTuple):
    """Since when a record is in the store."""

    recorded_at: int  # microseconds
    already_stored: bool
