"""
The rules that every interaction keeps, however it comes in, and the one way from an interaction to a row.

Pure: no clock, no disk, no network.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime

from steward import ids
from steward.errors import InvalidArgument
from steward.types import LIMITS, FieldViolation, Interaction
from stewardd.privacy import Pseudonym, Redactor
from stewardd.store.row import Row
from stewardd.store.times import micros

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
RATINGS = (1.0, 5.0)
ID_RULE = "must be a UUIDv7, such as 0190163d-8694-739b-aea5-966c26f8ad91"
_TEXTS = (
    ("session_id", LIMITS.id_bytes),
    ("user_role", LIMITS.label_bytes),
    ("query_type", LIMITS.label_bytes),
    ("query", LIMITS.text_bytes),
)
_COUNTS = (("response_length", 0), ("code_snippets_shown", 0), ("citations_provided", 0), ("conversation_turn", 1))

Prepared = tuple[Row, dict[str, int]]  # a row to store, and what was redacted in it


def to_row(each: Interaction, *, session: Pseudonym, redactor: Redactor) -> Prepared:
    """Return the redacted row of *each*, which must be without violations, and how much was redacted by kind."""
    query, role, kind = (redactor.redact(text) for text in (each.query, each.user_role, each.query_type))
    counts = query.counts
    if role.counts or kind.counts:
        counts = {
            name: sum(part.counts.get(name, 0) for part in (query, role, kind))
            for name in {**query.counts, **role.counts, **kind.counts}
        }
    row = Row(
        ids.parse(each.interaction_id) or b"",
        session,
        None if each.occurred_at is None else micros(each.occurred_at),
        role.text,
        query.text,
        kind.text,
        each.response_time_seconds,
        each.response_length,
        each.code_snippets_shown,
        each.citations_provided,
        each.success,
        each.user_rating,
        each.follow_up_query,
        each.conversation_turn,
    )
    return row, dict(counts)


def common_violations(each: Interaction) -> Iterator[FieldViolation]:
    """Yield what is wrong with *each* whether it comes from a live call or an import."""
    if ids.parse(each.interaction_id) is None:
        yield FieldViolation("interaction_id", ID_RULE)
    for name, most in _TEXTS:
        text = getattr(each, name)
        if len(text) > most or len(text.encode()) > most:
            yield FieldViolation(name, f"must be at most {most} bytes of UTF-8")
        if "\0" in text:
            yield FieldViolation(name, "must not contain the character NUL")
    seconds = each.response_time_seconds
    if seconds is not None and not math.isfinite(seconds):
        yield FieldViolation("response_time_seconds", "must be a finite number")
    for name, least in _COUNTS:
        count = getattr(each, name)
        if count is not None and count < least:
            yield FieldViolation(name, f"must be {least} or more")
    if each.user_rating is not None:
        yield from rating_violations(each.user_rating, "user_rating")
    if each.occurred_at is not None and each.occurred_at < EARLIEST:
        yield FieldViolation("occurred_at", "must be in 1970 or later")


def rating_violations(rating: float, field: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with *rating*, given in *field*."""
    if not RATINGS[0] <= rating <= RATINGS[1]:  # false for NaN
        yield FieldViolation(field, "must be 1 to 5")


def parse_id(interaction_id: str) -> bytes:
    """Return the bytes of *interaction_id*. Raises: InvalidArgument when it is none."""
    key = ids.parse(interaction_id)
    if key is None:
        raise InvalidArgument.of(FieldViolation("interaction_id", ID_RULE))
    return key
