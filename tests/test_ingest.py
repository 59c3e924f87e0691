"""
Recording, rating, getting and listing interactions.
"""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from steward import Client, InteractionFilter, InvalidArgument, NotFound, Receipt, Rejection, ids
from steward.types import LIMITS, RecordedInteraction
from stewardd.testing import running_server
from tests.samples import NOON, interaction, recorded

TOO_LONG = "x" * 129


def test_what_is_recorded_can_be_got(client: Client) -> None:
    """
    An interaction comes back as it was sent, under the pseudonym of its session.
    """
    sent = interaction(success=None, user_rating=4.5, follow_up_query=True, conversation_turn=3)

    receipt = client.record_interaction(sent)

    expected = RecordedInteraction(
        seq=1,
        interaction_id=sent.interaction_id,
        session=receipt.session,
        occurred_at=NOON,
        recorded_at=receipt.recorded_at,
        user_role="Software Developer",
        query="How does the RAG engine work?",
        query_type="technical",
        response_time_seconds=1.5,
        response_length=900,
        code_snippets_shown=1,
        citations_provided=2,
        success=None,
        user_rating=4.5,
        follow_up_query=True,
        conversation_turn=3,
    )
    assert expected == client.get_interaction(sent.interaction_id)


def test_a_retry_is_stored_and_counted_once(client: Client) -> None:
    """
    Sending an interaction again, alone, in a batch, twice in one batch or in capitals, changes nothing, and says so.
    """
    sent = interaction()
    first = client.record_interaction(sent)

    again = [
        client.record_interaction(sent),
        *recorded(client, sent, sent),
        client.record_interaction(interaction(interaction_id=sent.interaction_id.upper())),
    ]

    assert [(first.seq, first.recorded_at, True)] * 4 == [(a.seq, a.recorded_at, a.already_stored) for a in again]
    assert 1 == len(list(client.list_interactions()))
    assert 1 == client.get_session(session_id="session-1").total_queries


def test_twins_in_one_batch_are_stored_once(client: Client) -> None:
    """
    Of two interactions with one id in one batch, the first is stored.
    """
    sent = interaction(query="first")

    first, second = recorded(client, sent, interaction(interaction_id=sent.interaction_id, query="second"))

    assert (first.seq, False, True) == (second.seq, first.already_stored, second.already_stored)
    assert "first" == client.get_interaction(sent.interaction_id).query


def test_an_interaction_without_a_time_occurs_when_it_is_recorded(client: Client) -> None:
    """
    Unset occurred_at is the time of recording.
    """
    receipt = client.record_interaction(interaction(occurred_at=None))

    assert receipt.recorded_at == client.get_interaction(receipt.interaction_id).occurred_at


def test_a_bad_interaction_keeps_no_other_out(client: Client) -> None:
    """
    Of a batch with one bad interaction, the others are stored, and the outcomes are in order.
    """
    outcomes = client.record_interactions([interaction(), interaction(response_time_seconds=-1.0), interaction()])

    assert [Receipt, Rejection, Receipt] == [type(each) for each in outcomes]
    assert 2 == client.get_session(session_id="session-1").total_queries


def test_all_or_nothing_stores_nothing_when_one_is_bad(client: Client) -> None:
    """
    With all_or_nothing, a bad interaction fails the call, which names it, and nothing is stored.
    """
    with pytest.raises(InvalidArgument) as caught:
        client.record_interactions([interaction(), interaction(query="", user_role="")], all_or_nothing=True)

    assert ["interactions[1].user_role", "interactions[1].query"] == [v.field for v in caught.value.violations]
    assert [] == list(client.list_interactions())


def test_of_many_violations_the_first_are_told(client: Client) -> None:
    """
    A batch that is bad throughout is refused as such: the status stays within what gRPC lets pass.
    """
    with pytest.raises(InvalidArgument) as caught:
        client.record_interactions([interaction(query="", user_role="")] * 1000, all_or_nothing=True)

    assert (20, "INVALID_FIELD") == (len(caught.value.violations), caught.value.reason)
    assert "(and 1999 more)" in caught.value.message


BAD: list[tuple[str, Any]] = [
    ("interaction_id", ""),
    ("interaction_id", TOO_LONG),
    ("interaction_id", "0190163d-8694-439b-aea5-966c26f8ad91"),  # version 4
    ("interaction_id", "0190163d86947739baea5966c26f8ad91"),  # without hyphens
    ("session_id", ""),
    ("session_id", TOO_LONG),
    ("session_id", "a\0b"),
    ("user_role", ""),
    ("user_role", "ä" * 65),
    ("user_role", "a\0b"),
    ("query", ""),
    ("query", "x" * (LIMITS.text_bytes + 1)),
    ("query", "\N{GRINNING FACE}" * (LIMITS.text_bytes // 4 + 1)),
    ("query", "a\0b"),
    ("query_type", TOO_LONG),
    ("query_type", "\0"),
    ("response_time_seconds", -0.001),
    ("response_time_seconds", math.nan),
    ("response_time_seconds", math.inf),
    ("response_time_seconds", -math.inf),
    ("response_time_seconds", 1.1e9),
    ("response_time_seconds", 1.7e308),
    ("response_length", -1),
    ("response_length", 2**63 - 1),
    ("code_snippets_shown", 10**9 + 1),
    ("citations_provided", 2**63 - 1),
    ("conversation_turn", 2**63 - 1),
    ("code_snippets_shown", -1),
    ("citations_provided", -1),
    ("conversation_turn", 0),
    ("user_rating", 0.9),
    ("user_rating", 5.1),
    ("user_rating", math.nan),
    ("occurred_at", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("occurred_at", datetime.now(UTC) + timedelta(days=2)),
    ("occurred_at", datetime(9999, 12, 31, tzinfo=UTC)),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=[field for field, _ in BAD])
def test_a_bad_field_is_named_with_its_rule(client: Client, field: str, value: Any) -> None:
    """
    A field that breaks a rule is INVALID_ARGUMENT naming the field and its rule, alone and in a batch.
    """
    bad = interaction(**{field: value})

    with pytest.raises(InvalidArgument) as caught:
        client.record_interaction(bad)
    (outcome,) = client.record_interactions([bad])

    assert isinstance(outcome, Rejection)
    assert {f"interaction.{field}"} == {each.field for each in caught.value.violations}
    assert {field} == {each.field for each in outcome.violations}
    assert all(each.rule.startswith("must ") for each in outcome.violations)
    assert "INVALID_FIELD" == caught.value.reason


LOCAL: list[tuple[str, Any]] = [
    ("query", "unpaired \ud800"),
    ("session_id", "\udfff"),
    ("query", 5),
    ("occurred_at", "2025-09-30"),
    ("response_length", 2**63),
    ("occurred_at", datetime(2025, 9, 30)),  # noqa: DTZ001 -- naive on purpose
]


@pytest.mark.parametrize(("field", "value"), LOCAL, ids=lambda each: ascii(each)[:20])
def test_what_no_message_can_hold_is_refused_by_the_client(client: Client, field: str, value: Any) -> None:
    """
    A value that cannot be sent is InvalidArgument naming the field, without a call.
    """
    with pytest.raises(InvalidArgument) as caught:
        client.record_interaction(interaction(**{field: value}))

    assert [field] == [each.field for each in caught.value.violations]


@pytest.mark.parametrize(
    "value", ["x" * LIMITS.text_bytes, "\N{GRINNING FACE}" * (LIMITS.text_bytes // 4), "\ufeff\u202e \t\n"]
)
def test_texts_up_to_the_limit_come_back_byte_for_byte(client: Client, value: str) -> None:
    """
    A text of 64 KiB, of wide or odd characters, is stored as it is.
    """
    receipt = client.record_interaction(interaction(query=value))

    assert value == client.get_interaction(receipt.interaction_id).query


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_1_to_1000_interactions(client: Client, count: int) -> None:
    """
    No interactions, or more than 1000, are refused.
    """
    with pytest.raises(InvalidArgument) as caught:
        client.record_interactions([interaction()] * count)

    assert ["interactions"] == [each.field for each in caught.value.violations]


def test_a_batch_of_1000_is_stored(client: Client) -> None:
    """
    A full batch is taken, and its order is the order of arrival.
    """
    receipts = recorded(client, *(interaction(session_id=f"s-{number % 77}") for number in range(1000)))

    assert list(range(1, 1001)) == [each.seq for each in receipts]
    assert 77 == len(list(client.list_sessions()))


def test_a_rating_can_be_given_and_changed(client: Client) -> None:
    """
    A rating takes the place of an earlier one, in the interaction and in its session's mean.
    """
    first, _ = recorded(client, interaction(), interaction(user_rating=2.0))

    rated = client.rate_interaction(first.interaction_id, 5)
    changed = client.rate_interaction(first.interaction_id, 3)

    assert (5.0, 3.0) == (rated.user_rating, changed.user_rating)
    assert 2.5 == client.get_session(session_id="session-1").mean_rating


@pytest.mark.parametrize("rating", [0, 5.01, math.nan, math.inf])
def test_a_rating_is_1_to_5(client: Client, rating: float) -> None:
    """
    A rating outside of 1 to 5 is refused.
    """
    receipt = client.record_interaction(interaction())

    with pytest.raises(InvalidArgument) as caught:
        client.rate_interaction(receipt.interaction_id, rating)

    assert ["user_rating"] == [each.field for each in caught.value.violations]


def test_what_is_not_there_is_not_found(client: Client) -> None:
    """
    Getting or rating an interaction that was never recorded is NOT_FOUND; an id that is none is INVALID_ARGUMENT.
    """
    for call in (client.get_interaction, lambda each: client.rate_interaction(each, 3)):
        with pytest.raises(NotFound) as missing:
            call(ids.mint())
        with pytest.raises(InvalidArgument) as bad:
            call("no-id")
        assert "INTERACTION_NOT_FOUND" == missing.value.reason
        assert ["interaction_id"] == [each.field for each in bad.value.violations]


def test_a_failed_change_undoes_no_neighbour(client: Client) -> None:
    """
    After a rating that fails, the store goes on as before.
    """
    with pytest.raises(NotFound):
        client.rate_interaction(ids.mint(), 3)

    assert 1 == client.record_interaction(interaction()).seq


def test_lists_are_newest_first_and_paged(client: Client) -> None:
    """
    Pages of a list, put together, are the whole list: by time, then by arrival, nothing twice and nothing missed.
    """
    times = [NOON + timedelta(minutes=number % 7) for number in range(50)]
    receipts = recorded(client, *(interaction(occurred_at=time) for time in times))

    found = list(client.list_interactions(page_size=7))

    expected = sorted(zip(times, (each.seq for each in receipts), strict=True), reverse=True)
    assert expected == [(each.occurred_at, each.seq) for each in found]


FILTERS: list[tuple[InteractionFilter, set[int]]] = [
    (InteractionFilter(), {0, 1, 2, 3}),
    (InteractionFilter(since=NOON + timedelta(hours=1)), {1, 2, 3}),
    (InteractionFilter(until=NOON + timedelta(hours=1)), {0}),
    (InteractionFilter(since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=2)), {1}),
    (InteractionFilter(user_roles=("A", "B")), {0, 1}),
    (InteractionFilter(user_roles=("nobody",)), set()),
    (InteractionFilter(query_types=("fun",)), {1, 3}),
    (InteractionFilter(session_id="s-2"), {2}),
    (InteractionFilter(success=True), {0, 1}),
    (InteractionFilter(success=False), {2}),
    (InteractionFilter(min_rating=3), {2, 3}),
    (InteractionFilter(max_rating=3), {1, 2}),
    (InteractionFilter(text="QUESTION 100%"), {0}),
    (InteractionFilter(text="_"), {3}),
    (InteractionFilter(text="' OR 1=1 --"), set()),
    (InteractionFilter(user_roles=("A", "C"), success=False, text="question"), {2}),
]


@pytest.mark.parametrize(("chosen", "expected"), FILTERS)
def test_a_filter_chooses(client: Client, chosen: InteractionFilter, expected: set[int]) -> None:
    """
    Each field of a filter narrows, and together they narrow more; text is taken as it is written.
    """
    fields: list[dict[str, Any]] = [
        {"user_role": "A", "query": "question 100% sure", "success": True},
        {"user_role": "B", "query": "question 100 of", "query_type": "fun", "success": True, "user_rating": 1},
        {"user_role": "C", "query": "question", "success": False, "user_rating": 3},
        {"user_role": "D", "query": "snake_case", "query_type": "fun", "success": None, "user_rating": 5},
    ]
    receipts = recorded(
        client,
        *(
            interaction(session_id=f"s-{number}", occurred_at=NOON + timedelta(hours=number), **each)
            for number, each in enumerate(fields)
        ),
    )

    found = {each.interaction_id for each in client.list_interactions(chosen)}

    assert {receipts[number].interaction_id for number in expected} == found


def test_a_session_is_chosen_by_its_pseudonym_too(client: Client) -> None:
    """
    The pseudonym of a receipt chooses the session's interactions, in capitals too.
    """
    receipt, _ = recorded(client, interaction(), interaction(session_id="other"))

    chosen = InteractionFilter(session=receipt.session.upper())

    assert [receipt.interaction_id] == [each.interaction_id for each in client.list_interactions(chosen)]


BAD_FILTERS = [
    (InteractionFilter(since=NOON, until=NOON), "until"),
    (InteractionFilter(min_rating=0), "min_rating"),
    (InteractionFilter(max_rating=math.nan), "max_rating"),
    (InteractionFilter(user_roles=("x" * 129,)), "user_roles"),
    (InteractionFilter(query_types=("\0",)), "query_types"),
    (InteractionFilter(session_id=""), "session_id"),
    (InteractionFilter(session="not hex"), "session"),
    (InteractionFilter(text="\0"), "text"),
    (InteractionFilter(text="x" * 257), "text"),
]


@pytest.mark.parametrize(("chosen", "field"), BAD_FILTERS)
def test_a_bad_filter_is_named(client: Client, chosen: InteractionFilter, field: str) -> None:
    """
    A filter that makes no sense is INVALID_ARGUMENT naming its field.
    """
    with pytest.raises(InvalidArgument) as caught:
        list(client.list_interactions(chosen))

    assert [f"filter.{field}"] == [each.field for each in caught.value.violations]


def test_what_a_server_knew_it_knows_after_a_restart(tmp_path: Path) -> None:
    """
    What was acknowledged is there after a restart, sequence numbers go on, and a retry is still known.
    """
    sent = interaction()
    with running_server(tmp_path) as server, Client(server.target) as client:
        first = client.record_interaction(sent)

    with running_server(tmp_path) as server, Client(server.target) as client:
        again = client.record_interaction(sent)
        later = client.record_interaction(interaction())

    assert (first.seq, True, first.seq + 1) == (again.seq, again.already_stored, later.seq)
