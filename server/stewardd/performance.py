"""
How the assistant performs: response times and their spread, trends, and measurements from outside.

Pure but for what it asks the store it is handed.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from peewee import Value, fn

from steward import ids
from steward.errors import InvalidArgument
from steward.types import (
    FieldViolation,
    InteractionFilter,
    MetricPoint,
    Performance,
    PerformanceGroup,
    RecordedMetric,
    Rejection,
    ResponseTimes,
    Trend,
    TrendDirection,
)
from stewardd import metrics
from stewardd.filters import Window, check_filter, conditions, window
from stewardd.metrics import HOUR
from stewardd.privacy import Redactor, total
from stewardd.receipts import PreparedRecord
from stewardd.rules import (
    ahead_violations,
    number_violations,
    pairs_violations,
    record_violations,
    text_violations,
)
from stewardd.store import Store
from stewardd.store.models import AlertRule, Interaction
from stewardd.store.models import MetricPoint as Points
from stewardd.store.row import PointRow
from stewardd.store.times import instant, micros

HOURS, MOST_HOURS = 24, 876_600  # 100 years
MOST_GROUPS = 1000  # told of each kind: roles and types are open labels
PERCENTS = (50, 95, 99)
CHANGE = 0.2  # of a figure, that makes a trend
MOST_VALUE = 10**15


# Showing


def report(
    store: Store,
    *,
    hours: int | None,
    until: datetime | None,
    chosen: InteractionFilter,
    redactor: Redactor,
    now: datetime,
) -> Performance:
    """Say how the *chosen* interactions of the *hours* before *until* or *now* fared. Raises: InvalidArgument."""
    hours = HOURS if hours is None else hours
    if not 1 <= hours <= MOST_HOURS:
        raise InvalidArgument.of(FieldViolation("hours", f"must be 1 to {MOST_HOURS}; unset means {HOURS}"))
    check_filter(chosen, now=now, prefix="filter.")
    return over(store, window(None, until, default=timedelta(hours=hours), now=now), chosen, redactor=redactor, now=now)


def over(store: Store, span: Window, chosen: InteractionFilter, *, redactor: Redactor, now: datetime) -> Performance:
    """Say how the *chosen* interactions of *span* fared. Both were checked by the caller."""
    inside = [*span.within(Interaction.occurred_at), *conditions(chosen, redactor=redactor)]
    with store.snapshot():
        return _report(store, span, inside, now)


def _report(store: Store, span: Window, inside: Sequence[Any], now: datetime) -> Performance:
    whole = _groups(store, inside)
    response_time_trend, volume_trend = trends(store, now=now)
    enabled, triggered = _rules(store, span)
    return Performance(
        since=span.since,
        until=span.until,
        interactions=whole[0].interactions,
        success_rate=whole[0].success_rate or 0.0,
        response_times=whole[0].response_times,
        metrics=metrics.measure(store, now=now),
        response_time_trend=response_time_trend,
        volume_trend=volume_trend,
        enabled_rules=enabled,
        triggered_rules=triggered,
        by_role=_groups(store, inside, by=Interaction.user_role),
        by_query_type=_groups(store, inside, by=Interaction.query_type),
        recorded=_recorded(store, span),
    )


def trends(store: Store, *, now: datetime) -> tuple[Trend, Trend]:
    """Return where the mean response time and the volume are heading: the last hour against the one before."""
    recent = Interaction.occurred_at >= micros(now - HOUR)
    seconds = Interaction.response_time_seconds
    volume, volume_before, mean, mean_before = store.sole(
        Interaction.select(
            fn.COUNT(Interaction.seq).filter(recent),
            fn.COUNT(Interaction.seq).filter(~recent),
            fn.AVG(seconds).filter(recent),
            fn.AVG(seconds).filter(~recent),
        ).where(Interaction.occurred_at >= micros(now - 2 * HOUR))
    )
    response_time = Trend(
        direction=TrendDirection.STABLE if mean is None or mean_before is None else direction(mean, mean_before),
        last_hour=mean,
        hour_before=mean_before,
    )
    # The predecessor called a fall to zero stable.
    heading = direction(volume, volume_before) if volume_before else TrendDirection.STABLE
    return response_time, Trend(direction=heading, last_hour=volume, hour_before=volume_before)


def direction(now: float, before: float) -> TrendDirection:
    """Return where a figure is heading that is *now* what it is and was something *before*."""
    if now - before > CHANGE * abs(before):
        return TrendDirection.INCREASING
    if before - now > CHANGE * abs(before):
        return TrendDirection.DECREASING
    return TrendDirection.STABLE


def _groups(store: Store, inside: Sequence[Any], *, by: Any = None) -> tuple[PerformanceGroup, ...]:
    """Return the figures of each group of interactions, or of all together when there is nothing to group *by*."""
    columns = [by] if by is not None else []
    seconds = Interaction.response_time_seconds
    figures = Interaction.select(
        *columns,
        fn.COUNT(Interaction.seq),
        fn.AVG(Interaction.success),
        fn.COUNT(seconds),
        fn.MIN(seconds),
        fn.AVG(seconds),
        fn.MAX(seconds),
    ).where(*inside)
    if columns:
        figures = figures.group_by(by).order_by(fn.COUNT(Interaction.seq).desc(), by).limit(MOST_GROUPS)
    rows = store.rows(figures)
    told = [by.in_([row[0] for row in rows])] if len(rows) == MOST_GROUPS else []
    neighbours = _neighbours(store, [*inside, *told], by)
    found = []
    for row in rows:
        name, (interactions, success_rate, known, least, mean, most) = (row[0] if columns else ""), row[len(columns) :]
        spread = _spread(known, least, mean, most, neighbours.get(name, {}))
        found.append(
            PerformanceGroup(name=name, interactions=interactions, success_rate=success_rate, response_times=spread)
        )
    return tuple(found)


def _neighbours(store: Store, inside: Sequence[Any], by: Any) -> dict[str, dict[int, float]]:
    """
    Return, for each group, those known response times between which its percentiles lie, by their place from 0.

    One sort in the store, so that no more than a few values a group come out.
    """
    seconds = Interaction.response_time_seconds
    partition = {"partition_by": [by]} if by is not None else {}
    ranked = (
        Interaction.select(
            (Value("") if by is None else by).alias("name"),
            seconds.alias("seconds"),
            (fn.ROW_NUMBER().over(order_by=[seconds], **partition) - 1).alias("place"),
            (fn.COUNT(Interaction.seq).over(**partition) - 1).alias("last"),
        )
        .where(*inside, seconds.is_null(False))
        .alias("ranked")
    )
    place, last = ranked.c.place, ranked.c.last
    near = [last * percent / 100 + step for percent in PERCENTS for step in (0, 1)]  # SQL divides whole numbers whole
    found: dict[str, dict[int, float]] = {}
    query = ranked.select_from(ranked.c.name, place, ranked.c.seconds).where(place.in_(near))
    for name, number, value in store.rows(query):
        found.setdefault(name, {})[number] = value
    return found


def _spread(
    known: int, least: float | None, mean: float | None, most: float | None, values: dict[int, float]
) -> ResponseTimes:
    p50, p95, p99 = (percentile(values, known, percent) for percent in PERCENTS)
    return ResponseTimes(
        known=known,
        min_seconds=least,
        mean_seconds=mean,
        max_seconds=most,
        p50_seconds=p50,
        p95_seconds=p95,
        p99_seconds=p99,
    )


def percentile(values: dict[int, float], count: int, percent: int) -> float | None:
    """
    Return the percentile of *count* sorted numbers, of which *values* has those next to it by their place from 0.

    Interpolated linearly: https://doi.org/10.2307/2684934 (Hyndman and Fan 1996), type 7.
    """
    if not count:
        return None
    place, rest = divmod((count - 1) * percent, 100)
    below = values[place]
    return below + (values[place + 1] - below) * rest / 100 if rest else below


def _rules(store: Store, span: Window) -> tuple[int, int]:
    count = AlertRule.select(fn.COUNT(AlertRule.name))
    (enabled,) = store.sole(count.where(AlertRule.enabled))
    (triggered,) = store.sole(count.where(*span.within(AlertRule.last_triggered_at)))
    return enabled, triggered


def _recorded(store: Store, span: Window) -> tuple[RecordedMetric, ...]:
    kind = (Points.name, Points.unit, Points.component)
    inside = span.within(Points.occurred_at)
    latest = fn.ROW_NUMBER().over(partition_by=kind, order_by=[Points.occurred_at.desc(), Points.seq.desc()])
    ranked = (
        Points.select(*kind, Points.value, Points.occurred_at, latest.alias("place")).where(*inside).alias("ranked")
    )
    names = (ranked.c.name, ranked.c.unit, ranked.c.component)
    newest = ranked.c.place == 1
    query = (
        ranked.select_from(
            *names,
            fn.COUNT(ranked.c.value),
            fn.MIN(ranked.c.value),
            fn.AVG(ranked.c.value),
            fn.MAX(ranked.c.value),
            fn.MAX(ranked.c.value).filter(newest),
            fn.MAX(ranked.c.occurred_at),
        )
        .group_by(*names)
        .order_by(*names)
        .limit(MOST_GROUPS)
    )
    return tuple(
        RecordedMetric(
            name=row[0],
            unit=row[1],
            component=row[2],
            points=row[3],
            min=row[4],
            mean=row[5],
            max=row[6],
            last=row[7],
            last_at=instant(row[8]),
        )
        for row in store.rows(query)
    )


# Measurements from outside


def prepare(
    points: Iterable[MetricPoint | Rejection], *, redactor: Redactor, now: datetime
) -> list[PreparedRecord | Rejection]:
    """
    Check and redact *points*, in order; a bad one becomes its rejection.

    Pure: no clock, no disk, no network.
    """
    return [each if isinstance(each, Rejection) else _prepared(each, redactor, now) for each in points]


def _prepared(each: MetricPoint, redactor: Redactor, now: datetime) -> PreparedRecord | Rejection:
    found = [*violations(each), *ahead_violations(each.occurred_at, now=now)]
    return Rejection(tuple(found)) if found else to_row(each, redactor=redactor)


def violations(each: MetricPoint) -> Iterator[FieldViolation]:
    """Yield what is wrong with *each*, whether it comes from a live call or an import."""
    yield from record_violations(ids.parse(each.metric_id), "metric_id", each.occurred_at)
    yield from text_violations("name", each.name, least=1)
    yield from number_violations("value", each.value, most=MOST_VALUE)
    yield from text_violations("unit", each.unit)
    yield from text_violations("component", each.component)
    yield from pairs_violations("labels", each.labels)


def to_row(each: MetricPoint, *, redactor: Redactor) -> PreparedRecord:
    """Return the redacted row of *each*, which must be without violations."""
    key = ids.parse(each.metric_id)
    assert key is not None
    name, of_name = redactor.redact(each.name)
    unit, of_unit = redactor.redact(each.unit)
    component, of_component = redactor.redact(each.component)
    labels, of_labels = redactor.redact_pairs(each.labels)
    at = None if each.occurred_at is None else micros(each.occurred_at)
    row = PointRow(key, at, name, each.value, unit, component, labels)
    return row, total((of_name, of_unit, of_component, of_labels))
