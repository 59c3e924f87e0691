"""
The business of each day, in the days of a time zone: from the interactions, and what was recorded beside them.

Pure but for what it asks the store it is handed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import and_, or_
from statistics import fmean
from typing import Any
from zoneinfo import ZoneInfo

from peewee import fn

from steward import ids
from steward.errors import InvalidArgument
from steward.types import (
    BusinessDay,
    BusinessMetric,
    BusinessReport,
    DailyBusiness,
    FieldViolation,
    InteractionFilter,
    RecordedBusinessMetric,
)
from stewardd.days import day_of, pieces_of, zone_named
from stewardd.filters import Window, check_filter, conditions, demand, window, within
from stewardd.privacy import Redactor, total
from stewardd.receipts import PreparedRecord
from stewardd.rules import (
    AHEAD,
    ahead_violations,
    number_violations,
    pairs_violations,
    record_violations,
    text_violations,
)
from stewardd.store import Store
from stewardd.store.models import BusinessMetric as Metrics
from stewardd.store.models import Interaction
from stewardd.store.row import BusinessRow
from stewardd.store.times import EPOCH, instant, micros

DAYS = timedelta(days=30)
MINUTE = 60 * 10**6  # microseconds
LAST = datetime(9999, 12, 30, tzinfo=UTC)  # later times are none in some zones
MOST_DAYS = 1000
MOST_VALUE = 10**15
MANAGERS = ("Hiring Manager (technical)", "Hiring Manager (nontechnical)")
DEVELOPER, CASUAL = "Software Developer", "Just looking around"
TECHNICAL = "technical"
DAILY = "daily"  # the type of a day's figures
FIGURES = (
    "hiring_manager_sessions",
    "developer_sessions",
    "casual_visitor_sessions",
    "avg_session_duration",
    "conversion_to_detailed_queries",
    "code_display_engagement",
    "citation_click_through_rate",
)


# Recording


def prepare(metric: BusinessMetric, *, redactor: Redactor, now: datetime) -> list[PreparedRecord]:
    """Check and redact *metric*. Raises: InvalidArgument, naming each field that breaks a rule."""
    found = [*violations(metric), *ahead_violations(metric.occurred_at, now=now), *_date_ahead(metric.date, now)]
    demand(FieldViolation(f"metric.{each.field}", each.rule) for each in found)
    return [to_row(metric, redactor=redactor)]


def prepare_day(day: BusinessDay, *, redactor: Redactor, now: datetime) -> list[PreparedRecord]:
    """Check *day* and make a record of each of its figures. Raises: InvalidArgument, naming what breaks a rule."""
    metrics = list(figures_of(day))
    found = [*record_violations(ids.parse(day.day_id), "day_id", None)]
    if parse_date(day.date) is None:
        found.append(FieldViolation("date", _DATE_RULE))
    found += _date_ahead(day.date, now)
    if not metrics:
        found.append(FieldViolation("hiring_manager_sessions", "must be given, or another figure of the day"))
    for each in metrics:
        found += number_violations(each.name, each.value, most=MOST_VALUE)
    demand(FieldViolation(f"day.{each.field}", each.rule) for each in found)
    return [to_row(each, redactor=redactor) for each in metrics]


def figures_of(day: BusinessDay) -> Iterator[BusinessMetric]:
    """
    Yield those figures of *day* that are known: the first under the day's id, the others under ids made from it.

    So a day that is sent again is known by its first figure, whichever that is now.
    """
    key, metric_id = ids.parse(day.day_id), day.day_id
    for name in FIGURES:
        value = getattr(day, name)
        if value is not None:
            yield BusinessMetric(metric_id=metric_id, name=name, value=value, metric_type=DAILY, date=day.date)
            metric_id = "" if key is None else ids.derive(int.from_bytes(key[:6], "big"), key + name.encode())


def violations(each: BusinessMetric) -> Iterator[FieldViolation]:
    """Yield what is wrong with *each*, whether it comes from a live call or an import."""
    yield from record_violations(ids.parse(each.metric_id), "metric_id", each.occurred_at)
    yield from text_violations("name", each.name, least=1)
    yield from number_violations("value", each.value, most=MOST_VALUE)
    yield from text_violations("metric_type", each.metric_type)
    yield from pairs_violations("metadata", each.metadata)
    if each.date and parse_date(each.date) is None:
        yield FieldViolation("date", _DATE_RULE)


_DATE_RULE = "must be a day from 1970 on as YYYY-MM-DD"


def parse_date(text: str) -> date | None:
    """Return the day that *text* names, None when it names none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if text == day.isoformat() and day >= EPOCH.date() else None


def _date_ahead(text: str, now: datetime) -> Iterator[FieldViolation]:
    day = parse_date(text)
    if day is not None and day > (now + AHEAD).date():
        yield FieldViolation("date", "must not be more than a day ahead of the server's clock")


def to_row(each: BusinessMetric, *, redactor: Redactor) -> PreparedRecord:
    """Return the redacted row of *each*, which must be without violations."""
    key = ids.parse(each.metric_id)
    assert key is not None
    at, day = each.occurred_at, parse_date(each.date)
    if at is None and day is not None:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    name, of_name = redactor.redact(each.name)
    kind, of_kind = redactor.redact(each.metric_type)
    metadata, of_metadata = redactor.redact_pairs(each.metadata)
    row = BusinessRow(key, None if at is None else micros(at), name, each.value, kind, metadata, each.date)
    return row, total((of_name, of_kind, of_metadata))


# Showing


def report(
    store: Store,
    *,
    since: datetime | None,
    until: datetime | None,
    chosen: InteractionFilter,
    time_zone: str,
    redactor: Redactor,
    now: datetime,
) -> BusinessReport:
    """Say what each day of a window brought, by default of the last 30. Raises: InvalidArgument."""
    span = window(since, until, default=DAYS, now=now)
    check_filter(chosen, now=now, prefix="filter.")
    zone = zone_named(time_zone)
    narrowing = conditions(chosen, redactor=redactor)
    told = Window(min(span.since, LAST), min(span.until or LAST, LAST))
    with store.snapshot():
        found = {day.date: day for day in _days(store, told, narrowing, zone)}
        recorded = _recorded(store, told, zone)
    for name, figures in recorded.items():
        found[name] = replace(found.get(name) or _blank(name), recorded=figures)
    if len(found) > MOST_DAYS:
        raise _too_long()
    days = tuple(found[name] for name in sorted(found))
    return BusinessReport(since=span.since, until=span.until, time_zone=time_zone or "UTC", days=days)


def _too_long() -> InvalidArgument:
    rule = f"the window must not have more than {MOST_DAYS} days with something in them: ask for a shorter one"
    return InvalidArgument.of(FieldViolation("since", rule))


def _days(store: Store, span: Window, narrowing: Sequence[Any], zone: ZoneInfo) -> Iterator[DailyBusiness]:
    """Yield the days of *zone* that have interactions in the window, stepping over those that have none."""
    begin, seen = span.since, set[date]()
    while True:
        first = Interaction.select(fn.MIN(Interaction.occurred_at))
        (at,) = store.sole(first.where(*within(Interaction.occurred_at, begin, span.until), *narrowing))
        if at is None:
            return
        time = instant(at)
        day = day_of(time, zone)
        pieces = pieces_of(day, zone)
        if day not in seen:
            seen.add(day)
            if len(seen) > MOST_DAYS:
                raise _too_long()
            yield _day(store, day, [*_within_all(pieces, span), *narrowing])
        begin = next(end for _, end in pieces if time < end)


def _within_all(pieces: Sequence[tuple[datetime, datetime]], span: Window) -> list[Any]:
    """Return the conditions that an interaction lies in one of *pieces*, and in *span*."""
    at = Interaction.occurred_at
    (start, _), (_, end) = pieces[0], pieces[-1]
    # One bound either way: of two, SQLite's index might be searched by the wider one.
    whole = within(at, max(start, span.since), end if span.until is None else min(end, span.until))
    return whole if len(pieces) == 1 else [*whole, reduce(or_, [_all(within(at, *each)) for each in pieces])]


def _day(store: Store, day: date, inside: Sequence[Any]) -> DailyBusiness:
    role, session, one = Interaction.user_role, Interaction.session, Interaction.seq
    known = (*MANAGERS, DEVELOPER, CASUAL)
    interactions, sessions, managers, developers, casual, other, technical, code, citations = store.sole(
        Interaction.select(
            fn.COUNT(one),
            fn.COUNT(session.distinct()),
            fn.COUNT(session.distinct()).filter(role.in_(MANAGERS)),
            fn.COUNT(session.distinct()).filter(role == DEVELOPER),
            fn.COUNT(session.distinct()).filter(role == CASUAL),
            fn.COUNT(session.distinct()).filter(role.not_in(known)),
            fn.COUNT(one).filter(Interaction.query_type == TECHNICAL),
            fn.COUNT(one).filter(Interaction.code_snippets_shown > 0),
            fn.COUNT(one).filter(Interaction.citations_provided > 0),
        ).where(*inside)
    )
    length = fn.MAX(Interaction.occurred_at) - fn.MIN(Interaction.occurred_at)
    lengths = Interaction.select(length.alias("length")).where(*inside).group_by(session).alias("lengths")
    (mean_length,) = store.sole(lengths.select_from(fn.AVG(lengths.c.length)))
    return DailyBusiness(
        date=day.isoformat(),
        interactions=interactions,
        sessions=sessions,
        hiring_manager_sessions=managers,
        developer_sessions=developers,
        casual_sessions=casual,
        other_sessions=other,
        mean_session_minutes=mean_length / MINUTE,
        technical_rate=technical / interactions,
        code_rate=code / interactions,
        citation_rate=citations / interactions,
    )


def _blank(day: str) -> DailyBusiness:
    """Return a *day* without interactions."""
    return DailyBusiness(
        date=day,
        interactions=0,
        sessions=0,
        hiring_manager_sessions=0,
        developer_sessions=0,
        casual_sessions=0,
        other_sessions=0,
        mean_session_minutes=None,
        technical_rate=None,
        code_rate=None,
        citation_rate=None,
    )


def _recorded(store: Store, span: Window, zone: ZoneInfo) -> dict[str, tuple[RecordedBusinessMetric, ...]]:
    """Return what was recorded for each day of the window, by the day."""
    dated = [Metrics.date >= day_of(span.since, zone).isoformat()]
    if span.until is not None:
        dated.append(Metrics.date <= day_of(span.until - timedelta.resolution, zone).isoformat())
    meant = _all([Metrics.date == "", *span.within(Metrics.occurred_at)]) | _all([Metrics.date != "", *dated])
    query = Metrics.select(Metrics.name, Metrics.metric_type, Metrics.value, Metrics.occurred_at, Metrics.date)
    query = query.where(meant).order_by(Metrics.occurred_at, Metrics.seq)
    values: dict[str, dict[tuple[str, str], list[float]]] = {}
    for name, kind, value, at, day in store.rows(query):
        where = values.setdefault(day or day_of(instant(at), zone).isoformat(), {})
        where.setdefault((name, kind), []).append(value)
    return {
        day: tuple(
            RecordedBusinessMetric(name=name, metric_type=kind, records=len(each), mean=fmean(each), last=each[-1])
            for (name, kind), each in sorted(figures.items())
        )
        for day, figures in values.items()
    }


def _all(conditions: Sequence[Any]) -> Any:
    return reduce(and_, conditions)
