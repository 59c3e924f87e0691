"""
What goes into the store and what comes back for it. Takes only clean text and pseudonyms, which mypy enforces.
"""

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


class Stored(NamedTuple):
    """Where a row stands in the store."""

    seq: int
    recorded_at: int  # microseconds
    already_stored: bool


# What a row weighs in the queue beside its texts, in bytes: the objects themselves.
ROW_OVERHEAD = 1000


def weight(row: Row) -> int:
    """Return about how many bytes of memory *row* takes."""
    return ROW_OVERHEAD + len(row.query) + len(row.user_role) + len(row.query_type)
