"""
Taking interactions in, and showing what was taken in: live calls, ratings, single ones, lists.

Pure but for what it asks the store it is handed.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from peewee import SqliteDatabase

from steward import ids
from steward.errors import InvalidArgument, NotFound
from steward.types import (
    LIMITS,
    FieldViolation,
    Interaction,
    InteractionFilter,
    Receipt,
    RecordedInteraction,
    Rejection,
    maker,
)
from stewardd.filters import conditions, demand, narrowed
from stewardd.privacy import Redactor
from stewardd.rules import AHEAD, Prepared, parse_id, rating_violations, to_row, violations
from stewardd.store import Store
from stewardd.store.keyset import Place, newest_first
from stewardd.store.models import Interaction as Interactions
from stewardd.store.models import Session
from stewardd.store.row import Marks, Stored
from stewardd.store.times import instant, micros

# Checking


def prepare(
    interactions: Iterable[Interaction | Rejection], *, redactor: Redactor, now: datetime
) -> list[Prepared | Rejection]:
    """
    Check and redact *interactions*, in order; a bad one becomes its rejection.

    Pure: no clock, no disk, no network.
    """
    latest = now + AHEAD
    return [each if isinstance(each, Rejection) else _prepared(each, redactor, latest) for each in interactions]


def _prepared(each: Interaction, redactor: Redactor, latest: datetime) -> Prepared | Rejection:
    key = ids.parse(each.interaction_id)
    found = violations(each, key=key)
    found += _live_violations(each, latest)
    if key is None or found:
        return Rejection(tuple(found))
    return to_row(each, key=key, session=redactor.pseudonym(each.session_id), redactor=redactor)


def _live_violations(each: Interaction, latest: datetime) -> list[FieldViolation]:
    """Return what is wrong with *each* for a live call only: an import takes what there was."""
    found = []
    if not each.session_id:
        found.append(FieldViolation("session_id", f"must be 1 to {LIMITS.id_bytes} bytes of UTF-8"))
    if not each.user_role:
        found.append(FieldViolation("user_role", f"must be 1 to {LIMITS.label_bytes} bytes of UTF-8"))
    if not each.query:
        found.append(FieldViolation("query", f"must be 1 to {LIMITS.text_bytes} bytes of UTF-8"))
    if each.response_time_seconds is not None and each.response_time_seconds < 0:
        found.append(FieldViolation("response_time_seconds", "must be 0 or more"))
    if each.occurred_at is not None and each.occurred_at > latest:
        found.append(FieldViolation("occurred_at", "must not be more than a day ahead of the server's clock"))
    return found


def check_batch(count: int, *, field: str = "interactions", least: int = 1) -> None:
    """Raise InvalidArgument when *count* records, given in *field*, are less than *least*, or too many for one call."""
    if not least <= count <= LIMITS.batch_size:
        raise InvalidArgument.of(FieldViolation(field, f"must be {least} to {LIMITS.batch_size}"))


def demand_all(prepared: Sequence[object], *, prefix: str = "interactions[{}].") -> None:
    """Raise InvalidArgument naming everything that is wrong with any of *prepared*, each under its *prefix*."""
    demand(
        FieldViolation(prefix.format(index) + violation.field, violation.rule)
        for index, each in enumerate(prepared)
        if isinstance(each, Rejection)
        for violation in each.violations
    )


# Storing


_receipt = maker(Receipt)


async def store_all(
    store: Store, prepared: Sequence[Prepared | Rejection], *, marks: Marks | None = None
) -> list[Stored]:
    """
    Store the good ones of *prepared*, and the *marks* of all; return where each of them stands, in order, when they are
    on disk.
    """
    rows = [each[0] for each in prepared if not isinstance(each, Rejection)]
    return await store.append(rows, marks=marks) if rows or marks else []


def outcomes(prepared: Sequence[Prepared | Rejection], places: Sequence[Stored]) -> list[Receipt | Rejection]:
    """
    Return what became of each of *prepared*, in order, the good ones of which stand at *places*.

    Pure: no clock, no disk, no network.
    """
    good = (each for each in prepared if not isinstance(each, Rejection))
    times = {at: instant(at) for at in {place.recorded_at for place in places}}  # mostly one
    receipts = (
        _receipt(ids.spell(row[0]), place[0], row[1], times[place[1]], counts, place[2])
        for (row, counts), place in zip(good, places, strict=True)
    )
    return [each if isinstance(each, Rejection) else next(receipts) for each in prepared]


def rate(interaction_id: str, rating: float, *, now: datetime) -> Callable[[SqliteDatabase], None]:
    """
    Return the change that gives an interaction its *rating* as of *now*, in its session too.

    Raises: InvalidArgument at once; NotFound when it runs.
    """
    key = parse_id(interaction_id)
    demand(rating_violations(rating, "user_rating"))

    def change(db: SqliteDatabase) -> None:
        query = Interactions.select(Interactions.seq, Interactions.session, Interactions.user_rating)
        found = query.where(Interactions.interaction_id == key).tuples().bind(db).first()
        if found is None:
            raise _no_interaction()
        seq, session, before = found
        Interactions.update(user_rating=rating, rated_at=micros(now)).where(Interactions.seq == seq).bind(db).execute()
        more = {
            "ratings": Session.ratings + (before is None),
            "rating_sum": Session.rating_sum + rating - (before or 0),
        }
        Session.update(**more).where(Session.key == session).bind(db).execute()

    return change


# Showing


def get(store: Store, interaction_id: str) -> RecordedInteraction:
    """Return one interaction. Raises: InvalidArgument, NotFound."""
    row = store.one(recorded_query().where(Interactions.interaction_id == parse_id(interaction_id)))
    if row is None:
        raise _no_interaction()
    return to_recorded(row)


def _no_interaction() -> NotFound:
    return NotFound("no interaction has this id", reason="INTERACTION_NOT_FOUND")


def listed(
    store: Store, chosen: InteractionFilter, *, redactor: Redactor, after: Place | None, limit: int
) -> list[tuple[Place, RecordedInteraction]]:
    """Return the first *limit* of the *chosen* interactions, newest first, that come *after* a place."""
    query = narrowed(recorded_query(), conditions(chosen, redactor=redactor))
    page = newest_first(query, Interactions.occurred_at, Interactions.seq, after=after, limit=limit)
    return [((row[3], row[0]), to_recorded(row)) for row in store.rows(page)]


def recorded_query() -> Any:
    """Return the query of interactions as `to_recorded` takes their rows, under no condition."""
    return Interactions.select(
        Interactions.seq,
        Interactions.interaction_id,
        Session.pseudonym,
        Interactions.occurred_at,
        Interactions.recorded_at,
        Interactions.user_role,
        Interactions.query,
        Interactions.query_type,
        Interactions.response_time_seconds,
        Interactions.response_length,
        Interactions.code_snippets_shown,
        Interactions.citations_provided,
        Interactions.success,
        Interactions.user_rating,
        Interactions.follow_up_query,
        Interactions.conversation_turn,
        Interactions.rated_at,
    ).join(Session, on=(Interactions.session == Session.key))


def to_recorded(row: tuple[Any, ...]) -> RecordedInteraction:
    """Return the interaction of a *row* of `recorded_query`."""
    return RecordedInteraction(
        seq=row[0],
        interaction_id=ids.spell(bytes(row[1])),
        session=row[2],
        occurred_at=instant(row[3]),
        recorded_at=instant(row[4]),
        user_role=row[5],
        query=row[6],
        query_type=row[7],
        response_time_seconds=row[8],
        response_length=row[9],
        code_snippets_shown=row[10],
        citations_provided=row[11],
        success=None if row[12] is None else bool(row[12]),
        user_rating=row[13],
        follow_up_query=bool(row[14]),
        conversation_turn=row[15],
        rated_at=None if row[16] is None else instant(row[16]),
    )
