"""
Alerts: the rules that raise them, and what has happened to them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from steward.types.performance import SystemMetrics


class AlertMetric(IntEnum):
    """What a rule watches: one of the six of SystemMetrics."""

    UNSPECIFIED = 0
    AVG_RESPONSE_TIME = 1
    SUCCESS_RATE = 2
    QUERY_VOLUME = 3
    ERROR_RATE = 4
    TOTAL_INTERACTIONS = 5
    DB_QUERY_TIME = 6


class AlertOperator(IntEnum):
    """How the metric compares with the threshold when the rule holds."""

    UNSPECIFIED = 0
    GT = 1
    LT = 2
    EQ = 3  # nearer than 0.001


class AlertSeverity(IntEnum):
    """How bad an alert is. A higher one is worse."""

    UNSPECIFIED = 0
    MEDIUM = 1
    HIGH = 2
    CRITICAL = 3


class AlertState(IntEnum):
    """How a rule is."""

    UNSPECIFIED = 0
    OK = 1
    FIRING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """When to raise an alert, and how that has gone so far."""

    name: str
    metric: AlertMetric
    operator: AlertOperator
    threshold: float  # in the unit of the metric
    enabled: bool
    cooldown_seconds: float
    state: AlertState
    since: datetime | None  # None until first evaluated
    last_triggered_at: datetime | None  # when it last held and was firing
    last_evaluated_at: datetime | None
    last_value: float | None  # what the metric was then
    evaluations: int
    firing_evaluations: int
    transitions: int  # between OK and FIRING


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One time that a rule fired."""

    alert_id: int
    rule: str
    metric: AlertMetric
    operator: AlertOperator
    threshold: float
    value: float  # when it was worst, by severity
    severity: AlertSeverity  # at worst
    started_at: datetime
    ended_at: datetime | None  # None while firing


class AlertEventKind(IntEnum):
    """What happened to an alert."""

    UNSPECIFIED = 0
    HEARTBEAT = 1
    FIRING = 2  # it was firing already when the stream began
    FIRED = 3
    ESCALATED = 4
    RESOLVED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """Something that happened to an alert."""

    kind: AlertEventKind
    alert: Alert | None  # None in a heartbeat
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvaluation:
    """What came of evaluating the rules."""

    evaluated_at: datetime
    metrics: SystemMetrics
    rules: tuple[AlertRule, ...]  # all, by name
    events: tuple[AlertEvent, ...]
