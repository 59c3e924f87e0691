"""
What the rows of the predecessor's tables are, table by table, of its older and its newer generation.

Pure: no clock, no disk, no network. Ids are made of the row itself, without the zone: so importing it twice stores it
once.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from steward.legacy.cells import Cells, day, pairs, real, roles, text, truth, whole
from steward.types import (
    BusinessDay,
    BusinessMetric,
    ContentAccess,
    Importable,
    ImportedBusinessMetric,
    ImportedContentAccess,
    ImportedInteraction,
    ImportedMetric,
    ImportedSession,
    ImportRejection,
    Interaction,
    MetricPoint,
)

_HASH = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True)
class Source:
    """A table of the predecessor, in one of its generations, and what its rows are."""

    name: str
    columns: tuple[str, ...]  # by which its generation is told
    kind: type[Importable]
    items: Callable[[Cells, tzinfo], Iterator[Importable]]

    def read(self, row: Mapping[str, Any], zone: tzinfo) -> Iterator[Importable | ImportRejection]:
        """Yield what *row* holds, its naive times taken as those of *zone*, or its rejection."""
        cells = Cells(row)
        found = list(self.items(cells, zone))
        if cells.bad:
            yield ImportRejection(cells.number, tuple(cells.bad), self.kind.table)
        else:
            yield from found


def _interaction(cells: Cells, zone: tzinfo) -> Iterator[Importable]:
    naive, occurred_at = cells.time("timestamp", zone)
    session = cells.take("session_id", text, "")
    hashed = _HASH.fullmatch(session) is not None
    interaction = Interaction(
        interaction_id=cells.id(naive),
        session_id="" if hashed else session,
        occurred_at=occurred_at,
        user_role=cells.take("user_role", text, ""),
        query=cells.take("query", text, ""),
        query_type=cells.take("query_type", text, ""),
        response_time_seconds=cells.take("response_time", real, None, field="response_time_seconds"),
        response_length=cells.take("response_length", whole, None),
        code_snippets_shown=cells.take("code_snippets_shown", whole, 0),
        citations_provided=cells.take("citations_provided", whole, 0),
        success=cells.take("success", truth, None),
        user_rating=cells.take("user_rating", real, None),
        follow_up_query=cells.take("follow_up_query", truth, False),
        conversation_turn=cells.take("conversation_turn", whole, 1),
    )
    yield ImportedInteraction(row=cells.number, interaction=interaction, session=session if hashed else "")


def _session(cells: Cells, _: tzinfo) -> Iterator[Importable]:
    session = cells.take("session_id", text, "")
    hashed = _HASH.fullmatch(session) is not None
    yield ImportedSession(
        row=cells.number,
        session_id=None if hashed else session,
        session=session if hashed else None,
        session_rating=cells.take("session_rating", real, None),
        conversion_achieved=cells.take("conversion_achieved", truth, False),
    )


CONTENT = "content_analytics"


def _older_content(cells: Cells, zone: tzinfo) -> Iterator[Importable]:
    if cells.known("last_accessed") or not cells.known("created_at"):
        naive, occurred_at = cells.time("last_accessed", zone)
    else:
        naive, occurred_at = cells.time("created_at", UTC)
    access = ContentAccess(
        access_id=cells.id(naive, CONTENT),
        occurred_at=occurred_at,
        content_type=cells.take("content_type", text, ""),
        content_id=cells.take("content_id", text, ""),
        relevance_score=cells.take("avg_relevance_score", real, None, field="relevance_score"),
    )
    yield ImportedContentAccess(
        row=cells.number,
        access=access,
        accesses=cells.take("access_count", whole, None, field="accesses"),
        user_roles=cells.take("user_roles_accessing", roles, (), field="user_roles"),
    )


def _newer_content(cells: Cells, zone: tzinfo) -> Iterator[Importable]:
    naive, occurred_at = cells.time("timestamp", zone)
    access = ContentAccess(
        access_id=cells.id(naive, CONTENT),
        occurred_at=occurred_at,
        content_type=cells.take("content_type", text, ""),
        content_id="",
        engagement_score=cells.take("engagement_score", real, None),
        effectiveness_score=cells.take("effectiveness_score", real, None),
        metadata=cells.take("metadata", pairs, {}),
    )
    yield ImportedContentAccess(row=cells.number, access=access)


BUSINESS = "business_metrics"
FIGURES = tuple(each.name for each in fields(BusinessDay) if each.name not in ("date", "day_id"))


def _older_business(cells: Cells, _: tzinfo) -> Iterator[Importable]:
    of = cells.need("date", day, date.min)
    for name in FIGURES:
        value = cells.take(name, real, None)
        if value is not None:
            metric = BusinessMetric(
                metric_id=cells.id(datetime.combine(of, datetime.min.time()), BUSINESS, name),
                name=name,
                value=value,
                metric_type="daily",
                date=of.isoformat(),
            )
            yield ImportedBusinessMetric(row=cells.number, metric=metric)


def _newer_business(cells: Cells, zone: tzinfo) -> Iterator[Importable]:
    naive, occurred_at = cells.time("timestamp", zone)
    metric = BusinessMetric(
        metric_id=cells.id(naive, BUSINESS),
        occurred_at=occurred_at,
        name=cells.take("metric_name", text, "", field="name"),
        value=cells.need("metric_value", real, 0.0, field="value"),
        metric_type=cells.take("metric_type", text, ""),
        metadata=cells.take("metadata", pairs, {}),
    )
    yield ImportedBusinessMetric(row=cells.number, metric=metric)


SYSTEM = "system_performance"


def _older_system(cells: Cells, zone: tzinfo) -> Iterator[Importable]:
    labels = {
        "alert_threshold": cells.take("alert_threshold", lambda value: str(real(value)), ""),
        "is_alert": cells.take("is_alert", lambda value: "true" if truth(value) else "false", ""),
    }
    naive, occurred_at = cells.time("timestamp", zone)
    point = MetricPoint(
        metric_id=cells.id(naive, SYSTEM),
        occurred_at=occurred_at,
        name=cells.take("metric_name", text, "", field="name"),
        value=cells.need("metric_value", real, 0.0, field="value"),
        unit=cells.take("metric_unit", text, "", field="unit"),
        component=cells.take("component", text, ""),
        labels={name: value for name, value in labels.items() if value},
    )
    yield ImportedMetric(row=cells.number, point=point)


def _newer_system(cells: Cells, zone: tzinfo) -> Iterator[Importable]:
    naive, occurred_at = cells.time("timestamp", zone)
    point = MetricPoint(
        metric_id=cells.id(naive, SYSTEM),
        occurred_at=occurred_at,
        name=cells.take("metric_name", text, "", field="name"),
        value=cells.need("metric_value", real, 0.0, field="value"),
    )
    yield ImportedMetric(row=cells.number, point=point)


QUERIES = "query_performance"


def _newer_queries(cells: Cells, zone: tzinfo) -> Iterator[Importable]:
    labels = {
        "query_hash": cells.take("query_hash", text, ""),
        "result_count": cells.take("result_count", lambda value: str(whole(value)), ""),
    }
    naive, occurred_at = cells.time("timestamp", zone)
    point = MetricPoint(
        metric_id=cells.id(naive, QUERIES),
        occurred_at=occurred_at,
        name="query.execution_time",
        value=cells.need("execution_time", real, 0.0, field="value"),
        unit="s",
        labels={name: value for name, value in labels.items() if value},
    )
    yield ImportedMetric(row=cells.number, point=point)


INTERACTIONS, SESSIONS = "user_interactions", "session_analytics"

# In the order in which they are read: sessions behind the interactions that make them. Of one table, the first whose
# columns are all there is its generation: those of the newer system_performance are in the older one too.
SOURCES = (
    Source(
        INTERACTIONS,
        (
            "id",
            "session_id",
            "timestamp",
            "user_role",
            "query",
            "query_type",
            "response_time",
            "response_length",
            "code_snippets_shown",
            "citations_provided",
            "success",
            "user_rating",
            "follow_up_query",
            "conversation_turn",
        ),  # the newer has privacy_score and created_at too
        ImportedInteraction,
        _interaction,
    ),
    Source(
        CONTENT,
        (
            "id",
            "content_type",
            "content_id",
            "access_count",
            "avg_relevance_score",
            "user_roles_accessing",
            "last_accessed",
        ),
        ImportedContentAccess,
        _older_content,
    ),
    Source(
        CONTENT,
        ("id", "content_type", "engagement_score", "effectiveness_score", "timestamp", "metadata"),
        ImportedContentAccess,
        _newer_content,
    ),
    Source(BUSINESS, ("id", "date", *FIGURES), ImportedBusinessMetric, _older_business),
    Source(
        BUSINESS,
        ("id", "metric_name", "metric_value", "metric_type", "timestamp", "metadata"),
        ImportedBusinessMetric,
        _newer_business,
    ),
    Source(
        SYSTEM,
        (
            "id",
            "timestamp",
            "metric_name",
            "metric_value",
            "metric_unit",
            "component",
            "alert_threshold",
            "is_alert",
        ),
        ImportedMetric,
        _older_system,
    ),
    Source(SYSTEM, ("id", "metric_name", "metric_value", "timestamp"), ImportedMetric, _newer_system),
    Source(
        QUERIES,
        ("id", "query_hash", "execution_time", "result_count", "timestamp"),
        ImportedMetric,
        _newer_queries,
    ),
    Source(SESSIONS, ("session_id", "session_rating", "conversion_achieved"), ImportedSession, _session),
)
