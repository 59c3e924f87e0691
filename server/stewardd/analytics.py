"""
The figures of a window of time: totals, and who asks what.

Pure but for what it asks the store it is handed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from peewee import Case, Value, fn

from steward.types import (
    Insights,
    InteractionFigures,
    InteractionFilter,
    QueryTypeInsight,
    RoleInsight,
    RoleQueryType,
    SessionFigures,
    Summary,
)
from stewardd import metrics
from stewardd.filters import Window, check_filter, conditions, window
from stewardd.privacy import Redactor
from stewardd.store import Store
from stewardd.store.models import Interaction, Session

SUMMARY_DAYS, INSIGHTS_DAYS = timedelta(days=7), timedelta(days=30)
MOST_GROUPS = 1000  # told of each kind: roles and types are open labels


def summarize(
    store: Store,
    *,
    since: datetime | None,
    until: datetime | None,
    chosen: InteractionFilter,
    redactor: Redactor,
    now: datetime,
    conversion_queries: int,
    quality_score: float,
) -> Summary:
    """
    Sum up the *chosen* of what occurred from *since* up to but without *until*; by default in the last 7 days.

    Beside it stand the six metrics and the *quality_score*, which are of all. Raises: InvalidArgument.
    """
    span = window(since, until, default=SUMMARY_DAYS, now=now)
    check_filter(chosen, now=now, prefix="filter.")
    narrowing = conditions(chosen, redactor=redactor)
    with store.snapshot():
        return Summary(
            since=span.since,
            until=span.until,
            interactions=_interactions(store, span, narrowing),
            sessions=_sessions(store, span, narrowing, conversion_queries),
            metrics=metrics.measure(store, now=now),
            quality_score=quality_score,
        )


def _interactions(store: Store, span: Window, narrowing: Sequence[Any]) -> InteractionFigures:
    total, unique_sessions, mean_response_time, success_rate, mean_rating, code_snippets, citations = store.sole(
        Interaction.select(
            fn.COUNT(Interaction.seq),
            fn.COUNT(Interaction.session.distinct()),
            fn.AVG(Interaction.response_time_seconds),
            fn.AVG(Interaction.success),
            fn.AVG(Interaction.user_rating),
            fn.COALESCE(fn.SUM(Interaction.code_snippets_shown), 0),
            fn.COALESCE(fn.SUM(Interaction.citations_provided), 0),
        ).where(*span.within(Interaction.occurred_at), *narrowing)
    )
    return InteractionFigures(
        total=total,
        unique_sessions=unique_sessions,
        mean_response_time_seconds=mean_response_time,
        success_rate=success_rate,
        mean_rating=mean_rating,
        code_snippets=code_snippets,
        citations=citations,
    )


def _sessions(store: Store, span: Window, narrowing: Sequence[Any], conversion_queries: int) -> SessionFigures:
    mean = Case(None, [(Session.timed_queries > 0, Session.response_time_sum / Session.timed_queries)])
    converts = (Session.detailed_queries >= conversion_queries) | Session.session_converted
    converted = Case(None, [(converts, Value(1.0))], Value(0.0))
    inside = span.within(Session.started_at)
    if narrowing:
        having = Interaction.select(Interaction.session).where(*span.within(Interaction.occurred_at), *narrowing)
        inside.append(Session.key.in_(having))
    total, queries, mean_response_time, conversion_rate = store.sole(
        Session.select(fn.COUNT(Session.key), fn.AVG(Session.total_queries), fn.AVG(mean), fn.AVG(converted)).where(
            *inside
        )
    )
    return SessionFigures(
        total=total,
        queries_per_session=queries,
        mean_response_time_seconds=mean_response_time,
        conversion_rate=conversion_rate,
    )


def insights(
    store: Store,
    *,
    since: datetime | None,
    until: datetime | None,
    chosen: InteractionFilter,
    redactor: Redactor,
    now: datetime,
) -> Insights:
    """Say who asked what among the *chosen* of a window, by default the last 30 days. Raises: InvalidArgument."""
    span = window(since, until, default=INSIGHTS_DAYS, now=now)
    check_filter(chosen, now=now, prefix="filter.")
    inside = [*span.within(Interaction.occurred_at), *conditions(chosen, redactor=redactor)]
    with store.snapshot():
        return _insights(store, span, inside)


def _insights(store: Store, span: Window, inside: Sequence[Any]) -> Insights:
    count = fn.COUNT(Interaction.seq)
    seconds = Interaction.response_time_seconds
    role, kind = Interaction.user_role, Interaction.query_type
    mean, success_rate = fn.AVG(seconds), fn.AVG(Interaction.success)
    total, least, average, most, mean_length = store.sole(
        Interaction.select(count, fn.MIN(seconds), mean, fn.MAX(seconds), fn.AVG(Interaction.response_length)).where(
            *inside
        )
    )

    def grouped(*columns: Any, by: Sequence[Any], order: Sequence[Any]) -> list[tuple[Any, ...]]:
        query = Interaction.select(*by, *columns).where(*inside).group_by(*by)
        return store.rows(query.order_by(*order).limit(MOST_GROUPS))

    sessions = fn.COUNT(Interaction.session.distinct())
    roles = grouped(count, sessions, mean, success_rate, by=[role], order=[count.desc(), role])
    kinds = grouped(count, mean, success_rate, by=[kind], order=[count.desc(), kind])
    pairs = grouped(count, by=[role, kind], order=[role, count.desc(), kind])
    return Insights(
        since=span.since,
        until=span.until,
        interactions=total,
        min_response_time_seconds=least,
        mean_response_time_seconds=average,
        max_response_time_seconds=most,
        mean_response_length=mean_length,
        by_role=tuple(
            RoleInsight(
                user_role=row[0],
                interactions=row[1],
                sessions=row[2],
                mean_response_time_seconds=row[3],
                success_rate=row[4],
            )
            for row in roles
        ),
        by_query_type=tuple(
            QueryTypeInsight(
                query_type=row[0], interactions=row[1], mean_response_time_seconds=row[2], success_rate=row[3]
            )
            for row in kinds
        ),
        query_types_by_role=tuple(
            RoleQueryType(user_role=row[0], query_type=row[1], interactions=row[2]) for row in pairs
        ),
    )
