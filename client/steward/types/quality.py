"""
How good the data is.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityThresholds:
    """From where on quality is found wanting."""

    completeness_threshold: float = 0.95  # 0 to 1
    max_response_time_seconds: float = 300.0
    min_success_rate: float = 0.8  # 0 to 1


@dataclass(frozen=True, slots=True)
class FieldCompleteness:
    """How much of a field is known."""

    field: str
    completeness: float  # 0 to 1, of all interactions ever stored
    missing: int
    scored: bool  # whether it counts in the score


class FindingKind(IntEnum):
    """What is wrong with some interactions."""

    UNSPECIFIED = 0
    SLOW_RESPONSE = 1
    NEGATIVE_RESPONSE_TIME = 2
    LOW_SUCCESS_RATE = 3
    BUSY_SESSION = 4


class FindingSeverity(IntEnum):
    """How a finding is to be taken."""

    UNSPECIFIED = 0
    WARNING = 1
    ANOMALY = 2
    ERROR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong with the interactions of a window."""

    kind: FindingKind
    severity: FindingSeverity
    count: int  # interactions; of BUSY_SESSION, sessions
    issues: int  # as how many it counts in the score
    message: str
    sessions: tuple[str, ...] = ()  # of BUSY_SESSION, the pseudonyms of the 10 busiest


class RecommendationKind(IntEnum):
    """Why something is recommended."""

    UNSPECIFIED = 0
    LOW_SCORE = 1
    INCOMPLETE_FIELD = 2
    ERRORS = 3
    ANOMALIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to do."""

    kind: RecommendationKind
    message: str
    field: str = ""  # the field in question, if one is


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """How good the data is, and why."""

    since: datetime
    until: datetime | None  # None: without end
    score: float  # 0 to 1
    mean_completeness: float  # 0 to 1, of the scored fields
    issues: int
    total_interactions: int  # ever stored: what completeness is of
    interactions: int  # in the window: what the findings are of
    completeness: tuple[FieldCompleteness, ...]
    findings: tuple[Finding, ...]
    recommendations: tuple[Recommendation, ...]
    thresholds: QualityThresholds
