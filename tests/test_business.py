"""
The business of each day, against a few lines of Python over the rows and the calendar of the time zone.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward import (
    BusinessDay,
    BusinessMetric,
    Client,
    DailyBusiness,
    Interaction,
    InteractionFilter,
    InvalidArgument,
    RecordedBusinessMetric,
)
from steward.legacy import LegacyFile
from steward.types import ImportedInteraction, RecordReceipt
from stewardd.app import App
from stewardd.testing import running_server
from tests.oracle import MODEST, REAL, average, close, in_order, inside, meant, needs_the_real_file, real_rows
from tests.samples import NOON, interaction, recorded

NOW = datetime.now(UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TICK = timedelta.resolution
MANAGERS = ("Hiring Manager (technical)", "Hiring Manager (nontechnical)")
ROLES = (*MANAGERS, "Software Developer", "Just looking around", "hiring manager (technical)", "[]")
ALL = InteractionFilter()
FIGURES = (
    "hiring_manager_sessions",
    "developer_sessions",
    "casual_visitor_sessions",
    "avg_session_duration",
    "conversion_to_detailed_queries",
    "code_display_engagement",
    "citation_click_through_rate",
)
# Time zones, and moments when something odd happens to their days.
PLACES = [
    ("", datetime(2025, 9, 30, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2025, 3, 30, 1, tzinfo=UTC)),  # a day of 23 hours
    ("Europe/Berlin", datetime(2025, 10, 26, 1, tzinfo=UTC)),  # a day of 25 hours
    ("Asia/Kolkata", datetime(2025, 9, 30, 18, 30, tzinfo=UTC)),  # midnight, at half past an hour
    ("Asia/Kathmandu", NOW),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),  # a day without midnight
    ("America/Sao_Paulo", datetime(2018, 2, 18, 2, tzinfo=UTC)),  # set back at midnight
    ("America/Havana", datetime(2025, 11, 2, 5, tzinfo=UTC)),  # midnight comes twice
    ("America/Goose_Bay", datetime(2010, 3, 14, 4, 1, tzinfo=UTC)),
    ("America/Goose_Bay", datetime(2010, 11, 7, 3, 1, tzinfo=UTC)),  # set back over midnight: a date comes twice
    ("Antarctica/Casey", datetime(2010, 3, 4, 15, tzinfo=UTC)),  # likewise, by three hours
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a date that never was
    ("Australia/Lord_Howe", datetime(2025, 4, 5, 15, tzinfo=UTC)),  # half an hour
]
ODD = (0 * DAY, -TICK, TICK, -MINUTE, -MINUTE - TICK, -MINUTE / 2)


class Recorded(NamedTuple):
    """A figure as it was recorded."""

    name: str
    metric_type: str
    value: float
    at: datetime
    day: str  # '' when it is about none


def day_in(zone: str, time: datetime) -> str:
    """Return the day that the calendar in *zone* shows at *time*."""
    return time.astimezone(ZoneInfo(zone or "UTC")).date().isoformat()


def oracle(
    rows: Iterable[Interaction],
    figures: Iterable[Recorded] = (),
    *,
    zone: str,
    since: datetime,
    until: datetime | None = None,
    chosen: InteractionFilter = ALL,
) -> tuple[DailyBusiness, ...]:
    """Report on *rows* and *figures*, without a database."""
    days: dict[str, list[Interaction]] = defaultdict(list)
    for row in rows:
        if row.occurred_at and inside(row.occurred_at, since, until) and meant(row, chosen):
            days[day_in(zone, row.occurred_at)].append(row)
    recorded_on: dict[str, list[Recorded]] = defaultdict(list)
    for each in figures:
        if not each.day and inside(each.at, since, until):
            recorded_on[day_in(zone, each.at)].append(each)
        elif day_in(zone, since) <= each.day and (until is None or each.day <= day_in(zone, until - TICK)):
            recorded_on[each.day].append(each)
    return tuple(
        DailyBusiness(**of_rows(days.get(day, [])), date=day, recorded=of_figures(recorded_on.get(day, [])))
        for day in sorted({*days, *recorded_on})
    )


def of_rows(rows: Sequence[Interaction]) -> dict[str, Any]:
    """Return what *rows*, of one day, say of it."""
    sessions: dict[str, list[Interaction]] = defaultdict(list)
    for row in rows:
        sessions[row.session_id].append(row)
    known = (*MANAGERS, "Software Developer", "Just looking around")
    buckets: dict[str, Callable[[str], bool]] = {
        "hiring_manager_sessions": lambda role: role in MANAGERS,
        "developer_sessions": lambda role: role == "Software Developer",
        "casual_sessions": lambda role: role == "Just looking around",
        "other_sessions": lambda role: role not in known,
    }
    times = [[row.occurred_at for row in session if row.occurred_at] for session in sessions.values()]
    return {
        "interactions": len(rows),
        "sessions": len(sessions),
        **{
            name: sum(any(belongs(row.user_role) for row in session) for session in sessions.values())
            for name, belongs in buckets.items()
        },
        "mean_session_minutes": close(average((max(each) - min(each)) / MINUTE for each in times)),
        "technical_rate": close(average(row.query_type == "technical" for row in rows)),
        "code_rate": close(average(row.code_snippets_shown > 0 for row in rows)),
        "citation_rate": close(average(row.citations_provided > 0 for row in rows)),
    }


def of_figures(figures: Sequence[Recorded]) -> tuple[RecordedBusinessMetric, ...]:
    """Return what *figures*, of one day and in the order they were recorded in, come to."""
    groups: dict[tuple[str, str], list[Recorded]] = defaultdict(list)
    for each in sorted(figures, key=lambda figure: figure.at):  # stable
        groups[each.name, each.metric_type].append(each)
    return tuple(
        RecordedBusinessMetric(
            name=name,
            metric_type=kind,
            records=len(group),
            mean=close(mean(each.value for each in group)),
            last=group[-1].value,
        )
        for (name, kind), group in sorted(groups.items())
    )


def as_recorded(sent: BusinessMetric | BusinessDay, receipt: RecordReceipt) -> list[Recorded]:
    """Return the figures that *sent* is on record as."""
    if isinstance(sent, BusinessDay):
        figures = [(name, getattr(sent, name)) for name in FIGURES]
        return [
            Recorded(name, "daily", value, start(sent.date), sent.date) for name, value in figures if value is not None
        ]
    at = sent.occurred_at or (start(sent.date) if sent.date else receipt.recorded_at)
    return [Recorded(sent.name, sent.metric_type, sent.value, at, sent.date)]


def start(day: str) -> datetime:
    """Return when *day* begins in UTC."""
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), tzinfo=UTC)


def metric(**changes: Any) -> BusinessMetric:
    """Return a good figure, with *changes*."""
    fields: dict[str, Any] = {"name": "visits", "value": 5.0, "occurred_at": NOON}
    return BusinessMetric(**{**fields, **changes})


VALUES = st.floats(-1e15, 1e15) | st.integers(-5, 5).map(float)


@st.composite
def scenes(draw: st.DrawFn) -> Any:
    """Return interactions and figures around a moment of a time zone, and what to ask of them."""
    zone, moment = draw(st.sampled_from(PLACES))
    steps = st.tuples(st.integers(-100, 100), st.sampled_from(ODD))
    times = steps.map(lambda step: min(moment + step[0] * HOUR / 2 + step[1], NOW + 23 * HOUR))
    dates = st.integers(-2, 2).map(lambda days: min(moment + days * DAY, NOW + DAY / 2).date().isoformat())
    interactions = st.builds(
        Interaction,
        session_id=st.sampled_from(["a", "b", "c"]),
        user_role=st.sampled_from(ROLES),
        query=st.just("What?"),
        query_type=st.sampled_from(["technical", "Technical", "", "fun"]),
        code_snippets_shown=st.integers(0, 2),
        citations_provided=st.integers(0, 2),
        success=st.none() | st.booleans(),
        user_rating=st.none() | st.floats(1, 5),
        occurred_at=times,
    )
    metrics = st.builds(
        BusinessMetric,
        name=st.sampled_from(["visits", "Visits", "developer_sessions"]),
        value=VALUES,
        metric_type=st.sampled_from(["", "daily", '"x"\n']),
        occurred_at=st.none() | times,
        date=st.just("") | dates,
    )
    days = st.builds(BusinessDay, date=dates, developer_sessions=VALUES, code_display_engagement=st.none() | VALUES)
    spans = st.tuples(times, st.none() | times).filter(in_order)
    filters = st.just(ALL) | st.builds(
        InteractionFilter,
        user_roles=st.sampled_from([(), ROLES[:1], ROLES[2:], ("nobody",)]),
        success=st.sampled_from([None, True]),
        since=st.none() | times,
    )
    zones = st.just(zone) | st.sampled_from([each for each, _ in PLACES])
    return (
        draw(st.lists(interactions, max_size=20)),
        draw(st.lists(metrics | days, max_size=8)),
        draw(st.lists(st.tuples(zones, spans, filters), min_size=1, max_size=6)),
    )


@given(scene=scenes())
@settings(MODEST, max_examples=12)  # each asks for several reports; the calendar has a test of its own
def test_a_report_is_that_of_the_rows(scene: Any) -> None:
    """
    Whatever is recorded, some of it twice, and whatever is asked for, each day is that of its rows and figures.
    """
    rows, sent, asks = scene
    with running_server() as server, Client(server.target) as client:
        if rows:
            recorded(client, *rows, *rows[::2])
        figures = [each for one in sent for each in as_recorded(one, client.record_business_metric(one))]
        for one in sent[::2]:
            assert client.record_business_metric(one).already_stored
        for zone, (since, until), chosen in asks:
            found = client.get_business_report(since=since, until=until, chosen=chosen, time_zone=zone)

            assert (since, until, zone or "UTC") == (found.since, found.until, found.time_zone)
            assert oracle(rows, figures, zone=zone, since=since, until=until, chosen=chosen) == found.days


def test_days_are_those_of_the_calendar(client: Client) -> None:
    """
    Around the odd moments of all these time zones, at every half hour and a bit, each day has what its date had.
    """
    rows = [
        interaction(
            session_id=f"{zone} {number % 5}",
            user_role=ROLES[number % len(ROLES)],
            query_type=("technical", "fun")[number % 2],
            code_snippets_shown=number % 3,
            citations_provided=number % 4,
            occurred_at=min(moment + number * HOUR / 2 + ODD[number % len(ODD)], NOW + 23 * HOUR),
        )
        for zone, moment in PLACES
        for number in range(-70, 71)
    ]
    for first in range(0, len(rows), 1000):
        recorded(client, *rows[first : first + 1000])

    for zone, moment in PLACES:
        for begin, end in ((-50 * HOUR, 50 * HOUR), (-MINUTE / 2, HOUR), (-25 * HOUR - TICK, None), (0 * HOUR, TICK)):
            since, until = moment + begin, None if end is None else moment + end
            found = client.get_business_report(since=since, until=until, time_zone=zone)

            assert oracle(rows, zone=zone, since=since, until=until) == found.days, (zone, moment)


@needs_the_real_file
def test_the_business_of_the_real_file_is_that_of_its_rows(client: Client) -> None:
    """
    In each time zone the predecessor's real file gives the days of its rows.
    """
    rows = real_rows()
    with LegacyFile(REAL) as file:
        client.import_interactions([[each for each in file.rows() if isinstance(each, ImportedInteraction)]])

    for zone in sorted({zone for zone, _ in PLACES}):
        since = datetime(2025, 9, 1, 11, 30, tzinfo=UTC)
        found = client.get_business_report(since=since, time_zone=zone)

        assert oracle(rows, zone=zone, since=since) == found.days
    assert 100 == len(rows)


def test_an_empty_request_of_an_empty_store_is_answered(asked: Client) -> None:
    """
    Without arguments and without data it is the last 30 days, without end, in UTC, none of which has anything.
    """
    found = asked.get_business_report()

    assert (None, "UTC", ()) == (found.until, found.time_zone, found.days)
    assert MINUTE > datetime.now(UTC) - 30 * DAY - found.since >= 0 * DAY
    assert NOON - 30 * DAY == asked.get_business_report(until=NOON).since


def test_a_session_counts_once_in_each_of_its_buckets(client: Client) -> None:
    """
    A session in both manager roles and as a developer is one session, one of managers and one of developers.
    """
    recorded(client, *(interaction(user_role=role) for role in ROLES[:3]))

    (day,) = client.get_business_report(since=NOON).days

    assert (1, 1, 1, 0, 0) == (
        day.sessions,
        day.hiring_manager_sessions,
        day.developer_sessions,
        day.casual_sessions,
        day.other_sessions,
    )


def test_a_window_has_at_most_1000_days(server: App) -> None:
    """
    1000 days that have something are shown, of interactions or figures; one more is refused.
    """
    first = datetime(2020, 1, 1, tzinfo=UTC)
    until = first + 1001 * DAY
    with Client(server.target, timeout=60) as client:
        recorded(client, *(interaction(occurred_at=first + number * DAY) for number in range(1000)))
        client.record_business_metric(metric(date=(first + 999 * DAY).date().isoformat()))

        assert 1000 == len(client.get_business_report(since=first, until=until).days)

        client.record_business_metric(metric(date=(first + 1000 * DAY).date().isoformat()))
        with pytest.raises(InvalidArgument) as caught:
            client.get_business_report(since=first, until=until)
        assert ["since"] == [each.field for each in caught.value.violations]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_figure_about_a_day_shows_on_that_day(client: Client, zone: str) -> None:
    """
    In any time zone, whatever its own time and the filter, it shows in windows that touch its day, and in no others.
    """
    day = "2025-02-03"
    client.record_business_metric(metric(date=day))
    midnight = start(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    shown = DailyBusiness(
        **of_rows([]),
        date=day,
        recorded=(RecordedBusinessMetric(name="visits", metric_type="", records=1, mean=5.0, last=5.0),),
    )

    for begin, end, expected in ((0, 24, (shown,)), (12, 13, (shown,)), (-24, 0, ()), (24, 48, ())):
        since, until = midnight + begin * HOUR, midnight + end * HOUR
        found = client.get_business_report(
            since=since, until=until, time_zone=zone, chosen=InteractionFilter(text="nothing")
        )

        assert expected == found.days


def test_a_date_that_never_was_can_be_told_of(client: Client) -> None:
    """
    A figure about the day that Samoa left out shows there under that day.
    """
    client.record_business_metric(metric(date="2011-12-30"))
    moment = datetime(2011, 12, 30, 10, tzinfo=UTC)

    found = client.get_business_report(since=moment - HOUR, until=moment + HOUR, time_zone="Pacific/Apia")

    assert ["2011-12-30"] == [each.date for each in found.days]


def test_the_last_of_several_at_one_time_is_the_one_recorded_last(client: Client) -> None:
    """
    Of figures of one time the later arrival is the last; one that is late and older is not.
    """
    for value, time in ((1.0, NOON), (2.0, NOON), (9.0, NOON - HOUR)):
        client.record_business_metric(metric(value=value, occurred_at=time))

    (day,) = client.get_business_report(since=NOON - DAY).days

    assert [(3, 4.0, 2.0)] == [(each.records, each.mean, each.last) for each in day.recorded]


def test_a_figure_without_a_time_is_of_when_it_is_recorded(client: Client) -> None:
    """
    Unset occurred_at is the time of recording.
    """
    receipt = client.record_business_metric(metric(occurred_at=None))

    found = client.get_business_report(since=receipt.recorded_at, until=receipt.recorded_at + TICK)

    assert [day_in("UTC", receipt.recorded_at)] == [each.date for each in found.days]


def test_a_figure_sent_twice_is_stored_once(client: Client) -> None:
    """
    Sent again, in capitals or with another value, it is the first that is stored, and the receipt says since when.
    """
    sent = metric()
    first = client.record_business_metric(sent)

    again = [
        client.record_business_metric(sent),
        client.record_business_metric(replace(sent, metric_id=sent.metric_id.upper(), value=9.0)),
    ]

    assert (sent.metric_id, False) == (first.record_id, first.already_stored)
    assert [replace(first, already_stored=True)] * 2 == again
    (day,) = client.get_business_report(since=NOON).days
    assert [(1, 5.0)] == [(each.records, each.mean) for each in day.recorded]


def test_a_day_sent_twice_is_stored_once(client: Client) -> None:
    """
    Sent again, in capitals or with other figures, it is the first that is stored, and the receipt says since when.
    """
    sent = BusinessDay(date="2025-02-03", developer_sessions=4.0, avg_session_duration=2.5)
    first = client.record_business_metric(sent)

    again = [
        client.record_business_metric(sent),
        client.record_business_metric(replace(sent, day_id=sent.day_id.upper())),
        client.record_business_metric(replace(sent, casual_visitor_sessions=1.0, hiring_manager_sessions=1.0)),
        client.record_business_metric(BusinessDay(day_id=sent.day_id, date="2025-02-04", code_display_engagement=1.0)),
    ]

    assert (sent.day_id, False) == (first.record_id, first.already_stored)
    assert [replace(first, already_stored=True)] * 4 == again
    (day,) = client.get_business_report(since=start(sent.date)).days
    assert [("avg_session_duration", "daily", 2.5), ("developer_sessions", "daily", 4.0)] == [
        (each.name, each.metric_type, each.last) for each in day.recorded
    ]


def test_all_figures_of_a_day_are_recorded(client: Client) -> None:
    """
    Each of the seven shows under its name, of the type daily.
    """
    values: dict[str, Any] = {name: float(number) for number, name in enumerate(FIGURES)}
    client.record_business_metric(BusinessDay(date="1970-01-01", **values))

    (day,) = client.get_business_report(since=start("1970-01-01")).days

    expected = sorted((name, "daily", 1, float(number)) for number, name in enumerate(FIGURES))
    assert expected == [(each.name, each.metric_type, each.records, each.mean) for each in day.recorded]


RAW = ("jo@example.com", "kim@example.org", "123-45-6789", "555-123-4567", "4111 1111 1111 1111", "192.168.10.20")


def test_every_text_of_a_figure_is_redacted(tmp_path: Path) -> None:
    """
    Of name, type and the names and values of metadata, nothing personal is shown, or is in the file.
    """
    email, other, number, phone, card, address = RAW
    sent = metric(
        name=f"visits of {email}",
        metric_type=f"by {number}",
        metadata={f"call {phone}": f"write to {other}", f"at {address}": f"with {card} of {email}"},
    )

    with running_server(tmp_path) as server, Client(server.target) as client:
        receipt = client.record_business_metric(sent)
        (day,) = client.get_business_report(since=NOON).days
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert {"EMAIL": 3, "SSN": 1, "PHONE": 1, "CARD": 1, "IP": 1} == receipt.redactions
    assert [("visits of [EMAIL_REDACTED]", "by [SSN_REDACTED]")] == [
        (each.name, each.metric_type) for each in day.recorded
    ]
    assert b"call [PHONE_REDACTED]" in content
    assert b"with [CARD_REDACTED] of [EMAIL_REDACTED]" in content
    assert [] == [text for text in RAW if text.encode() in content]


LONG, WIDE = "x" * 129, "ä" * 65
NO_DATES = ("2025-2-3", "20250203", "2025-02-30", "1969-12-31", "2025-W06-1", "2025-034", "9999-12-31", "0000-00-00")
ODD_DATES = (" 2025-02-03", "2025-02-03\n", "2025-02-03T00:00", "2025/02/03", "٢٠٢٥-٠٢-٠٣", "today", "\0")
BAD: list[tuple[dict[str, Any], str]] = [
    ({"metric_id": ""}, "metric_id"),
    ({"metric_id": "0190163d-8694-439b-aea5-966c26f8ad91"}, "metric_id"),  # version 4
    ({"metric_id": "0190163d86947739baea5966c26f8ad91"}, "metric_id"),
    ({"name": ""}, "name"),
    ({"name": LONG}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"metric_type": WIDE}, "metric_type"),
    ({"metric_type": "\0"}, "metric_type"),
    *(({"value": value}, "value") for value in (math.nan, math.inf, -math.inf, 1.0001e15, -1.0001e15)),
    ({"metadata": {str(number): "" for number in range(33)}}, "metadata"),
    ({"metadata": {"": "value"}}, "metadata.key"),
    ({"metadata": {LONG: "value"}}, "metadata.key"),
    ({"metadata": {"a\0b": "value"}}, "metadata.key"),
    ({"metadata": {"name": "x" * 1025}}, "metadata.value"),
    ({"metadata": {"name": "\0"}}, "metadata.value"),
    ({"occurred_at": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)}, "occurred_at"),
    ({"occurred_at": NOW + timedelta(days=1, hours=2)}, "occurred_at"),
    ({"occurred_at": datetime(9999, 12, 31, tzinfo=UTC)}, "occurred_at"),
    *(({"date": each}, "date") for each in (*NO_DATES, *ODD_DATES)),
]


@pytest.mark.parametrize(("changes", "field"), BAD, ids=lambda each: ascii(each)[:40])
def test_a_bad_figure_is_refused_by_name(asked: Client, changes: dict[str, Any], field: str) -> None:
    """
    A field that breaks a rule is INVALID_ARGUMENT naming it and the rule, and nothing is stored.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.record_business_metric(metric(**changes))

    assert [f"metric.{field}"] == [each.field for each in caught.value.violations]
    assert all(each.rule.startswith("must ") for each in caught.value.violations)
    assert () == asked.get_business_report(since=start("1970-01-01")).days


BAD_DAYS: list[tuple[dict[str, Any], str]] = [
    ({"day_id": ""}, "day_id"),
    ({"day_id": "0190163d-8694-439b-aea5-966c26f8ad91"}, "day_id"),
    *(({name: value}, name) for name in FIGURES for value in (math.nan, -math.inf, 1.0001e15)),
    *(({"date": each}, "date") for each in ("", *NO_DATES, *ODD_DATES)),
]


@pytest.mark.parametrize(("changes", "field"), BAD_DAYS, ids=lambda each: ascii(each)[:40])
def test_a_bad_day_is_refused_by_name(asked: Client, changes: dict[str, Any], field: str) -> None:
    """
    A field of a day that breaks a rule is INVALID_ARGUMENT naming it and the rule, and nothing is stored.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.record_business_metric(
            BusinessDay(**{"date": "2025-02-03", "hiring_manager_sessions": 1.0, "developer_sessions": 1.0, **changes})
        )

    assert [f"day.{field}"] == [each.field for each in caught.value.violations]
    assert all(each.rule.startswith("must ") for each in caught.value.violations)
    assert () == asked.get_business_report(since=start("1970-01-01")).days


def test_a_day_has_a_figure(asked: Client) -> None:
    """
    A day without any figure is refused.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.record_business_metric(BusinessDay(date="2025-02-03"))

    assert ["day.hiring_manager_sessions"] == [each.field for each in caught.value.violations]


def test_a_day_may_be_tomorrow(client: Client) -> None:
    """
    The day after today in UTC is taken, the next is refused, of a figure and of a day's figures.
    """
    tomorrow = (datetime.now(UTC) + DAY).date()
    later = (tomorrow + DAY).isoformat()

    client.record_business_metric(metric(date=tomorrow.isoformat(), occurred_at=None))
    client.record_business_metric(BusinessDay(date=tomorrow.isoformat(), developer_sessions=1.0))

    for bad in (metric(date=later, occurred_at=None), BusinessDay(date=later, developer_sessions=1.0)):
        with pytest.raises(InvalidArgument, match="must not be more than a day ahead"):
            client.record_business_metric(bad)
    assert [tomorrow.isoformat()] == [each.date for each in client.get_business_report().days]


def test_a_figure_at_every_limit_is_taken(client: Client) -> None:
    """
    The longest texts, the greatest values, the most metadata and the earliest time are stored.
    """
    most = {f"{number:0128}".replace("0", "o"): "x" * 1024 for number in range(1, 33)}
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    sent = [
        BusinessMetric(name="ä" * 64, metric_type="x" * 128, value=value, metadata=most, occurred_at=epoch)
        for value in (1e15, -1e15, 0.5)
    ]

    figures = [each for one in sent for each in as_recorded(one, client.record_business_metric(one))]

    assert (
        oracle([], figures, zone="America/New_York", since=epoch)
        == client.get_business_report(since=epoch, time_zone="America/New_York").days
    )


BAD_ZONES = (
    "Mars/Phobos",
    "../etc/passwd",
    "/etc/passwd",
    "Europe",
    "Europe/Berlin ",
    ".",
    "a\0b",
    "zone.tab",
    "x" * 999,
    "localtime",
    "posixrules",
    "posix/Europe/Berlin",
    "right/Europe/Berlin",
)
BAD_REQUESTS: list[tuple[dict[str, Any], str]] = [
    *(({"time_zone": zone}, "time_zone") for zone in BAD_ZONES),
    ({"since": NOON, "until": NOON}, "until"),
    ({"since": NOON, "until": NOON - HOUR}, "until"),
    ({"until": datetime(1969, 12, 31, tzinfo=UTC)}, "until"),
    ({"since": datetime(1900, 1, 1, tzinfo=UTC), "until": datetime(2000, 1, 3, tzinfo=UTC)}, "since"),
    ({"since": datetime(1, 1, 1, tzinfo=UTC)}, "since"),
    ({"chosen": InteractionFilter(since=NOON, until=NOON)}, "filter.until"),
    ({"chosen": InteractionFilter(user_roles=("\0",))}, "filter.user_roles"),
    ({"chosen": InteractionFilter(session_id="")}, "filter.session_id"),
]


@pytest.mark.parametrize(("arguments", "field"), BAD_REQUESTS, ids=lambda each: ascii(each)[:40])
def test_what_makes_no_sense_is_refused_by_name(asked: Client, arguments: dict[str, Any], field: str) -> None:
    """
    A bad time zone, window or filter is INVALID_ARGUMENT naming its field.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.get_business_report(**arguments)

    assert [field] == [each.field for each in caught.value.violations]


def test_a_role_that_nobody_has_is_no_error(client: Client) -> None:
    """
    A filter that chooses nothing gives no days.
    """
    recorded(client, interaction())

    assert () == client.get_business_report(since=NOON, chosen=InteractionFilter(user_roles=("nobody",))).days


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_windows_at_the_ends_of_time_are_answered(asked: Client, zone: str) -> None:
    """
    A window may begin or end where some time zones know no date any more.
    """
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)

    assert () == asked.get_business_report(since=last, time_zone=zone).days
    assert () == asked.get_business_report(since=last - DAY, until=last, time_zone=zone).days
    assert () == asked.get_business_report(until=datetime(1970, 1, 1, tzinfo=UTC), time_zone=zone).days
