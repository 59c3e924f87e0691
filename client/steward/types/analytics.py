"""
The figures of a window of time.
"""

from dataclasses import dataclass
from datetime import datetime

from steward.types.performance import SystemMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionFigures:
    """Figures of the interactions that occurred in a window; None where there is no data."""

    total: int
    unique_sessions: int
    mean_response_time_seconds: float | None
    success_rate: float | None  # 0 to 1
    mean_rating: float | None  # 1 to 5
    code_snippets: int
    citations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFigures:
    """Figures of the sessions that started in a window, each over its whole life; None where there is no data."""

    total: int
    queries_per_session: float | None
    mean_response_time_seconds: float | None
    conversion_rate: float | None  # 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a window of time."""

    since: datetime
    until: datetime | None  # None: without end
    interactions: InteractionFigures
    sessions: SessionFigures
    metrics: SystemMetrics  # now
    quality_score: float  # now, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleInsight:
    """Figures of the interactions asked in one role; None where there is no data."""

    user_role: str
    interactions: int
    sessions: int
    mean_response_time_seconds: float | None
    success_rate: float | None  # 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryTypeInsight:
    """Figures of the interactions of one type; None where there is no data."""

    query_type: str
    interactions: int
    mean_response_time_seconds: float | None
    success_rate: float | None  # 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleQueryType:
    """How often questions of one type were asked in one role."""

    user_role: str
    query_type: str
    interactions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Insights:
    """Who asks what; None where there is no data."""

    since: datetime
    until: datetime | None  # None: without end
    interactions: int
    min_response_time_seconds: float | None
    mean_response_time_seconds: float | None
    max_response_time_seconds: float | None
    mean_response_length: float | None  # characters
    by_role: tuple[RoleInsight, ...]  # most interactions first
    by_query_type: tuple[QueryTypeInsight, ...]  # most interactions first
    query_types_by_role: tuple[RoleQueryType, ...]  # by role
