"""
Conversations, as their interactions make them.

Pure but for what it asks the store it is handed. When a session counts as a conversion is a setting, so it is judged
when it is asked for.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from steward.errors import InvalidArgument, NotFound
from steward.types import FieldViolation, Session
from stewardd.filters import demand, label_violations, narrowed, window_violations, within
from stewardd.privacy import Pseudonym
from stewardd.store import Store
from stewardd.store.keyset import Place, newest_first
from stewardd.store.models import Session as Sessions
from stewardd.store.times import instant


def get(store: Store, pseudonym: Pseudonym | None, *, conversion_queries: int) -> Session:
    """Return one session. Raises: InvalidArgument when none is named, NotFound when there is none."""
    if pseudonym is None:
        raise InvalidArgument.of(FieldViolation("session_id", "must be given, or session for its pseudonym"))
    row = store.one(_sessions().where(Sessions.pseudonym == pseudonym))
    if row is None:
        raise NotFound("no session has this id or pseudonym", reason="SESSION_NOT_FOUND")
    return _to_session(row, conversion_queries)


def check(since: datetime | None, until: datetime | None, user_roles: Sequence[str], *, now: datetime) -> None:
    """Raise InvalidArgument, naming what is wrong with the sessions that are asked for."""
    demand([*window_violations(since, until, now=now), *label_violations("user_roles", user_roles)])


def listed(
    store: Store,
    *,
    since: datetime | None,
    until: datetime | None,
    user_roles: Sequence[str],
    after: Place | None,
    limit: int,
    conversion_queries: int,
) -> list[tuple[Place, Session]]:
    """Return the first *limit* sessions that started in the window, newest first, that come *after* a place."""
    conditions = within(Sessions.started_at, since, until)
    if user_roles:
        conditions.append(Sessions.user_role.in_(list(user_roles)))
    page = newest_first(narrowed(_sessions(), conditions), Sessions.started_at, Sessions.key, after=after, limit=limit)
    return [((row[2], row[-1]), _to_session(row, conversion_queries)) for row in store.rows(page)]


def _sessions() -> Any:
    return Sessions.select(
        Sessions.pseudonym,
        Sessions.user_role,
        Sessions.started_at,
        Sessions.last_activity_at,
        Sessions.total_queries,
        Sessions.successful_queries,
        Sessions.response_time_sum,
        Sessions.timed_queries,
        Sessions.total_code_snippets,
        Sessions.total_citations,
        Sessions.rating_sum,
        Sessions.ratings,
        Sessions.detailed_queries,
        Sessions.session_rating,
        Sessions.session_converted,
        Sessions.key,
    )


def _to_session(row: tuple[Any, ...], conversion_queries: int) -> Session:
    return Session(
        session=row[0],
        user_role=row[1],
        started_at=instant(row[2]),
        last_activity_at=instant(row[3]),
        total_queries=row[4],
        successful_queries=row[5],
        mean_response_time_seconds=row[6] / row[7] if row[7] else None,
        total_code_snippets=row[8],
        total_citations=row[9],
        mean_rating=row[10] / row[11] if row[11] else None,
        conversion_achieved=row[12] >= conversion_queries or bool(row[14]),
        session_rating=row[13],
    )
