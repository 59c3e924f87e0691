"""
The rules that every record keeps, however it comes in, and the one way from an interaction to a row.

Pure: no clock, no disk, no network.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from steward import ids
from steward.errors import InvalidArgument
from steward.types import LIMITS, FieldViolation, Interaction
from stewardd.privacy import Counts, Pseudonym, Redactor, total
from stewardd.store.row import Row
from stewardd.store.times import EPOCH, micros

RATINGS = (1.0, 5.0)
AHEAD = timedelta(days=1)  # how far a caller's clock may be off
MOST_PAIRS = 32  # labels, or entries of metadata
PAIR_BYTES = 1024  # of the value of one
MOST = 10**9  # of a count, or of seconds: so that no sum of them can overflow
ID_RULE = "must be a UUIDv7, such as 0190163d-8694-739b-aea5-966c26f8ad91"

Prepared = tuple[Row, Counts]  # a row to store, and what was redacted in it


def to_row(each: Interaction, *, key: bytes, session: Pseudonym, redactor: Redactor) -> Prepared:
    """Return the redacted row of *each*, which must be without violations, and how much was redacted by kind."""
    role, of_role = redactor.redact(each.user_role)
    query, of_query = redactor.redact(each.query)
    kind, of_kind = redactor.redact(each.query_type)
    row = Row(
        key,
        session,
        None if each.occurred_at is None else micros(each.occurred_at),
        role,
        query,
        kind,
        each.response_time_seconds,
        each.response_length,
        each.code_snippets_shown,
        each.citations_provided,
        each.success,
        each.user_rating,
        each.follow_up_query,
        each.conversation_turn,
    )
    return row, total((of_query, of_role, of_kind)) if of_role or of_kind else of_query


def violations(each: Interaction, *, key: bytes | None) -> list[FieldViolation]:
    """
    Return what is wrong with *each*, whose id parses to *key*, whether it comes from a live call or an import.

    On the path of every record, so flat and without generators: that took a third off the time of a batch.
    """
    found = []
    if key is None:
        found.append(FieldViolation("interaction_id", ID_RULE))
    for name, text, most in (
        ("session_id", each.session_id, LIMITS.id_bytes),
        ("user_role", each.user_role, LIMITS.label_bytes),
        ("query_type", each.query_type, LIMITS.label_bytes),
        ("query", each.query, LIMITS.text_bytes),
    ):
        if 4 * len(text) > most and len(text.encode()) > most:  # a character is at most 4 bytes
            found.append(FieldViolation(name, f"must be at most {most} bytes of UTF-8"))
        if "\0" in text:
            found.append(FieldViolation(name, "must not contain the character NUL"))
    seconds = each.response_time_seconds
    if seconds is not None and not abs(seconds) <= MOST:  # true for NaN
        found.append(FieldViolation("response_time_seconds", f"must be a finite number, at most {MOST}"))
    for name, count, least in (
        ("response_length", each.response_length, 0),
        ("code_snippets_shown", each.code_snippets_shown, 0),
        ("citations_provided", each.citations_provided, 0),
        ("conversation_turn", each.conversation_turn, 1),
    ):
        if count is not None and not least <= count <= MOST:
            found.append(FieldViolation(name, f"must be {least} to {MOST}"))
    if each.user_rating is not None:
        found += rating_violations(each.user_rating, "user_rating")
    if each.occurred_at is not None and each.occurred_at < EPOCH:
        found.append(FieldViolation("occurred_at", "must be in 1970 or later"))
    return found


# What the other records have in common


def record_violations(key: bytes | None, field: str, occurred_at: datetime | None) -> Iterator[FieldViolation]:
    """Yield what is wrong with a record whose id, given in *field*, parses to *key*."""
    if key is None:
        yield FieldViolation(field, ID_RULE)
    if occurred_at is not None and occurred_at < EPOCH:
        yield FieldViolation("occurred_at", "must be in 1970 or later")


def ahead_violations(occurred_at: datetime | None, *, now: datetime) -> Iterator[FieldViolation]:
    """Yield what is wrong with a live call's time: an import takes what there was."""
    if occurred_at is not None and occurred_at > now + AHEAD:
        yield FieldViolation("occurred_at", "must not be more than a day ahead of the server's clock")


def text_violations(
    field: str, text: str, *, least: int = 0, most: int = LIMITS.label_bytes
) -> Iterator[FieldViolation]:
    """Yield what is wrong with a short *text* of *least* to *most* bytes, given in *field*."""
    if not least <= len(text.encode()) <= most:
        yield FieldViolation(field, f"must be {least} to {most} bytes of UTF-8")
    if "\0" in text:
        yield FieldViolation(field, "must not contain the character NUL")


def pairs_violations(field: str, pairs: Mapping[str, str]) -> Iterator[FieldViolation]:
    """Yield what is wrong with the names and values given in *field*. Never says which: a name may be anything."""
    if len(pairs) > MOST_PAIRS:
        yield FieldViolation(field, f"must be at most {MOST_PAIRS}")
    names = [each for name in pairs for each in text_violations(f"{field}.key", name, least=1)]
    values = [each for value in pairs.values() for each in text_violations(f"{field}.value", value, most=PAIR_BYTES)]
    yield from [*names[:1], *values[:1]]


def number_violations(field: str, value: float | None, *, most: float = MOST) -> Iterator[FieldViolation]:
    """Yield what is wrong with a *value* of either sign, given in *field*."""
    if value is not None and not abs(value) <= most:  # true for NaN
        yield FieldViolation(field, f"must be a finite number, at most {most:.0f} either way")


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
