"""
The figures of a window of time, against a few lines of Python over the rows.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steward import Client, InteractionFilter, InvalidArgument
from steward.types import Insights, InteractionFigures, QueryTypeInsight, RoleInsight, RoleQueryType, SessionFigures
from stewardd.testing import running_server
from tests import oracle
from tests.samples import NOON, imported, interaction, recorded

WINDOWS = st.none() | st.tuples(oracle.OFFSETS, st.none() | st.integers(1, 400))
CHOSEN = st.none() | st.sampled_from([oracle.ROLES[0], oracle.ROLES[2], "nobody"])


def span(window: tuple[int, int | None] | None, now: datetime, *, days: int) -> tuple[Any, Any, datetime]:
    """Return what to ask for as since and until, and when the window then begins."""
    if window is None:
        return None, None, now - timedelta(days=days)
    since = now + timedelta(minutes=window[0])
    return since, None if window[1] is None else since + timedelta(hours=window[1]), since


def interaction_figures(inside: list[oracle.Row]) -> InteractionFigures:
    """Sum up the rows *inside* a window."""
    return InteractionFigures(
        total=len(inside),
        unique_sessions=len({row["session_id"] for row in inside}),
        mean_response_time_seconds=oracle.close(oracle.average(oracle.known(inside, "response_time_seconds"))),
        success_rate=oracle.close(oracle.average(oracle.known(inside, "success"))),
        mean_rating=oracle.close(oracle.average(oracle.known(inside, "user_rating"))),
        code_snippets=sum(row["code_snippets_shown"] for row in inside),
        citations=sum(row["citations_provided"] for row in inside),
    )


def session_figures(
    rows: list[oracle.Row], start: datetime, until: datetime | None, role: str | None
) -> SessionFigures:
    """Sum up the sessions that started in a window, those with an interaction there in *role* when one is given."""
    sessions = oracle.grouped(rows, "session_id").values()
    started = [
        session
        for session in sessions
        if oracle.within([min(session, key=lambda row: row["occurred_at"])], start, until)
        and (role is None or any(row["user_role"] == role for row in oracle.within(session, start, until)))
    ]
    detailed = [
        sum(bool(row["success"] and (row["code_snippets_shown"] or row["citations_provided"])) for row in session) >= 3
        for session in started
    ]
    means = (oracle.average(oracle.known(session, "response_time_seconds")) for session in started)
    return SessionFigures(
        total=len(started),
        queries_per_session=oracle.close(oracle.average(map(len, started))),
        mean_response_time_seconds=oracle.close(oracle.average(each for each in means if each is not None)),
        conversion_rate=oracle.close(oracle.average(map(float, detailed))),
    )


@given(rows=oracle.ROWS, window=WINDOWS, role=CHOSEN)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_summary_is_that_of_its_rows(
    rows: list[oracle.Row], window: tuple[int, int | None] | None, role: str | None
) -> None:
    """
    Whatever is stored and whatever is asked for, the figures are those of the rows within 1e-9.
    """
    now = datetime.now(UTC)
    placed = oracle.placed(rows, now)
    since, until, start = span(window, now, days=7)
    chosen = None if role is None else InteractionFilter(user_roles=(role,))

    with running_server() as server, Client(server.target) as client:
        client.import_interactions([[imported(number, **row) for number, row in enumerate(placed)]])
        found = client.get_summary(since=since, until=until, chosen=chosen)

    inside = [row for row in oracle.within(placed, start, until) if role is None or row["user_role"] == role]
    assert interaction_figures(inside) == found.interactions
    assert session_figures(placed, start, until, role) == found.sessions
    assert oracle.close(oracle.quality_score(placed, now)) == found.quality_score
    metrics = {name: getattr(found.metrics, name) for name in oracle.system_metrics([], now)}
    assert {name: oracle.close(each) for name, each in oracle.system_metrics(placed, now).items()} == metrics


@given(rows=oracle.ROWS, window=WINDOWS, role=CHOSEN)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_insights_are_those_of_their_rows(
    rows: list[oracle.Row], window: tuple[int, int | None] | None, role: str | None
) -> None:
    """
    By role, by type, by both, and over all: each figure is that of the rows within 1e-9, in a fixed order.
    """
    now = datetime.now(UTC)
    placed = oracle.placed(rows, now)
    since, until, start = span(window, now, days=30)
    chosen = None if role is None else InteractionFilter(user_roles=(role,))

    with running_server() as server, Client(server.target) as client:
        client.import_interactions([[imported(number, **row) for number, row in enumerate(placed)]])
        found = client.get_insights(since=since, until=until, chosen=chosen)

    inside = [row for row in oracle.within(placed, start, until) if role is None or row["user_role"] == role]
    assert insights(inside, found.since, until) == found
    assert timedelta(seconds=60) > found.since - start >= timedelta(0)


def insights(inside: list[oracle.Row], since: datetime, until: datetime | None) -> Insights:
    """Say who asked what in the rows *inside* a window."""
    seconds = oracle.known(inside, "response_time_seconds")
    by_role = oracle.grouped(inside, "user_role")
    return Insights(
        since=since,
        until=until,
        interactions=len(inside),
        min_response_time_seconds=oracle.close(min(seconds, default=None)),
        mean_response_time_seconds=oracle.close(oracle.average(seconds)),
        max_response_time_seconds=oracle.close(max(seconds, default=None)),
        mean_response_length=oracle.close(oracle.average(oracle.known(inside, "response_length"))),
        by_role=tuple(
            RoleInsight(
                user_role=name,
                interactions=len(group),
                sessions=len({row["session_id"] for row in group}),
                mean_response_time_seconds=oracle.close(oracle.average(oracle.known(group, "response_time_seconds"))),
                success_rate=oracle.close(oracle.average(oracle.known(group, "success"))),
            )
            for name, group in by_role.items()
        ),
        by_query_type=tuple(
            QueryTypeInsight(
                query_type=name,
                interactions=len(group),
                mean_response_time_seconds=oracle.close(oracle.average(oracle.known(group, "response_time_seconds"))),
                success_rate=oracle.close(oracle.average(oracle.known(group, "success"))),
            )
            for name, group in oracle.grouped(inside, "query_type").items()
        ),
        query_types_by_role=tuple(
            RoleQueryType(user_role=name, query_type=kind, interactions=len(rows))
            for name in sorted(by_role)
            for kind, rows in oracle.grouped(by_role[name], "query_type").items()
        ),
    )


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


BAD_FILTERS = [
    (InteractionFilter(min_rating=6.0), "filter.min_rating"),
    (InteractionFilter(since=NOON, until=NOON), "filter.until"),
    (InteractionFilter(text="x" * 257), "filter.text"),
]


@pytest.mark.parametrize(("chosen", "field"), BAD_FILTERS)
def test_a_bad_filter_is_named(client: Client, chosen: InteractionFilter, field: str) -> None:
    """
    What is wrong with a filter is named by its path.
    """
    for ask in (client.get_summary, client.get_insights):
        with pytest.raises(InvalidArgument) as caught:
            ask(chosen=chosen)

        assert [field] == [each.field for each in caught.value.violations]


def test_a_filters_window_narrows_the_window(client: Client) -> None:
    """
    A filter narrows the window further: both bounds hold.
    """
    recorded(client, *(interaction(occurred_at=NOON + timedelta(hours=hour)) for hour in range(4)))

    chosen = InteractionFilter(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=3))
    found = client.get_summary(since=NOON, until=NOON + timedelta(hours=2), chosen=chosen)

    assert 1 == found.interactions.total
