"""
Alerts: rules, when they fire, what is told of it, and what a restart leaves of it.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase

from steward import (
    Alert,
    AlertEvent,
    AlertEventKind,
    AlertMetric,
    AlertOperator,
    AlertRule,
    AlertSeverity,
    AlertState,
    Client,
    InvalidArgument,
    ResourceExhausted,
    SystemMetrics,
    Unavailable,
)
from stewardd import alerts
from stewardd.rpc.feed import MOST_BEHIND, MOST_WATCHERS, Feed, Watch
from stewardd.store import schema
from stewardd.testing import running_server
from tests import oracle
from tests.samples import NOON, interaction, recorded

GT, LT, EQ = AlertOperator.GT, AlertOperator.LT, AlertOperator.EQ
OK, FIRING = AlertState.OK, AlertState.FIRING
MEDIUM, HIGH, CRITICAL = AlertSeverity.MEDIUM, AlertSeverity.HIGH, AlertSeverity.CRITICAL
SELDOM: dict[str, Any] = {"alert_seconds": 3600.0}  # a server that evaluates only when it is asked to


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of a server that evaluates only when it is asked to."""
    with running_server(**SELDOM) as server, Client(server.target) as connected:
        yield connected


def fail(client: Client, count: int = 1) -> None:
    """Record interactions of this minute that were not answered well."""
    recorded(client, *(interaction(success=False, occurred_at=None) for _ in range(count)))


def succeed(client: Client, count: int) -> None:
    """Record interactions of this minute that were answered well."""
    recorded(client, *(interaction(success=True, occurred_at=None) for _ in range(count)))


def rule_of(client: Client, name: str) -> AlertRule:
    """Return the rule of this *name*."""
    (found,) = (each for each in client.list_alert_rules() if each.name == name)
    return found


def test_the_first_rules_are_the_predecessors(client: Client) -> None:
    """
    A fresh store has its four rules, enabled and never evaluated.
    """
    found = client.list_alert_rules()

    assert [
        ("high_error_rate", AlertMetric.ERROR_RATE, GT, 0.1),
        ("high_query_volume", AlertMetric.QUERY_VOLUME, GT, 1000.0),
        ("high_response_time", AlertMetric.AVG_RESPONSE_TIME, GT, 10.0),
        ("low_success_rate", AlertMetric.SUCCESS_RATE, LT, 0.8),
    ] == [(each.name, each.metric, each.operator, each.threshold) for each in found]
    assert {(True, 0.0, OK, None, None, None, 0, 0, 0)} == {
        (
            each.enabled,
            each.cooldown_seconds,
            each.state,
            each.since,
            each.last_triggered_at,
            each.last_value,
            each.evaluations,
            each.firing_evaluations,
            each.transitions,
        )
        for each in found
    }


METRICS = SystemMetrics(
    avg_response_time_seconds=1.0,
    success_rate=0.75,
    query_volume=3,
    error_rate=0.25,
    total_interactions=5,
    db_query_time_seconds=0.5,
)
VALUES = {
    AlertMetric.AVG_RESPONSE_TIME: 1.0,
    AlertMetric.SUCCESS_RATE: 0.75,
    AlertMetric.QUERY_VOLUME: 3,
    AlertMetric.ERROR_RATE: 0.25,
    AlertMetric.TOTAL_INTERACTIONS: 5,
    AlertMetric.DB_QUERY_TIME: 0.5,
}


def test_each_of_the_six_metrics_can_be_watched() -> None:
    """
    A rule reads the metric that it names.
    """
    assert set(AlertMetric) - {AlertMetric.UNSPECIFIED} == set(VALUES)
    assert VALUES == {metric: alerts.value_of(metric, METRICS) for metric in VALUES}


HOLDS = [
    (GT, 1.1, 1.0, True),
    (GT, 1.0, 1.0, False),
    (LT, 0.9, 1.0, True),
    (LT, 1.0, 1.0, False),
    (EQ, 1.0009, 1.0, True),
    (EQ, 0.9991, 1.0, True),
    (EQ, 1.0011, 1.0, False),
]


@pytest.mark.parametrize(("operator", "value", "threshold", "expected"), HOLDS)
def test_operators_compare(operator: AlertOperator, value: float, threshold: float, expected: bool) -> None:  # noqa: FBT001
    """
    Greater, less, and equal within 0.001.
    """
    assert expected is alerts.holds(operator, value, threshold)


SEVERITIES = [
    (AlertMetric.AVG_RESPONSE_TIME, 20.1, 10.0, CRITICAL),
    (AlertMetric.AVG_RESPONSE_TIME, 20.0, 10.0, HIGH),
    (AlertMetric.AVG_RESPONSE_TIME, 15.1, 10.0, HIGH),
    (AlertMetric.AVG_RESPONSE_TIME, 15.0, 10.0, MEDIUM),
    (AlertMetric.SUCCESS_RATE, 0.39, 0.8, CRITICAL),
    (AlertMetric.SUCCESS_RATE, 0.4, 0.8, HIGH),
    (AlertMetric.SUCCESS_RATE, 0.55, 0.8, HIGH),
    (AlertMetric.SUCCESS_RATE, 0.57, 0.8, MEDIUM),
    (AlertMetric.ERROR_RATE, 0.31, 0.1, CRITICAL),
    (AlertMetric.ERROR_RATE, 0.25, 0.1, HIGH),
    (AlertMetric.ERROR_RATE, 0.15, 0.1, MEDIUM),
    (AlertMetric.QUERY_VOLUME, 1e9, 1.0, MEDIUM),
    (AlertMetric.TOTAL_INTERACTIONS, 1e9, 1.0, MEDIUM),
    (AlertMetric.DB_QUERY_TIME, 1e9, 1.0, MEDIUM),
]


@pytest.mark.parametrize(("metric", "value", "threshold", "expected"), SEVERITIES)
def test_severity_is_that_of_the_predecessor(
    metric: AlertMetric, value: float, threshold: float, expected: AlertSeverity
) -> None:
    """
    So many times the threshold is critical, fewer is high, for three of the metrics.
    """
    assert expected == alerts.severity_of(metric, value, threshold)


def rule(**changes: Any) -> AlertRule:
    """Return a rule that was never evaluated, with *changes*."""
    fields: dict[str, Any] = {
        "name": "r",
        "metric": AlertMetric.QUERY_VOLUME,
        "operator": GT,
        "threshold": 10.0,
        "enabled": True,
        "cooldown_seconds": 60.0,
        "state": OK,
        "since": None,
        "last_triggered_at": None,
        "last_evaluated_at": None,
        "last_value": None,
        "evaluations": 0,
        "firing_evaluations": 0,
        "transitions": 0,
    }
    return AlertRule(**{**fields, **changes})


def test_a_rule_cools_down_after_it_held() -> None:
    """
    It fires while it holds, then not again before the cooldown is over, counted from when it last held.
    """
    seen = []
    each = rule()
    for seconds, value in ((0, 11), (10, 12), (20, 9), (30, 11), (60, 11), (70, 11), (80, 11), (90, 1)):
        each = alerts.judge(each, value, now=NOON + timedelta(seconds=seconds))
        since = -1 if each.since is None else (each.since - NOON).total_seconds()
        seen.append((each.state.name, since, each.evaluations, each.firing_evaluations, each.transitions))

    assert [
        ("FIRING", 0, 1, 1, 1),
        ("FIRING", 0, 2, 2, 1),
        ("OK", 20, 3, 2, 2),
        ("OK", 20, 4, 2, 2),
        ("OK", 20, 5, 2, 2),
        ("FIRING", 70, 6, 3, 3),
        ("FIRING", 70, 7, 4, 3),
        ("OK", 90, 8, 4, 4),
    ] == seen
    assert NOON + timedelta(seconds=80) == each.last_triggered_at


@pytest.mark.parametrize("cooldown", [0.0, 60.0])
def test_a_clock_that_was_set_back_silences_no_rule(cooldown: float) -> None:
    """
    A rule that last held at a time that is yet to come fires when it holds.
    """
    before = rule(cooldown_seconds=cooldown, last_triggered_at=NOON)

    found = alerts.judge(before, 11, now=NOON - timedelta(days=1))

    assert (FIRING, NOON - timedelta(days=1)) == (found.state, found.last_triggered_at)


def test_an_alert_fires_is_watched_clears_and_survives_a_restart(tmp_path: Path) -> None:
    """
    What a watcher is told, what the history says and what the rule has counted agree, and outlive the server.
    """
    with running_server(tmp_path, **SELDOM) as server, Client(server.target) as client:
        watch = client.watch_alerts()
        heartbeat = next(watch)
        fail(client)
        evaluation = client.evaluate_alerts()
        fired = [next(watch), next(watch)]
        client.evaluate_alerts()
        succeed(client, 99)
        cleared = client.evaluate_alerts()
        resolved = [next(watch), next(watch)]
        history, rules = list(client.list_alerts()), client.list_alert_rules()
    with running_server(tmp_path, **SELDOM) as server, Client(server.target) as client:
        later = (list(client.list_alerts()), client.list_alert_rules())

    assert (AlertEventKind.HEARTBEAT, None) == (heartbeat.kind, heartbeat.alert)
    assert (tuple(fired), tuple(resolved)) == (evaluation.events, cleared.events)
    assert [
        (AlertEventKind.FIRED, "high_error_rate", CRITICAL, 1.0, None),
        (AlertEventKind.FIRED, "low_success_rate", CRITICAL, 0.0, None),
    ] == [summary(each) for each in fired]
    assert [
        (AlertEventKind.RESOLVED, "high_error_rate", cleared.evaluated_at),
        (AlertEventKind.RESOLVED, "low_success_rate", cleared.evaluated_at),
    ] == [(each.kind, each.alert.rule, each.alert.ended_at) for each in resolved if each.alert]
    assert [each.alert for each in reversed(resolved)] == history
    assert {("high_error_rate", 3, 2, 2), ("low_success_rate", 3, 2, 2)} <= {
        (each.name, each.evaluations, each.firing_evaluations, each.transitions) for each in rules
    }
    assert (history, rules) == later


def summary(event: AlertEvent) -> tuple[Any, ...]:
    """Return what matters of *event*."""
    assert event.alert is not None
    return event.kind, event.alert.rule, event.alert.severity, event.alert.value, event.alert.ended_at


def test_the_daemon_evaluates_by_itself() -> None:
    """
    A watcher sees an alert fire that nobody asked to be evaluated.
    """
    with running_server(alert_seconds=0.1) as server, Client(server.target) as client:
        watch = client.watch_alerts(heartbeat_seconds=60)
        next(watch)
        fail(client)

        found = next(watch)

        assert (AlertEventKind.FIRED, datetime.now(UTC).date()) == (found.kind, found.occurred_at.date())
        watch.close()  # type: ignore[attr-defined] # a generator's


def test_a_firing_alert_is_told_first_and_only_heartbeats_follow(client: Client) -> None:
    """
    Who comes late is told what is firing, and then that nothing happens.
    """
    fail(client)
    client.evaluate_alerts()

    watch = client.watch_alerts(heartbeat_seconds=0.1)
    kinds = [next(watch).kind for _ in range(5)]

    assert [AlertEventKind.FIRING] * 2 + [AlertEventKind.HEARTBEAT] * 3 == kinds


def test_an_alert_gets_worse_once_for_each_step(client: Client) -> None:
    """
    Of an alert that is firing the worst severity is kept, with the value it had then, and each step is told.
    """
    succeed(client, 9)
    fail(client, 2)
    first = client.evaluate_alerts().events
    fail(client, 30)
    second, third = client.evaluate_alerts().events, client.evaluate_alerts().events
    succeed(client, 100)
    client.evaluate_alerts()

    (error,) = client.list_alerts(rules=["high_error_rate"])
    assert [(AlertEventKind.FIRED, MEDIUM)] == [(e.kind, e.alert.severity) for e in first if e.alert]
    assert [AlertEventKind.ESCALATED, AlertEventKind.FIRED] == [each.kind for each in second]
    assert () == third
    assert (CRITICAL, oracle.close(32 / 41), None) == (error.severity, error.value, error.ended_at)


def test_a_long_history_takes_no_time_from_an_evaluation() -> None:
    """
    SQLite takes as many steps to evaluate the rules after a hundred alerts as after two.
    """
    db = SqliteDatabase(":memory:")
    schema.migrate(db)
    bad = alerts.evaluation(METRICS, now=NOON)
    good = alerts.evaluation(replace(METRICS, success_rate=1.0, error_rate=0.0), now=NOON)

    taken = []
    for _ in range(50):
        bad(db)
        good(db)
        taken.append(steps(db, good))

    assert [taken[0]] * 50 == taken
    db.close()


def steps(db: SqliteDatabase, change: Callable[[SqliteDatabase], object]) -> int:
    """Return how many steps SQLite takes for *change*."""
    taken = count()
    db.connection().set_progress_handler(lambda: next(taken) * 0, 1)
    change(db)
    db.connection().set_progress_handler(None, 1)
    return next(taken)


def test_a_rule_is_made_and_changed(client: Client) -> None:
    """
    What is given is set, what is not stays, and a rule that is not enabled is not evaluated.
    """
    made = client.set_alert_rule("slow.p-1", metric=AlertMetric.DB_QUERY_TIME, operator=GT, threshold=5)
    changed = client.set_alert_rule("slow.p-1", cooldown_seconds=30, enabled=False)
    client.evaluate_alerts()

    assert (True, 0.0, OK) == (made.enabled, made.cooldown_seconds, made.state)
    assert replace(made, cooldown_seconds=30.0, enabled=False) == changed == rule_of(client, "slow.p-1")
    assert 5 == len(client.list_alert_rules())


CHANGES: list[dict[str, Any]] = [
    {"threshold": 0.2},
    {"operator": LT},
    {"metric": AlertMetric.SUCCESS_RATE},
    {"enabled": False},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: next(iter(each)))
def test_a_change_of_what_is_watched_ends_the_alert(client: Client, change: dict[str, Any]) -> None:
    """
    An alert does not go on under other terms: it ends, which is told, and the rule is OK until it is evaluated.
    """
    fail(client)
    client.evaluate_alerts()
    watch = client.watch_alerts()
    while next(watch).kind != AlertEventKind.HEARTBEAT:
        pass

    found = client.set_alert_rule("high_error_rate", **change)
    told = next(watch)

    (alert,) = client.list_alerts(rules=["high_error_rate"])
    assert (OK, 2) == (found.state, found.transitions)
    assert (AlertEventKind.RESOLVED, alert) == (told.kind, told.alert)
    assert alert.ended_at is not None


def test_a_change_of_the_cooldown_leaves_the_alert_alone(client: Client) -> None:
    """
    What is not watched for may change while a rule is firing.
    """
    fail(client)
    client.evaluate_alerts()

    assert FIRING == client.set_alert_rule("high_error_rate", cooldown_seconds=5).state
    assert 2 == len(list(client.list_alerts(firing=True)))


NEW: dict[str, Any] = {"metric": AlertMetric.ERROR_RATE, "operator": GT, "threshold": 0.5}
BAD_RULES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("", NEW, ["name"]),
    ("Upper", NEW, ["name"]),
    ("a" * 65, NEW, ["name"]),
    ("new", {}, ["metric", "operator", "threshold"]),
    ("new", {**NEW, "metric": 99}, ["metric"]),
    ("new", {**NEW, "operator": 7, "metric": -1}, ["metric", "operator"]),
    ("new", {**NEW, "threshold": 1.1}, ["threshold"]),
    ("new", {**NEW, "threshold": -0.1}, ["threshold"]),
    ("new", {**NEW, "threshold": float("nan")}, ["threshold"]),
    ("high_query_volume", {"threshold": 2e9}, ["threshold"]),
    ("high_query_volume", {"metric": AlertMetric.SUCCESS_RATE}, ["threshold"]),
    ("new", {**NEW, "cooldown_seconds": -1.0}, ["cooldown_seconds"]),
    ("new", {**NEW, "cooldown_seconds": float("nan")}, ["cooldown_seconds"]),
    ("new", {**NEW, "cooldown_seconds": 2_592_001.0}, ["cooldown_seconds"]),
]


@pytest.mark.parametrize(("name", "fields", "expected"), BAD_RULES)
def test_a_rule_that_cannot_be_is_refused(
    asked: Client, name: str, fields: dict[str, Any], expected: list[str]
) -> None:
    """
    Unknown metric or operator, a threshold out of range, NaN: INVALID_ARGUMENT by field, and nothing changes.
    """
    before = asked.list_alert_rules()

    with pytest.raises(InvalidArgument) as caught:
        asked.set_alert_rule(name, **fields)

    assert expected == [each.field for each in caught.value.violations]
    assert before == asked.list_alert_rules()


def test_there_are_not_too_many_rules(client: Client) -> None:
    """
    The hundred-and-first rule is refused, changing one is not.
    """
    for number in range(alerts.MOST_RULES - 4):
        client.set_alert_rule(f"rule-{number}", **NEW)

    with pytest.raises(ResourceExhausted) as caught:
        client.set_alert_rule("one-more", **NEW)

    assert "TOO_MANY_RULES" == caught.value.reason
    assert 0.6 == client.set_alert_rule("rule-1", threshold=0.6).threshold


def test_history_is_listed_by_page_rule_and_window(client: Client) -> None:
    """
    The latest first, each once over all pages; by rule, by time, and only those that are firing.
    """
    for _ in range(4):
        fail(client)
        client.set_alert_rule("high_error_rate", enabled=True)
        client.evaluate_alerts()
        client.set_alert_rule("high_error_rate", enabled=False)
    whole = list(client.list_alerts())

    assert sorted(whole, key=lambda each: (each.started_at, each.alert_id), reverse=True) == whole
    assert [4, 1] == [sum(each.rule == name for each in whole) for name in ("high_error_rate", "low_success_rate")]
    assert whole == list(client.list_alerts(page_size=2))
    assert [] == list(client.list_alerts(rules=["nobody"]))
    assert ["low_success_rate"] == [each.rule for each in client.list_alerts(firing=True)]
    middle = whole[2].started_at
    assert whole[:3] == list(client.list_alerts(since=middle))
    assert whole[3:] == list(client.list_alerts(until=middle))


BAD_LISTS: list[tuple[dict[str, Any], str]] = [
    ({"since": NOON, "until": NOON}, "until"),
    ({"since": datetime(1800, 1, 1, tzinfo=UTC)}, "since"),
    ({"page_size": -1}, "page_size"),
    ({"rules": ["x"] * 1001}, "rules"),
]


@pytest.mark.parametrize(("fields", "expected"), BAD_LISTS)
def test_a_list_that_cannot_be_is_refused(asked: Client, fields: dict[str, Any], expected: str) -> None:
    """
    What is wrong with the question is named.
    """
    with pytest.raises(InvalidArgument) as caught:
        list(asked.list_alerts(**fields))

    assert [expected] == [each.field for each in caught.value.violations]


@pytest.mark.parametrize("seconds", [0.0, 0.05, 301.0, float("nan")])
def test_a_heartbeat_out_of_range_is_refused(asked: Client, seconds: float) -> None:
    """
    A heartbeat must be 0.1 to 300 seconds.
    """
    with pytest.raises(InvalidArgument) as caught:
        next(asked.watch_alerts(heartbeat_seconds=seconds))

    assert ["heartbeat_seconds"] == [each.field for each in caught.value.violations]


def test_a_watch_ends_when_the_server_stops() -> None:
    """
    A stop is not held up, and the watcher is told UNAVAILABLE: come back.
    """
    with running_server() as server:
        client = Client(server.target)
        watch = client.watch_alerts(heartbeat_seconds=300)
        next(watch)
        stopping = datetime.now(UTC)
    took = datetime.now(UTC) - stopping

    with pytest.raises(Unavailable) as caught:
        next(watch)
    client.close()

    assert ("STOPPING", 1.0) == (caught.value.reason, caught.value.retry_after)
    assert timedelta(seconds=4) > took


def test_not_everyone_can_watch(client: Client) -> None:
    """
    So many watchers are let in, and one that leaves makes room.
    """
    watches = [client.watch_alerts() for _ in range(MOST_WATCHERS)]
    for each in watches:
        next(each)

    with pytest.raises(ResourceExhausted) as caught:
        next(client.watch_alerts())
    watches.pop().close()  # type: ignore[attr-defined] # a generator's

    assert ("TOO_MANY_CALLS", 5.0) == (caught.value.reason, caught.value.retry_after)
    assert AlertEventKind.HEARTBEAT == _eventually(client).kind


def _eventually(client: Client) -> AlertEvent:
    """Return the first event of a watch, once there is room for one: a cancelled call takes a moment to end."""
    while True:
        try:
            return next(client.watch_alerts())
        except ResourceExhausted:
            continue


def test_a_watcher_that_does_not_read_is_told_so() -> None:
    """
    What a watcher has not read is bounded; then it is told to begin again, and nothing else.
    """

    async def lag() -> tuple[int, str]:
        feed: Feed[int] = Feed()
        with feed.subscribed() as watch:
            for number in range(MOST_BEHIND):
                feed.publish(number)
            first = await watch.next(within=1)
            for number in range(2):
                feed.publish(number)
            return first or 0, await reason(watch)

    assert (0, "WATCHER_TOO_SLOW") == asyncio.run(lag())


async def reason(watch: Watch[int]) -> str:
    """Return why *watch* ended."""
    with pytest.raises(ResourceExhausted) as caught:
        await watch.next(within=1)
    return caught.value.reason


def test_a_store_that_is_stopped_while_firing_goes_on_firing(tmp_path: Path) -> None:
    """
    An alert that was firing at a stop is firing after it, as the same alert, and clears there.
    """
    with running_server(tmp_path, **SELDOM) as server, Client(server.target) as client:
        fail(client)
        client.evaluate_alerts()
        before: list[Alert] = list(client.list_alerts(firing=True))
    with running_server(tmp_path, **SELDOM) as server, Client(server.target) as client:
        first = next(client.watch_alerts())
        again = client.evaluate_alerts().events
        succeed(client, 99)
        client.evaluate_alerts()

        assert (AlertEventKind.FIRING, before[-1], ()) == (first.kind, first.alert, again)
        assert [] == list(client.list_alerts(firing=True))
        assert [each.alert_id for each in before] == [each.alert_id for each in client.list_alerts()]
