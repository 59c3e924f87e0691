"""
The figures of a window of time, against a few lines of Python over the rows.
"""

from datetime import UTC, datetime, timedelta
from statistics import mean
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steward import Client, InvalidArgument
from steward.types import InteractionFigures, SessionFigures, Summary
from stewardd.testing import running_server
from tests.samples import NOON, interaction, recorded

INTERACTIONS = st.lists(
    st.fixed_dictionaries(
        {
            "session_id": st.sampled_from(["a", "b", "c"]),
            "occurred_at": st.integers(-20, 20).map(lambda hours: NOON + timedelta(hours=hours)),
            "response_time_seconds": st.none() | st.floats(0, 1e6),
            "success": st.none() | st.booleans(),
            "user_rating": st.none() | st.floats(1, 5),
            "code_snippets_shown": st.integers(0, 9),
            "citations_provided": st.integers(0, 9),
        }
    ),
    max_size=12,
)


def average(values: Any) -> float | None:
    """Return the mean of those of *values* that are known, None without any."""
    known = [float(each) for each in values if each is not None]
    return mean(known) if known else None


def close(expected: float | None) -> Any:
    """Return what is equal to *expected* within 1e-9."""
    return None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9)


def oracle(rows: list[dict[str, Any]], since: datetime, until: datetime | None) -> Summary:
    """Sum *rows* up, without a database."""
    inside = [row for row in rows if since <= row["occurred_at"] and (until is None or row["occurred_at"] < until)]
    sessions = [[row for row in rows if row["session_id"] == name] for name in {row["session_id"] for row in rows}]
    started = [
        session
        for session in sessions
        if since <= (start := min(row["occurred_at"] for row in session)) and (until is None or start < until)
    ]
    detailed = [
        sum(1 for row in s if row["success"] and (row["code_snippets_shown"] or row["citations_provided"])) >= 3
        for s in started
    ]
    return Summary(
        since=since,
        until=until,
        interactions=InteractionFigures(
            total=len(inside),
            unique_sessions=len({row["session_id"] for row in inside}),
            mean_response_time_seconds=close(average(row["response_time_seconds"] for row in inside)),
            success_rate=close(average(row["success"] for row in inside)),
            mean_rating=close(average(row["user_rating"] for row in inside)),
            code_snippets=sum(row["code_snippets_shown"] for row in inside),
            citations=sum(row["citations_provided"] for row in inside),
        ),
        sessions=SessionFigures(
            total=len(started),
            queries_per_session=close(average(map(len, started))),
            mean_response_time_seconds=close(
                average(average(row["response_time_seconds"] for row in session) for session in started)
            ),
            conversion_rate=close(average(detailed)),
        ),
    )


@given(rows=INTERACTIONS, hours=st.tuples(st.integers(-25, 20), st.none() | st.integers(1, 30)))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_summary_is_that_of_its_rows(rows: list[dict[str, Any]], hours: tuple[int, int | None]) -> None:
    """
    Whatever is recorded and whatever window is asked for, the figures are those of the rows within 1e-9.
    """
    since = NOON + timedelta(hours=hours[0])
    until = None if hours[1] is None else since + timedelta(hours=hours[1])

    with running_server() as server, Client(server.target) as client:
        if rows:
            recorded(client, *(interaction(**row) for row in rows))
        found = client.get_summary(since=since, until=until)

    assert oracle(rows, since, until) == found


def test_an_empty_request_sums_the_last_week_up(client: Client) -> None:
    """
    Without a window it is the last 7 days without end: what is dated ahead counts, what is older does not.
    """
    now = datetime.now(UTC)
    ages = [timedelta(days=8), timedelta(days=6), -timedelta(hours=1)]
    recorded(client, *(interaction(occurred_at=now - age) for age in ages))

    found = client.get_summary()

    assert 2 == found.interactions.total
    assert timedelta(seconds=59) > found.since - (now - timedelta(days=7)) >= timedelta(0)
    assert found.until is None


def test_an_empty_store_has_no_data(client: Client) -> None:
    """
    Where there is nothing, counts are 0 and means are unknown.
    """
    found = client.get_summary()

    assert (0, None, None) == (
        found.interactions.total,
        found.interactions.success_rate,
        found.interactions.mean_response_time_seconds,
    )
    assert (0, None) == (found.sessions.total, found.sessions.queries_per_session)


def test_until_alone_means_the_week_before_it(client: Client) -> None:
    """
    With an end and no start, the window is the 7 days before the end.
    """
    assert NOON - timedelta(days=7) == client.get_summary(until=NOON).since


def test_a_window_cannot_start_before_time_does(client: Client) -> None:
    """
    An end before 1970, without a start to go with it, is refused by name.
    """
    with pytest.raises(InvalidArgument) as caught:
        client.get_summary(until=datetime(1, 1, 3, tzinfo=UTC))

    assert ["until"] == [each.field for each in caught.value.violations]


@pytest.mark.parametrize("until", [NOON, NOON - timedelta(seconds=1)])
def test_a_window_ends_after_it_starts(client: Client, until: datetime) -> None:
    """
    A window that ends at or before its start is refused.
    """
    with pytest.raises(InvalidArgument) as caught:
        client.get_summary(since=NOON, until=until)

    assert ["until"] == [each.field for each in caught.value.violations]
