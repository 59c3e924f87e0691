"""
The business of each day.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from steward import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessMetric:
    """A figure of the business, counted elsewhere."""

    name: str  # 1 to 128 bytes
    value: float  # finite, at most 10^15 either way
    metric_type: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)  # up to 32; redacted before it is stored
    occurred_at: datetime | None = None  # aware; None means when recorded, or the start of date in UTC
    date: str = ""  # YYYY-MM-DD, when it is about a day
    metric_id: str = field(default_factory=ids.mint)  # UUIDv7


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessDay:
    """The figures of a day as the predecessor's older generation kept them; None where not known."""

    date: str  # YYYY-MM-DD
    hiring_manager_sessions: float | None = None
    developer_sessions: float | None = None
    casual_visitor_sessions: float | None = None
    avg_session_duration: float | None = None
    conversion_to_detailed_queries: float | None = None
    code_display_engagement: float | None = None
    citation_click_through_rate: float | None = None
    day_id: str = field(default_factory=ids.mint)  # UUIDv7


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBusinessMetric:
    """What was recorded for a day under one name and type."""

    name: str
    metric_type: str
    records: int
    mean: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyBusiness:
    """The business of a day; None where there is no data."""

    date: str  # YYYY-MM-DD in the time zone of the report
    interactions: int
    sessions: int
    hiring_manager_sessions: int
    developer_sessions: int
    casual_sessions: int
    other_sessions: int
    mean_session_minutes: float | None
    technical_rate: float | None  # 0 to 1
    code_rate: float | None  # 0 to 1
    citation_rate: float | None  # 0 to 1
    recorded: tuple[RecordedBusinessMetric, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessReport:
    """The business of each day."""

    since: datetime
    until: datetime | None  # None: without end
    time_zone: str
    days: tuple[DailyBusiness, ...]  # those that have something, in order
