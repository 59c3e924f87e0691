"""
Alerts: rules held against the six metrics, and the history of what they raised.

`judge` decides and touches nothing; what changes the store runs on the writer's thread.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from peewee import SqliteDatabase, fn

from steward.errors import InvalidArgument, ResourceExhausted
from steward.types import (
    LIMITS,
    Alert,
    AlertEvaluation,
    AlertEvent,
    AlertEventKind,
    AlertMetric,
    AlertOperator,
    AlertRule,
    AlertSeverity,
    AlertState,
    FieldViolation,
    SystemMetrics,
)
from stewardd.filters import demand, narrowed, window_violations, within
from stewardd.rules import MOST
from stewardd.store import Store
from stewardd.store.keyset import Place, newest_first
from stewardd.store.models import Alert as Alerts
from stewardd.store.models import AlertRule as Rules
from stewardd.store.times import instant, micros

MOST_RULES = 100
LONGEST_COOLDOWN = timedelta(days=30).total_seconds()
NEAR = 0.001  # of the operator EQ
RATES = (AlertMetric.SUCCESS_RATE, AlertMetric.ERROR_RATE)
_NAME = re.compile(r"[a-z0-9_.-]{1,64}")


# Judging


def value_of(metric: AlertMetric, metrics: SystemMetrics) -> float:
    """Return the one of *metrics* that *metric* names."""
    match metric:
        case AlertMetric.AVG_RESPONSE_TIME:
            return metrics.avg_response_time_seconds
        case AlertMetric.SUCCESS_RATE:
            return metrics.success_rate
        case AlertMetric.QUERY_VOLUME:
            return metrics.query_volume
        case AlertMetric.ERROR_RATE:
            return metrics.error_rate
        case AlertMetric.TOTAL_INTERACTIONS:
            return metrics.total_interactions
        case AlertMetric.DB_QUERY_TIME:
            return metrics.db_query_time_seconds
    raise ValueError(metric)


def holds(operator: AlertOperator, value: float, threshold: float) -> bool:
    """Whether *value* compares with *threshold* as *operator* says."""
    match operator:
        case AlertOperator.GT:
            return value > threshold
        case AlertOperator.LT:
            return value < threshold
        case _:
            return abs(value - threshold) < NEAR


# How many times the threshold makes an alert critical, and how many make it high. The predecessor's.
_OVER = {AlertMetric.AVG_RESPONSE_TIME: (2.0, 1.5), AlertMetric.ERROR_RATE: (3.0, 2.0)}
_BELOW = {AlertMetric.SUCCESS_RATE: (0.5, 0.7)}


def severity_of(metric: AlertMetric, value: float, threshold: float) -> AlertSeverity:
    """Return how bad it is that *metric* is at *value*, beyond its *threshold*."""
    if metric in _OVER:
        critical, high = (value > times * threshold for times in _OVER[metric])
    elif metric in _BELOW:
        critical, high = (value < times * threshold for times in _BELOW[metric])
    else:
        critical = high = False
    return AlertSeverity.CRITICAL if critical else AlertSeverity.HIGH if high else AlertSeverity.MEDIUM


def judge(rule: AlertRule, value: float, *, now: datetime) -> AlertRule:
    """Return the enabled *rule* as it is when its metric is at *value*."""
    held = holds(rule.operator, value, rule.threshold)
    firing = held and (rule.state == AlertState.FIRING or _is_cool(rule, now))
    state = AlertState.FIRING if firing else AlertState.OK
    return replace(
        rule,
        state=state,
        since=rule.since if rule.since is not None and state == rule.state else now,
        last_triggered_at=now if firing else rule.last_triggered_at,
        last_evaluated_at=now,
        last_value=value,
        evaluations=rule.evaluations + 1,
        firing_evaluations=rule.firing_evaluations + firing,
        transitions=rule.transitions + (state != rule.state),
    )


def _is_cool(rule: AlertRule, now: datetime) -> bool:
    if rule.last_triggered_at is None or now < rule.last_triggered_at:  # later: the clock was set back
        return True
    return now - rule.last_triggered_at >= timedelta(seconds=rule.cooldown_seconds)


# Evaluating


def evaluation(metrics: SystemMetrics, *, now: datetime) -> Callable[[SqliteDatabase], AlertEvaluation]:
    """Return the change that holds the enabled rules against *metrics*, and raises and ends alerts."""

    def change(db: SqliteDatabase) -> AlertEvaluation:
        rules, events = [], []
        for rule in _read_rules(db):
            if not rule.enabled:
                rules.append(rule)
                continue
            judged = judge(rule, value_of(rule.metric, metrics), now=now)
            _write_rule(db, judged)
            events += _follow(db, judged, now)
            rules.append(judged)
        return AlertEvaluation(evaluated_at=now, metrics=metrics, rules=tuple(rules), events=tuple(events))

    return change


def _follow(db: SqliteDatabase, rule: AlertRule, now: datetime) -> list[AlertEvent]:
    """Do in the history what became of a *rule* that was just evaluated; return what to tell of it."""
    if rule.state == AlertState.OK:
        return _end(db, rule.name, now)
    assert rule.last_value is not None  # it was just evaluated
    severity = severity_of(rule.metric, rule.last_value, rule.threshold)
    open_alert = _open_alert(db, rule.name)
    if open_alert is None:
        alert = _raise(db, rule, rule.last_value, severity, now)
        return [AlertEvent(kind=AlertEventKind.FIRED, alert=alert, occurred_at=now)]
    if severity > open_alert.severity:
        worse = replace(open_alert, severity=severity, value=rule.last_value)
        changes = {"severity": severity.name, "value": rule.last_value}
        Alerts.update(**changes).where(Alerts.alert_id == worse.alert_id).bind(db).execute()
        return [AlertEvent(kind=AlertEventKind.ESCALATED, alert=worse, occurred_at=now)]
    return []


def _raise(db: SqliteDatabase, rule: AlertRule, value: float, severity: AlertSeverity, now: datetime) -> Alert:
    fields: dict[str, Any] = {
        "rule": rule.name,
        "metric": rule.metric.name,
        "operator": rule.operator.name,
        "threshold": rule.threshold,
        "value": value,
        "severity": severity.name,
        "started_at": micros(now),
    }
    number = Alerts.insert(**fields).bind(db).execute()
    return Alert(
        alert_id=number,
        rule=rule.name,
        metric=rule.metric,
        operator=rule.operator,
        threshold=rule.threshold,
        value=value,
        severity=severity,
        started_at=now,
        ended_at=None,
    )


def _end(db: SqliteDatabase, name: str, now: datetime) -> list[AlertEvent]:
    """End the alert of the rule of this *name*, if it has one that has not."""
    alert = _open_alert(db, name)
    if alert is None:
        return []
    Alerts.update(ended_at=micros(now)).where(Alerts.alert_id == alert.alert_id).bind(db).execute()
    ended = replace(alert, ended_at=now)
    return [AlertEvent(kind=AlertEventKind.RESOLVED, alert=ended, occurred_at=now)]


def _open_alert(db: SqliteDatabase, name: str) -> Alert | None:
    query = _alerts().where(Alerts.rule == name, Alerts.ended_at.is_null()).order_by(Alerts.alert_id.desc())
    row = query.limit(1).tuples().bind(db).first()
    return None if row is None else _to_alert(row)


# Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """What is to be set of a rule; what is None, or UNSPECIFIED, stays as it is."""

    name: str
    metric: AlertMetric = AlertMetric.UNSPECIFIED
    operator: AlertOperator = AlertOperator.UNSPECIFIED
    threshold: float | None = None
    enabled: bool | None = None
    cooldown_seconds: float | None = None


def set_rule(wanted: RuleChange, *, now: datetime) -> Callable[[SqliteDatabase], tuple[AlertRule, list[AlertEvent]]]:
    """
    Return the change that makes a rule or changes it, and gives back the rule and what to tell.

    Raises: InvalidArgument, at once or when it runs, naming each field that is wrong or missing.
    """
    if not _NAME.fullmatch(wanted.name):
        raise InvalidArgument.of(FieldViolation("name", "must be 1 to 64 lower-case letters, digits, '_', '-' and '.'"))
    if wanted.cooldown_seconds is not None and not 0 <= wanted.cooldown_seconds <= LONGEST_COOLDOWN:
        raise InvalidArgument.of(FieldViolation("cooldown_seconds", f"must be 0 to {LONGEST_COOLDOWN:.0f}"))

    def change(db: SqliteDatabase) -> tuple[AlertRule, list[AlertEvent]]:
        before = next((each for each in _read_rules(db) if each.name == wanted.name), None)
        rule = _made(db, wanted) if before is None else _changed(before, wanted)
        demand(_threshold_violations(rule))
        events: list[AlertEvent] = []
        if before is None or _watched(before) != _watched(rule) or not rule.enabled:
            events = _end(db, rule.name, now)
            if rule.state != AlertState.OK:
                rule = replace(rule, state=AlertState.OK, since=now, transitions=rule.transitions + 1)
        _write_rule(db, rule)
        return rule, events

    return change


def _made(db: SqliteDatabase, wanted: RuleChange) -> AlertRule:
    missing = [
        FieldViolation(name, "must be given for a new rule")
        for name, given in (
            ("metric", wanted.metric),
            ("operator", wanted.operator),
            ("threshold", wanted.threshold is not None),
        )
        if not given
    ]
    demand(missing)
    (count,) = Rules.select(fn.COUNT(Rules.name)).tuples().bind(db).first()
    if count >= MOST_RULES:
        raise ResourceExhausted(
            f"there are {MOST_RULES} alert rules already: change one of them instead", reason="TOO_MANY_RULES"
        )
    assert wanted.threshold is not None
    return AlertRule(
        name=wanted.name,
        metric=wanted.metric,
        operator=wanted.operator,
        threshold=wanted.threshold,
        enabled=wanted.enabled is not False,
        cooldown_seconds=wanted.cooldown_seconds or 0.0,
        state=AlertState.OK,
        since=None,
        last_triggered_at=None,
        last_evaluated_at=None,
        last_value=None,
        evaluations=0,
        firing_evaluations=0,
        transitions=0,
    )


def _changed(rule: AlertRule, wanted: RuleChange) -> AlertRule:
    given: dict[str, Any] = {
        "metric": wanted.metric or None,
        "operator": wanted.operator or None,
        "threshold": wanted.threshold,
        "enabled": wanted.enabled,
        "cooldown_seconds": wanted.cooldown_seconds,
    }
    return replace(rule, **{name: each for name, each in given.items() if each is not None})


def _watched(rule: AlertRule) -> tuple[Any, ...]:
    return rule.metric, rule.operator, rule.threshold


def _threshold_violations(rule: AlertRule) -> Iterator[FieldViolation]:
    most = 1 if rule.metric in RATES else MOST
    if not 0 <= rule.threshold <= most:  # true for NaN
        yield FieldViolation("threshold", f"must be 0 to {most} for {rule.metric.name}")


# Showing


def rules(store: Store) -> list[AlertRule]:
    """Return all rules, by name."""
    return [_to_rule(row) for row in store.rows(_rules())]


def firing(store: Store) -> list[Alert]:
    """Return the alerts that have not ended, the first to fire first."""
    return [_to_alert(row) for row in store.rows(_alerts().where(Alerts.ended_at.is_null()).order_by(Alerts.alert_id))]


def check(since: datetime | None, until: datetime | None, names: Sequence[str], *, now: datetime) -> None:
    """Raise InvalidArgument, naming what is wrong with the alerts that are asked for."""
    found = [*window_violations(since, until, now=now)]
    if len(names) > LIMITS.batch_size:
        found.append(FieldViolation("rules", f"must be at most {LIMITS.batch_size} names"))
    demand(found)


def listed(
    store: Store,
    *,
    since: datetime | None,
    until: datetime | None,
    names: Sequence[str],
    only_firing: bool,
    after: Place | None,
    limit: int,
) -> list[tuple[Place, Alert]]:
    """Return the first *limit* alerts that fired in the window, the latest first, that come *after* a place."""
    conditions = within(Alerts.started_at, since, until)
    if names:
        conditions.append(Alerts.rule.in_(list(names)))
    if only_firing:
        conditions.append(Alerts.ended_at.is_null())
    query = newest_first(narrowed(_alerts(), conditions), Alerts.started_at, Alerts.alert_id, after=after, limit=limit)
    return [((row[7], row[0]), _to_alert(row)) for row in store.rows(query)]


# Rows


def _rules() -> Any:
    return Rules.select(*_rule_fields()).order_by(Rules.name)


def _rule_fields() -> list[Any]:
    return [getattr(Rules, name) for name in Rules._meta.sorted_field_names]  # noqa: SLF001 -- as Peewee documents


def _read_rules(db: SqliteDatabase) -> list[AlertRule]:
    return [_to_rule(row) for row in _rules().tuples().bind(db)]


def _to_rule(row: tuple[Any, ...]) -> AlertRule:
    return AlertRule(
        name=row[0],
        metric=AlertMetric[row[1]],
        operator=AlertOperator[row[2]],
        threshold=row[3],
        enabled=bool(row[4]),
        cooldown_seconds=row[5],
        state=AlertState[row[6]],
        since=_time(row[7]),
        last_triggered_at=_time(row[8]),
        last_evaluated_at=_time(row[9]),
        last_value=row[10],
        evaluations=row[11],
        firing_evaluations=row[12],
        transitions=row[13],
    )


def _write_rule(db: SqliteDatabase, rule: AlertRule) -> None:
    fields = {
        "name": rule.name,
        "metric": rule.metric.name,
        "operator": rule.operator.name,
        "threshold": rule.threshold,
        "enabled": rule.enabled,
        "cooldown_seconds": rule.cooldown_seconds,
        "state": rule.state.name,
        "since": _micros(rule.since),
        "last_triggered_at": _micros(rule.last_triggered_at),
        "last_evaluated_at": _micros(rule.last_evaluated_at),
        "last_value": rule.last_value,
        "evaluations": rule.evaluations,
        "firing_evaluations": rule.firing_evaluations,
        "transitions": rule.transitions,
    }
    Rules.insert(**fields).on_conflict(conflict_target=[Rules.name], update=fields).bind(db).execute()


def _alerts() -> Any:
    return Alerts.select(
        Alerts.alert_id,
        Alerts.rule,
        Alerts.metric,
        Alerts.operator,
        Alerts.threshold,
        Alerts.value,
        Alerts.severity,
        Alerts.started_at,
        Alerts.ended_at,
    )


def _to_alert(row: tuple[Any, ...]) -> Alert:
    return Alert(
        alert_id=row[0],
        rule=row[1],
        metric=AlertMetric[row[2]],
        operator=AlertOperator[row[3]],
        threshold=row[4],
        value=row[5],
        severity=AlertSeverity[row[6]],
        started_at=instant(row[7]),
        ended_at=_time(row[8]),
    )


def _time(value: int | None) -> datetime | None:
    return None if value is None else instant(value)


def _micros(time: datetime | None) -> int | None:
    return None if time is None else micros(time)
