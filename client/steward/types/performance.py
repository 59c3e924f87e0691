"""
How the assistant performs, and measurements from outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from steward import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemMetrics:
    """The six metrics that alert rules watch."""

    avg_response_time_seconds: float  # of the last hour; 0 when known of none
    success_rate: float  # of the last hour, 0 to 1; 1 when known of none
    query_volume: int  # in the last hour
    error_rate: float  # 1 - success_rate
    total_interactions: int
    db_query_time_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTimes:
    """How response times are distributed, in seconds; None when known of no interaction."""

    known: int  # of how many interactions it is known
    min_seconds: float | None
    mean_seconds: float | None
    max_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceGroup:
    """How the interactions of one role, or of one type, fared."""

    name: str
    interactions: int
    success_rate: float | None  # 0 to 1
    response_times: ResponseTimes


class TrendDirection(IntEnum):
    """Where a figure is heading."""

    UNSPECIFIED = 0
    STABLE = 1
    INCREASING = 2
    DECREASING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The last hour against the one before."""

    direction: TrendDirection
    last_hour: float | None
    hour_before: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMetric:
    """What was recorded under one name, unit and component."""

    name: str
    unit: str
    component: str
    points: int
    min: float
    mean: float
    max: float
    last: float
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """How the assistant performs."""

    since: datetime
    until: datetime | None  # None: without end
    interactions: int
    success_rate: float  # 0 to 1; 0 when known of none
    response_times: ResponseTimes
    metrics: SystemMetrics  # now
    response_time_trend: Trend  # s
    volume_trend: Trend  # interactions
    enabled_rules: int
    triggered_rules: int  # last triggered in the window
    by_role: tuple[PerformanceGroup, ...]
    by_query_type: tuple[PerformanceGroup, ...]
    recorded: tuple[RecordedMetric, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """A measurement from outside."""

    name: str  # 1 to 128 bytes, such as query.execution_time
    value: float  # finite, at most 10^15 either way
    unit: str = ""  # UCUM at best, such as s
    component: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # up to 32
    occurred_at: datetime | None = None  # aware; None means when the server records it
    metric_id: str = field(default_factory=ids.mint)  # UUIDv7
