"""
How good the data is: the score against a few lines of Python, and everything that lowers it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steward import Client, FindingKind, FindingSeverity, InvalidArgument, QualityThresholds, RecommendationKind
from stewardd import samples
from stewardd.testing import running_server
from tests import oracle
from tests.samples import NOON, imported, interaction, recorded

NAMES = {
    FindingKind.SLOW_RESPONSE: "slow",
    FindingKind.NEGATIVE_RESPONSE_TIME: "negative",
    FindingKind.LOW_SUCCESS_RATE: "failing",
    FindingKind.BUSY_SESSION: "busy",
}


@given(
    rows=oracle.ROWS, busy=st.sampled_from([0, 0, 50, 51]), window=st.none() | st.tuples(oracle.OFFSETS, st.booleans())
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_report_is_that_of_its_rows(rows: list[oracle.Row], busy: int, window: tuple[int, bool] | None) -> None:
    """
    Whatever is stored and whatever window is asked for, score, completeness and findings are those of the rows.
    """
    now = datetime.now(UTC)
    bot = {"session_id": "bot", "user_role": "r", "query": "q", "response_time_seconds": 1.0, "success": True}
    placed = [*oracle.placed(rows, now), *({**bot, "occurred_at": now - timedelta(minutes=90)} for _ in range(busy))]
    since = None if window is None else now + timedelta(minutes=window[0])
    until = None if window is None or since is None or window[1] else since + timedelta(hours=30)

    with running_server() as server, Client(server.target) as client:
        client.import_interactions([[imported(number, **row) for number, row in enumerate(placed)]])
        found = client.get_quality_report(since=since, until=until)
        by_itself = client.get_quality_report().score

    start = now - timedelta(days=7) if since is None else since
    assert oracle.close(oracle.quality_score(placed, now)) == by_itself
    assert {field: oracle.close(oracle.completeness(placed, field)) for field in (*oracle.SCORED, "user_role")} == {
        each.field: each.completeness for each in found.completeness
    }
    assert oracle.issues(placed, start, until) == [
        NAMES[each.kind] for each in found.findings for _ in range(each.issues)
    ]
    assert (len(placed), len(oracle.within(placed, start, until))) == (found.total_interactions, found.interactions)
    assert oracle.close(0.7 * found.mean_completeness + 0.3 * max(0, 1 - 0.1 * found.issues)) == found.score


def test_an_empty_store_scores_what_the_predecessor_gave(client: Client) -> None:
    """
    Without data the score is 0.3, and nothing is found or recommended.
    """
    found = client.get_quality_report()

    assert (oracle.close(0.3), 0.0, (), ()) == (
        found.score,
        found.mean_completeness,
        found.findings,
        found.recommendations,
    )


SEEDS = (20250930, 0, 19, 28)  # the demo's first


@pytest.mark.parametrize("seed", SEEDS)
def test_the_samples_score_by_the_success_rate_of_their_last_week(client: Client, seed: int) -> None:
    """
    The demo's data scores 0.97 when the success rate of its last 7 days is below 0.8, and 1.0 when not.
    """
    now = datetime.now(UTC)
    sent = list(samples.interactions(100, now=now, seed=seed))
    recorded(client, *sent)
    week = [each.success for each in sent if each.occurred_at and each.occurred_at >= now - timedelta(days=7)]

    expected = 0.97 if sum(map(bool, week)) / len(week) < 0.8 else 1.0

    assert oracle.close(expected) == client.get_quality_report().score


def test_both_scores_of_the_samples_occur() -> None:
    """
    Among the seeds above are weeks below 0.8 and weeks that are not.
    """
    rates = set()
    for seed in SEEDS:
        sent = samples.interactions(100, now=NOON, seed=seed)
        week = [each.success for each in sent if each.occurred_at and each.occurred_at >= NOON - timedelta(days=7)]
        rates.add(sum(map(bool, week)) / len(week) < 0.8)

    assert {True, False} == rates


def test_each_finding_says_what_is_wrong(client: Client) -> None:
    """
    Kind, severity, count and a sentence with the figures, for each of the four.
    """
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {"response_time_seconds": 301.0},
        {"response_time_seconds": 400.5},
        {"response_time_seconds": -1.0},
        *({"success": False} for _ in range(20)),
        *({"session_id": "bot"} for _ in range(51)),
    ]
    client.import_interactions([[imported(n, **{"occurred_at": now, **row}) for n, row in enumerate(rows)]])

    slow, negative, failing, busy = client.get_quality_report().findings

    assert (FindingKind.SLOW_RESPONSE, FindingSeverity.ANOMALY, 2) == (slow.kind, slow.severity, slow.count)
    assert "2 of 74 responses took longer than 300 s, the slowest 400.5 s" == slow.message
    assert (FindingKind.NEGATIVE_RESPONSE_TIME, FindingSeverity.ERROR, 1) == (
        negative.kind,
        negative.severity,
        negative.count,
    )
    assert (FindingKind.LOW_SUCCESS_RATE, FindingSeverity.WARNING, 20) == (
        failing.kind,
        failing.severity,
        failing.count,
    )
    assert "20 interactions were not answered well" in failing.message
    assert (FindingKind.BUSY_SESSION, 1, 1) == (busy.kind, busy.count, busy.issues)
    assert (client.get_session(session_id="bot").session,) == busy.sessions
    assert "1 session has more than 50 interactions, the busiest 51: bots?" == busy.message


def test_more_than_ten_issues_cost_no_more_than_ten(client: Client) -> None:
    """
    Eleven busy sessions are eleven issues, of which the ten busiest are named, and take 0.3 off.
    """
    now = datetime.now(UTC)
    rows = [imported(n, session_id=f"bot {n % 11}", occurred_at=now) for n in range(11 * 51)]
    client.import_interactions([rows])

    found = client.get_quality_report()

    assert (11, oracle.close(0.7), 10) == (found.issues, found.score, len(found.findings[0].sessions))


def test_recommendations_follow_from_what_was_found(client: Client) -> None:
    """
    A low score, each incomplete field, errors and anomalies are recommended to be looked at.
    """
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {"response_time_seconds": 500.0, "success": None},
        {"response_time_seconds": -1.0, "success": False},
        {"response_time_seconds": None, "success": None, "query": ""},
        {"response_time_seconds": None, "success": None, "query": "", "user_role": ""},
    ]
    client.import_interactions([[imported(n, **{"occurred_at": now, **row}) for n, row in enumerate(rows)]])

    found = client.get_quality_report()

    assert [
        (RecommendationKind.LOW_SCORE, ""),
        (RecommendationKind.INCOMPLETE_FIELD, "query"),
        (RecommendationKind.INCOMPLETE_FIELD, "response_time_seconds"),
        (RecommendationKind.INCOMPLETE_FIELD, "success"),
        (RecommendationKind.INCOMPLETE_FIELD, "user_role"),
        (RecommendationKind.ERRORS, ""),
        (RecommendationKind.ANOMALIES, ""),
    ] == [(each.kind, each.field) for each in found.recommendations]
    assert all(each.message for each in found.recommendations)


def test_an_interaction_sent_twice_counts_once(client: Client) -> None:
    """
    Duplicates change no share.
    """
    bad, good = interaction(success=None), interaction()
    recorded(client, bad, good, bad, bad)

    assert [0.5] == [each.completeness for each in client.get_quality_report().completeness if each.field == "success"]


def test_thresholds_are_kept_in_the_store(tmp_path: Path) -> None:
    """
    What is set stays over a restart, what is not given stays as it was, and the report goes by it.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        assert QualityThresholds() == client.get_quality_thresholds()
        client.set_quality_thresholds(max_response_time_seconds=2.0)
        client.set_quality_thresholds(min_success_rate=0.5)
        recorded(client, interaction(response_time_seconds=3.0, occurred_at=None))
    with running_server(tmp_path) as server, Client(server.target) as client:
        expected = QualityThresholds(max_response_time_seconds=2.0, min_success_rate=0.5)

        assert expected == client.get_quality_thresholds() == client.set_quality_thresholds()
        assert [FindingKind.SLOW_RESPONSE] == [each.kind for each in client.get_quality_report().findings]
        assert expected == client.get_quality_report().thresholds


BAD = [
    ("completeness_threshold", -0.1),
    ("completeness_threshold", 1.1),
    ("completeness_threshold", float("nan")),
    ("min_success_rate", 2.0),
    ("min_success_rate", float("inf")),
    ("max_response_time_seconds", 0.0),
    ("max_response_time_seconds", -1.0),
    ("max_response_time_seconds", float("nan")),
    ("max_response_time_seconds", float("inf")),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_threshold_out_of_range_is_refused(asked: Client, name: str, value: float) -> None:
    """
    A bad threshold is INVALID_ARGUMENT naming its field, and changes nothing, not even the good one beside it.
    """
    good = {"min_success_rate": 0.5} if name != "min_success_rate" else {"completeness_threshold": 0.5}

    with pytest.raises(InvalidArgument) as caught:
        asked.set_quality_thresholds(**{name: value, **good})

    assert [name] == [each.field for each in caught.value.violations]
    assert QualityThresholds() == asked.get_quality_thresholds()


BAD_WINDOWS = [
    (NOON, NOON, "until"),
    (NOON, NOON - timedelta(days=1), "until"),
    (None, datetime(1960, 1, 1, tzinfo=UTC), "until"),
    (datetime(1900, 1, 1, tzinfo=UTC), NOON, "since"),
    (datetime(1900, 1, 1, tzinfo=UTC), None, "since"),
]


@pytest.mark.parametrize(("since", "until", "field"), BAD_WINDOWS)
def test_a_window_that_is_none_is_refused(
    asked: Client, since: datetime | None, until: datetime | None, field: str
) -> None:
    """
    A window that ends before it starts, starts before time does or is over 100 years is named.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.get_quality_report(since=since, until=until)

    assert [field] == [each.field for each in caught.value.violations]
