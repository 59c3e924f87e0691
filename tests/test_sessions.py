"""
Sessions, as their interactions make them.
"""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from steward import Client, Interaction, InvalidArgument, NotFound
from stewardd.testing import running_server
from tests.samples import NOON, interaction, recorded


def test_a_session_sums_its_interactions_up(client: Client) -> None:
    """
    Start and last activity are the earliest and latest event, the role is that of the first recorded.
    """
    recorded(
        client,
        interaction(occurred_at=NOON, user_role="first", response_time_seconds=1.0, success=True),
        interaction(
            occurred_at=NOON - timedelta(days=1), user_role="second", response_time_seconds=None, success=False
        ),
        interaction(occurred_at=NOON + timedelta(days=1), response_time_seconds=2.0, success=None, user_rating=4.0),
    )

    found = client.get_session(session_id="session-1")

    assert ("first", NOON - timedelta(days=1), NOON + timedelta(days=1)) == (
        found.user_role,
        found.started_at,
        found.last_activity_at,
    )
    assert (3, 1, 1.5, 3, 6, 4.0, False) == (
        found.total_queries,
        found.successful_queries,
        found.mean_response_time_seconds,
        found.total_code_snippets,
        found.total_citations,
        found.mean_rating,
        found.conversion_achieved,
    )


def test_what_is_not_known_has_no_mean(client: Client) -> None:
    """
    A session without response times and ratings has no means of them, rather than 0.
    """
    client.record_interaction(interaction(response_time_seconds=None))

    found = client.get_session(session_id="session-1")

    assert (None, None) == (found.mean_response_time_seconds, found.mean_rating)


def test_sessions_agree_with_their_rows_however_they_arrive(client: Client) -> None:
    """
    Records in batches and alone, retried and rated, leave each session equal to its rows summed up in Python.
    """
    chance = random.Random(7)
    sent: list[Interaction] = [
        interaction(
            session_id=f"s-{chance.randrange(9)}",
            occurred_at=NOON + timedelta(seconds=chance.randrange(10**6)),
            response_time_seconds=chance.choice([None, chance.random() * 10]),
            success=chance.choice([None, True, False]),
            user_rating=chance.choice([None, 1.0, 3.5, 5.0]),
        )
        for _ in range(200)
    ]
    for start in range(0, 200, 40):
        recorded(client, *sent[start : start + 40], *chance.sample(sent[: start + 40], 10))
    for each in chance.sample(sent, 30):
        client.rate_interaction(each.interaction_id, chance.choice([1, 2.5, 4]))

    for found in client.list_sessions(page_size=2):
        rows = [each for each in client.list_interactions() if each.session == found.session]
        times = [each.response_time_seconds for each in rows if each.response_time_seconds is not None]
        ratings = [each.user_rating for each in rows if each.user_rating is not None]
        assert (len(rows), sum(each.success is True for each in rows)) == (
            found.total_queries,
            found.successful_queries,
        )
        assert (min(e.occurred_at for e in rows), max(e.occurred_at for e in rows)) == (
            found.started_at,
            found.last_activity_at,
        )
        assert pytest.approx(sum(times) / len(times), abs=1e-9) == found.mean_response_time_seconds
        assert pytest.approx(sum(ratings) / len(ratings), abs=1e-9) == found.mean_rating
        assert min(rows, key=lambda each: each.seq).user_role == found.user_role


def test_a_session_converts_as_the_setting_says(tmp_path: Path) -> None:
    """
    A session converts with so many interactions that were answered well with code or citations.
    """
    with running_server(tmp_path, conversion_queries=2) as server, Client(server.target) as client:
        recorded(
            client,
            interaction(session_id="yes", code_snippets_shown=0, citations_provided=1),
            interaction(session_id="yes", code_snippets_shown=1, citations_provided=0),
            interaction(session_id="no"),
            interaction(session_id="no", success=False),
            interaction(session_id="no", code_snippets_shown=0, citations_provided=0),
        )
        converted = [client.get_session(session_id=each).conversion_achieved for each in ("yes", "no")]
        rate = client.get_summary(since=NOON).sessions.conversion_rate

    assert ([True, False], 0.5) == (converted, rate)


def test_sessions_are_listed_by_their_start(client: Client) -> None:
    """
    A window chooses sessions by their start, half-open, and roles by theirs; newest first, in pages.
    """
    for number in range(10):
        recorded(
            client,
            interaction(
                session_id=f"s-{number}", occurred_at=NOON + timedelta(hours=number), user_role=f"r-{number % 2}"
            ),
            interaction(session_id=f"s-{number}", occurred_at=NOON + timedelta(days=9)),
        )

    window = client.list_sessions(since=NOON + timedelta(hours=2), until=NOON + timedelta(hours=8), page_size=2)
    even = client.list_sessions(user_roles=["r-0"], page_size=2)

    assert [7, 6, 5, 4, 3, 2] == [(each.started_at - NOON) // timedelta(hours=1) for each in window]
    assert [8, 6, 4, 2, 0] == [(each.started_at - NOON) // timedelta(hours=1) for each in even]


def test_a_session_is_found_by_either_key(client: Client) -> None:
    """
    The recorder's session id and the pseudonym of the receipt name the same session.
    """
    receipt = client.record_interaction(interaction())

    assert client.get_session(session_id="session-1") == client.get_session(session=receipt.session)


def test_a_session_that_is_not_there_is_not_found(client: Client) -> None:
    """
    An unknown session is NOT_FOUND.
    """
    for key in ({"session_id": "nobody"}, {"session": "ab" * 16}):
        with pytest.raises(NotFound) as caught:
            client.get_session(**key)
        assert "SESSION_NOT_FOUND" == caught.value.reason


@pytest.mark.parametrize(
    ("key", "field"),
    [({}, "session_id"), ({"session_id": "x" * 129}, "session_id"), ({"session": "../x"}, "session")],
)
def test_a_bad_key_is_named(client: Client, key: dict[str, str], field: str) -> None:
    """
    No key, or one that can be none, is INVALID_ARGUMENT naming the field.
    """
    with pytest.raises(InvalidArgument) as caught:
        client.get_session(**key)

    assert [field] == [each.field for each in caught.value.violations]


def test_a_window_ends_after_it_starts(client: Client) -> None:
    """
    A window that ends before it starts is refused.
    """
    with pytest.raises(InvalidArgument) as caught:
        list(client.list_sessions(since=NOON, until=NOON - timedelta(days=1)))

    assert ["until"] == [each.field for each in caught.value.violations]
