"""
How the assistant performs, against a few lines of Python over the rows; and measurements from outside.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steward import (
    AlertMetric,
    AlertOperator,
    Client,
    InteractionFilter,
    InvalidArgument,
    MetricPoint,
    Performance,
    RecordReceipt,
    Rejection,
    TrendDirection,
)
from stewardd.performance import direction, percentile
from stewardd.testing import running_server
from tests import oracle
from tests.samples import NOON, imported, interaction, recorded


def plain(found: Any) -> dict[str, Any]:
    """Return the fields of *found*."""
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def groups(rows: list[oracle.Row], field: str) -> list[dict[str, Any]]:
    """Return what is expected of each group of *rows*."""
    return [
        {
            "name": name,
            "interactions": len(group),
            "success_rate": oracle.close(oracle.average(oracle.known(group, "success"))),
            "response_times": oracle.spread(group),
        }
        for name, group in oracle.grouped(rows, field).items()
    ]


def told(found: Performance, field: str) -> list[dict[str, Any]]:
    """Return the groups of *found* as plain values."""
    return [{**plain(each), "response_times": plain(each.response_times)} for each in getattr(found, field)]


@given(rows=oracle.ROWS, hours=st.none() | st.sampled_from([1, 2, 24, 400]), ends=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_report_is_that_of_its_rows(rows: list[oracle.Row], hours: int | None, ends: bool) -> None:  # noqa: FBT001
    """
    Whatever is stored and whatever window is asked for, each figure is that of the rows within 1e-9.
    """
    now = datetime.now(UTC)
    placed = oracle.placed(rows, now)
    until = now - timedelta(minutes=45) if ends else None

    with running_server() as server, Client(server.target) as client:
        client.import_interactions([[imported(number, **row) for number, row in enumerate(placed)]])
        found = client.get_performance(hours=hours, until=until)

    inside = oracle.within(placed, (until or now) - timedelta(hours=hours or 24), until)
    assert len(inside) == found.interactions
    assert oracle.close(oracle.average(oracle.known(inside, "success")) or 0.0) == found.success_rate
    assert oracle.spread(inside) == plain(found.response_times)
    assert groups(inside, "user_role") == told(found, "by_role")
    assert groups(inside, "query_type") == told(found, "by_query_type")
    metrics = plain(found.metrics)
    assert 0 < metrics.pop("db_query_time_seconds") < 60
    assert {name: oracle.close(each) for name, each in oracle.system_metrics(placed, now).items()} == metrics
    last, before = (oracle.within(placed, now - n * oracle.HOUR, now - (n - 1) * oracle.HOUR) for n in (1, 2))
    last = oracle.within(placed, now - oracle.HOUR)
    means = [oracle.average(oracle.known(each, "response_time_seconds")) for each in (last, before)]
    assert (oracle.trend(*means), oracle.close(means[0]), oracle.close(means[1])) == (
        found.response_time_trend.direction.name,
        found.response_time_trend.last_hour,
        found.response_time_trend.hour_before,
    )
    volume = oracle.trend(len(last), len(before)) if before else "STABLE"
    assert (volume, len(last), len(before)) == (
        found.volume_trend.direction.name,
        found.volume_trend.last_hour,
        found.volume_trend.hour_before,
    )


def test_an_empty_store_has_the_predecessors_defaults(client: Client) -> None:
    """
    Without data the metrics say that all is well, the rate of the window is 0, and times are unknown.
    """
    found = client.get_performance()

    assert (0.0, 1.0, 0, 0.0, 0) == (
        found.metrics.avg_response_time_seconds,
        found.metrics.success_rate,
        found.metrics.query_volume,
        found.metrics.error_rate,
        found.metrics.total_interactions,
    )
    assert (0, 0.0, 0, None, None) == (
        found.interactions,
        found.success_rate,
        found.response_times.known,
        found.response_times.mean_seconds,
        found.response_times.p99_seconds,
    )
    assert (TrendDirection.STABLE, TrendDirection.STABLE) == (
        found.response_time_trend.direction,
        found.volume_trend.direction,
    )
    assert timedelta(seconds=60) > datetime.now(UTC) - timedelta(hours=24) - found.since >= timedelta(0)


DIRECTIONS = [
    (12.0, 10.0, TrendDirection.STABLE),
    (12.1, 10.0, TrendDirection.INCREASING),
    (8.0, 10.0, TrendDirection.STABLE),
    (7.9, 10.0, TrendDirection.DECREASING),
    (0.0, 10.0, TrendDirection.DECREASING),
    (0.0, 0.0, TrendDirection.STABLE),
    (1.0, 0.0, TrendDirection.INCREASING),
]


@pytest.mark.parametrize(("now", "before", "expected"), DIRECTIONS)
def test_a_fifth_makes_a_trend(now: float, before: float, expected: TrendDirection) -> None:
    """
    Beyond 20 % either way is a trend, 20 % is not.
    """
    assert expected == direction(now, before)


def test_a_fall_to_zero_is_decreasing(client: Client) -> None:
    """
    An hour without interactions after one with some is a falling volume, which the predecessor called stable.
    """
    recorded(client, interaction(occurred_at=datetime.now(UTC) - timedelta(minutes=90)))

    found = client.get_performance()

    assert (TrendDirection.DECREASING, 0, 1) == (
        found.volume_trend.direction,
        found.volume_trend.last_hour,
        found.volume_trend.hour_before,
    )
    assert (TrendDirection.STABLE, None, 1.5) == (
        found.response_time_trend.direction,
        found.response_time_trend.last_hour,
        found.response_time_trend.hour_before,
    )


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300))
def test_a_percentile_needs_only_its_neighbours(values: list[float]) -> None:
    """
    From the one or two values next to it, each percentile is what the standard library interpolates from all.
    """
    places = dict(enumerate(sorted(values)))

    for percent in (1, 50, 95, 99):
        assert oracle.close(oracle.percentile(values, percent)) == percentile(places, len(values), percent)


def test_a_filter_chooses(client: Client) -> None:
    """
    The figures of the window are of the chosen interactions, the six metrics of all; an unknown role has none.
    """
    now = datetime.now(UTC)
    recorded(client, interaction(occurred_at=now, user_role="a"), interaction(occurred_at=now, user_role="b"))

    chosen = client.get_performance(chosen=InteractionFilter(user_roles=("a",)))
    nobody = client.get_performance(chosen=InteractionFilter(user_roles=("nobody",)))

    assert (1, ["a"], 2) == (chosen.interactions, [each.name for each in chosen.by_role], chosen.metrics.query_volume)
    assert (0, ()) == (nobody.interactions, nobody.by_role)


def test_rules_are_counted(client: Client) -> None:
    """
    Enabled rules, and those last triggered in the window.
    """
    client.set_alert_rule("high_query_volume", enabled=False)
    client.set_alert_rule("few", metric=AlertMetric.QUERY_VOLUME, operator=AlertOperator.LT, threshold=1)
    client.evaluate_alerts()

    now, earlier = client.get_performance(), client.get_performance(until=NOON)

    assert ((4, 1), (4, 0)) == (
        (now.enabled_rules, now.triggered_rules),
        (earlier.enabled_rules, earlier.triggered_rules),
    )


@pytest.mark.parametrize("hours", [0, -1, 876_601])
def test_hours_out_of_range_are_refused(asked: Client, hours: int) -> None:
    """
    Hours below 1 or over 100 years are INVALID_ARGUMENT naming the field.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.get_performance(hours=hours)

    assert ["hours"] == [each.field for each in caught.value.violations]


# Measurements from outside


def point(**changes: Any) -> MetricPoint:
    """Return a good point, with *changes*."""
    fields: dict[str, Any] = {"name": "query.execution_time", "value": 0.25, "unit": "s", "component": "retriever"}
    return MetricPoint(**{**fields, **changes})


POINTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["a", "b"]),
            "unit": st.sampled_from(["s", ""]),
            "value": st.floats(-1e9, 1e9),
            "minutes": oracle.OFFSETS,
        }
    ),
    max_size=12,
)


@given(rows=POINTS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_recorded_points_are_summed_up(rows: list[oracle.Row]) -> None:
    """
    By name, unit and component: how many, the least, mean, greatest and latest value of the window.
    """
    now = datetime.now(UTC)
    placed = oracle.placed(rows, now)
    with running_server() as server, Client(server.target) as client:
        if placed:
            client.record_metrics([MetricPoint(**row) for row in placed])
        found = client.get_performance()

    expected = []
    for name, unit in sorted({(row["name"], row["unit"]) for row in placed}):
        mine = [row for row in placed if (row["name"], row["unit"]) == (name, unit)]
        inside = oracle.within(mine, now - timedelta(hours=24))
        if inside:
            values = [row["value"] for row in inside]
            latest = max(row["occurred_at"] for row in inside)
            last = [row["value"] for row in inside if row["occurred_at"] == latest][-1]  # recorded last
            expected.append(
                (
                    name,
                    unit,
                    "",
                    len(values),
                    min(values),
                    oracle.close(oracle.average(values)),
                    max(values),
                    last,
                    latest,
                )
            )
    assert expected == [tuple(plain(each).values()) for each in found.recorded]


def test_points_are_stored_once_and_redacted(client: Client) -> None:
    """
    Sent again, a point is there already; what is personal in its labels is counted and not stored.
    """
    sent = point(labels={"query_hash": "ab12", "asked by": "jo@example.com"})

    (first,), (again,) = client.record_metrics([sent]), client.record_metrics([sent])

    assert isinstance(first, RecordReceipt)
    assert isinstance(again, RecordReceipt)
    assert (sent.metric_id, {"EMAIL": 1}, False) == (first.record_id, first.redactions, first.already_stored)
    assert (first.recorded_at, True) == (again.recorded_at, again.already_stored)
    assert [1] == [each.points for each in client.get_performance().recorded]


def test_a_bad_point_keeps_no_other_out(client: Client) -> None:
    """
    One outcome each, in order; all or nothing stores none and names the bad one.
    """
    good, bad = point(), point(value=math.nan)

    outcomes = client.record_metrics([bad, good])
    with pytest.raises(InvalidArgument) as caught:
        client.record_metrics([point(), bad], all_or_nothing=True)

    assert [Rejection, RecordReceipt] == [type(each) for each in outcomes]
    assert ["points[1].value"] == [each.field for each in caught.value.violations]
    assert [1] == [each.points for each in client.get_performance().recorded]


BAD_POINTS = [
    ({"metric_id": "x"}, "metric_id"),
    ({"name": ""}, "name"),
    ({"name": "x" * 129}, "name"),
    ({"value": math.inf}, "value"),
    ({"value": 1.1e15}, "value"),
    ({"unit": "\0"}, "unit"),
    ({"component": "x" * 129}, "component"),
    ({"labels": {str(number): "" for number in range(33)}}, "labels"),
    ({"labels": {"": "x"}}, "labels.key"),
    ({"labels": {"x": "y" * 1025}}, "labels.value"),
    ({"occurred_at": datetime(1969, 1, 1, tzinfo=UTC)}, "occurred_at"),
    ({"occurred_at": datetime(2200, 1, 1, tzinfo=UTC)}, "occurred_at"),
]


@pytest.mark.parametrize(("change", "field"), BAD_POINTS)
def test_a_point_that_breaks_a_rule_is_named(asked: Client, change: dict[str, Any], field: str) -> None:
    """
    Each rule of a point, by its field.
    """
    (outcome,) = asked.record_metrics([point(**change)])

    assert isinstance(outcome, Rejection)
    assert [field] == [each.field for each in outcome.violations]


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_a_size(asked: Client, count: int) -> None:
    """
    No points, or too many, are refused.
    """
    with pytest.raises(InvalidArgument, match="points: must be 1 to 1000"):
        asked.record_metrics([point() for _ in range(count)])
