"""
The figures of a window of time.

Pure but for what it asks the store it is handed.
"""

from datetime import datetime, timedelta
from typing import Any

from peewee import Case, Value, fn

from steward.errors import InvalidArgument
from steward.types import FieldViolation, InteractionFigures, SessionFigures, Summary
from stewardd.filters import window_violations
from stewardd.store import Store
from stewardd.store.models import Interaction, Session
from stewardd.store.times import EPOCH, micros

SUMMARY_DAYS = 7


def summarize(
    store: Store, *, since: datetime | None, until: datetime | None, now: datetime, conversion_queries: int
) -> Summary:
    """
    Sum up what occurred from *since* up to but without *until*; by default in the 7 days before, without end.

    Raises: InvalidArgument when *until* is not later than *since*, or before 1970.
    """
    if until is not None and until < EPOCH:
        raise InvalidArgument.of(FieldViolation("until", "must be in 1970 or later"))
    if since is None:
        since = (now if until is None else until) - timedelta(days=SUMMARY_DAYS)
    violations = list(window_violations(since, until))
    if violations:
        raise InvalidArgument.of(*violations)
    return Summary(
        since=since,
        until=until,
        interactions=_interactions(store, since, until),
        sessions=_sessions(store, since, until, conversion_queries),
    )


def _interactions(store: Store, since: datetime, until: datetime | None) -> InteractionFigures:
    row = store.one(
        Interaction.select(
            fn.COUNT(Interaction.seq),
            fn.COUNT(Interaction.session.distinct()),
            fn.AVG(Interaction.response_time_seconds),
            fn.AVG(Interaction.success),
            fn.AVG(Interaction.user_rating),
            fn.COALESCE(fn.SUM(Interaction.code_snippets_shown), 0),
            fn.COALESCE(fn.SUM(Interaction.citations_provided), 0),
        ).where(*_within(Interaction.occurred_at, since, until))
    )
    assert row is not None  # an aggregate always has a row
    total, unique_sessions, mean_response_time, success_rate, mean_rating, code_snippets, citations = row
    return InteractionFigures(
        total=total,
        unique_sessions=unique_sessions,
        mean_response_time_seconds=mean_response_time,
        success_rate=success_rate,
        mean_rating=mean_rating,
        code_snippets=code_snippets,
        citations=citations,
    )


def _sessions(store: Store, since: datetime, until: datetime | None, conversion_queries: int) -> SessionFigures:
    mean = Case(None, [(Session.timed_queries > 0, Session.response_time_sum / Session.timed_queries)])
    converted = Case(None, [(Session.detailed_queries >= conversion_queries, Value(1.0))], Value(0.0))
    row = store.one(
        Session.select(fn.COUNT(Session.key), fn.AVG(Session.total_queries), fn.AVG(mean), fn.AVG(converted)).where(
            *_within(Session.started_at, since, until)
        )
    )
    assert row is not None  # an aggregate always has a row
    return SessionFigures(
        total=row[0],
        queries_per_session=row[1],
        mean_response_time_seconds=row[2],
        conversion_rate=row[3],
    )


def _within(field: Any, since: datetime, until: datetime | None) -> list[Any]:
    return [field >= micros(since), *([field < micros(until)] if until is not None else [])]
