"""
What content is used, against a few lines of Python over the accesses.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward import Client, ContentAccess, ContentItem, ContentReport, ContentType, InvalidArgument, ids
from stewardd.testing import running_server
from tests.oracle import MODEST, average, close, in_order, inside, needs_the_real_file, real_rows
from tests.samples import NOON

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
ROLES = ("", "A", "AA", 'A"', "a", "Ä", 'a "b"', "A\nB", '\n"A"', '["A"]', "A\\", "100%", "_", "null")
KINDS = ("project", "Project", "préface", '{"a": 1}', "two\nlines")
NAMES = ("one", "two", "'; --", '"three"', "ONE")

TIMES = st.sampled_from([-400 * 24, -4, -3, -2, -1, 0, 1, 23]).map(lambda hours: NOW + hours * HOUR)
SCORES = st.none() | st.floats(-1e9, 1e9) | st.sampled_from([0.0, 0.5, 1e9, -1e9])
ACCESSES = st.lists(
    st.builds(
        ContentAccess,
        content_type=st.sampled_from(KINDS[:2]) | st.sampled_from(KINDS),
        content_id=st.sampled_from(NAMES[:2]) | st.sampled_from(NAMES),
        user_role=st.sampled_from(ROLES),
        relevance_score=SCORES,
        engagement_score=SCORES,
        effectiveness_score=SCORES,
        metadata=st.dictionaries(st.text("ab\n\"'é", min_size=1, max_size=3), st.text('x\\"{', max_size=3), max_size=3),
        occurred_at=TIMES,
    ),
    max_size=14,
)
SPANS = st.tuples(st.none() | TIMES, st.none() | TIMES).filter(in_order)
ASKS = st.lists(
    st.tuples(
        SPANS,
        st.just(()) | st.lists(st.sampled_from([*ROLES[1:], "nobody"]), max_size=3).map(tuple),
        st.just(()) | st.lists(st.sampled_from([*KINDS, "nothing"]), max_size=3).map(tuple),
        st.none() | st.sampled_from([1, 2, 1000]),
    ),
    min_size=1,
    max_size=6,
)


def access(**changes: Any) -> ContentAccess:
    """Return a good access, with *changes*."""
    fields: dict[str, Any] = {"content_type": "project", "content_id": "one", "occurred_at": NOON}
    return ContentAccess(**{**fields, **changes})


def means(rows: Sequence[ContentAccess]) -> dict[str, Any]:
    """Return the mean scores of *rows*."""
    names = ("relevance_score", "engagement_score", "effectiveness_score")
    return {f"mean_{name}": close(average(getattr(row, name) for row in rows)) for name in names}


def last(rows: Sequence[ContentAccess]) -> datetime:
    """Return the latest time of *rows*."""
    return max(row.occurred_at for row in rows if row.occurred_at)


def oracle(rows: Sequence[ContentAccess], limit: int | None) -> ContentReport:
    """Report on *rows*, without a database."""
    items, types = defaultdict(list), defaultdict(list)
    for row in rows:
        items[row.content_type, row.content_id].append(row)
        types[row.content_type].append(row)
    shown = [
        ContentItem(
            content_type=kind,
            content_id=name,
            accesses=len(group),
            user_roles=tuple(sorted({row.user_role for row in group} - {""})),
            last_access_at=last(group),
            **means(group),
        )
        for (kind, name), group in sorted(items.items(), key=lambda each: (-len(each[1]), each[0]))
    ]
    of_items = {key: average(row.relevance_score for row in group) for key, group in items.items()}
    kinds = [
        ContentType(
            content_type=kind,
            items=len({row.content_id for row in group}),
            accesses=len(group),
            last_access_at=last(group),
            **{
                **means(group),
                "mean_relevance_score": close(average(mean for key, mean in of_items.items() if key[0] == kind)),
            },
        )
        for kind, group in sorted(types.items(), key=lambda each: (-len(each[1]), each[0]))
    ]
    return ContentReport(items=tuple(shown[: 10 if limit is None else limit]), types=tuple(kinds))


@given(rows=ACCESSES, asks=ASKS)
@MODEST
def test_a_report_is_that_of_its_accesses(rows: list[ContentAccess], asks: list[Any]) -> None:
    """
    Whatever is recorded, some of it twice, and whatever is asked for, the report is that of the rows.
    """
    with running_server() as server, Client(server.target) as client:
        for row in [*rows, *rows[::3]]:
            client.record_content_access(row)
        for (since, until), roles, kinds, limit in asks:
            found = client.get_content_report(
                since=since, until=until, user_roles=roles, content_types=kinds, limit=limit
            )

            chosen = [
                row
                for row in rows
                if row.occurred_at
                and inside(row.occurred_at, since, until)
                and (not roles or row.user_role in roles)
                and (not kinds or row.content_type in kinds)
            ]
            assert oracle(chosen, limit) == found


@needs_the_real_file
def test_content_used_as_in_the_real_file_is_reported(client: Client) -> None:
    """
    Of accesses at the times and in the roles of the real file's rows, the report is that of the rows.
    """
    rows = [
        access(
            content_type=row.query_type,
            content_id=row.query,
            user_role=row.user_role,
            relevance_score=row.response_time_seconds,
            engagement_score=row.user_rating,
            effectiveness_score=float(row.citations_provided) if row.success else None,
            occurred_at=row.occurred_at,
        )
        for row in real_rows()
    ]
    for row in rows:
        client.record_content_access(row)

    assert oracle(rows, 10) == client.get_content_report()
    for role in {row.user_role for row in rows}:
        of_role = [row for row in rows if row.user_role == role]
        assert oracle(of_role, 1000) == client.get_content_report(user_roles=[role], limit=1000)


def test_an_empty_request_of_an_empty_store_is_answered(asked: Client) -> None:
    """
    Without arguments and without data the report is empty.
    """
    assert ContentReport(items=(), types=()) == asked.get_content_report()


def test_a_role_or_kind_that_nobody_has_is_no_error(client: Client) -> None:
    """
    A filter that chooses nothing gives an empty report.
    """
    client.record_content_access(access(user_role="A"))

    filters: list[dict[str, Any]] = [{"user_roles": ["nobody"]}, {"content_types": ["nothing"]}]
    for chosen in filters:
        assert ContentReport(items=(), types=()) == client.get_content_report(**chosen)


def test_a_thousand_roles_and_kinds_may_be_asked_for(client: Client) -> None:
    """
    Filters of the greatest number of labels choose what has one of them.
    """
    client.record_content_access(access(user_role="role 999"))
    client.record_content_access(access(user_role="role 1000"))

    found = client.get_content_report(
        user_roles=[f"role {number}" for number in range(1000)],
        content_types=["project", *(f"kind {number}" for number in range(999))],
    )

    assert [("role 999",)] == [each.user_roles for each in found.items]


def test_an_access_without_a_time_is_used_when_it_is_recorded(client: Client) -> None:
    """
    Unset occurred_at is the time of recording.
    """
    receipt = client.record_content_access(access(occurred_at=None))

    assert [receipt.recorded_at] == [each.last_access_at for each in client.get_content_report().items]


def test_an_access_sent_twice_is_stored_once(client: Client) -> None:
    """
    Sent again, in capitals or with other content, it is the first that is stored, and the receipt says since when.
    """
    sent = access(relevance_score=1.0)
    first = client.record_content_access(sent)

    again = [
        client.record_content_access(sent),
        client.record_content_access(replace(sent, access_id=sent.access_id.upper(), relevance_score=9.0)),
    ]

    assert (sent.access_id, False) == (first.record_id, first.already_stored)
    assert [replace(first, already_stored=True)] * 2 == again
    assert [(1, 1.0)] == [(each.accesses, each.mean_relevance_score) for each in client.get_content_report().items]


def test_items_beyond_the_limit_count_in_their_kinds(client: Client) -> None:
    """
    An empty request shows 10 items of 11, and the kind counts all of them.
    """
    for number in range(11):
        client.record_content_access(access(content_id=f"item {number:02}"))

    found = client.get_content_report()

    assert [f"item {number:02}" for number in range(10)] == [each.content_id for each in found.items]
    assert [(11, 11)] == [(each.items, each.accesses) for each in found.types]


RAW = ("jo@example.com", "kim@example.org", "123-45-6789", "555-123-4567", "4111 1111 1111 1111", "192.168.10.20")


def test_every_text_of_an_access_is_redacted(tmp_path: Path) -> None:
    """
    Of kind, id, role and the names and values of metadata, nothing personal is shown, or is in the file.
    """
    email, other, number, phone, card, address = RAW
    sent = access(
        content_type=f"of {email}",
        content_id=f"by {number}",
        user_role=f"at {address}",
        metadata={f"call {phone}": f"write to {other}", "paid": f"with {card} of {email}"},
    )

    with running_server(tmp_path) as server, Client(server.target) as client:
        receipt = client.record_content_access(sent)
        (item,) = client.get_content_report().items
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert {"EMAIL": 3, "SSN": 1, "PHONE": 1, "CARD": 1, "IP": 1} == receipt.redactions
    assert ("of [EMAIL_REDACTED]", "by [SSN_REDACTED]", ("at [IP_REDACTED]",)) == (
        item.content_type,
        item.content_id,
        item.user_roles,
    )
    assert b"call [PHONE_REDACTED]" in content
    assert b"with [CARD_REDACTED] of [EMAIL_REDACTED]" in content
    assert [] == [text for text in RAW if text.encode() in content]


SHORT, LONG, WIDE = "x" * 128, "x" * 129, "ä" * 65
BAD: list[tuple[dict[str, Any], str]] = [
    ({"access_id": ""}, "access_id"),
    ({"access_id": "0190163d-8694-439b-aea5-966c26f8ad91"}, "access_id"),  # version 4
    ({"access_id": "0190163d86947739baea5966c26f8ad91"}, "access_id"),
    ({"content_type": ""}, "content_type"),
    ({"content_type": LONG}, "content_type"),
    ({"content_type": "a\0b"}, "content_type"),
    ({"content_id": ""}, "content_id"),
    ({"content_id": WIDE}, "content_id"),
    ({"content_id": "\0"}, "content_id"),
    ({"user_role": LONG}, "user_role"),
    ({"user_role": "\0"}, "user_role"),
    *(
        ({name: value}, name)
        for name in ("relevance_score", "engagement_score", "effectiveness_score")
        for value in (math.nan, math.inf, -math.inf, 1.0001e9, -1.0001e9)
    ),
    ({"metadata": {str(number): "" for number in range(33)}}, "metadata"),
    ({"metadata": {"": "value"}}, "metadata.key"),
    ({"metadata": {LONG: "value"}}, "metadata.key"),
    ({"metadata": {"a\0b": "value"}}, "metadata.key"),
    ({"metadata": {"name": "x" * 1025}}, "metadata.value"),
    ({"metadata": {"name": "\0"}}, "metadata.value"),
    ({"occurred_at": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)}, "occurred_at"),
    ({"occurred_at": NOW + timedelta(days=1, hours=2)}, "occurred_at"),
    ({"occurred_at": datetime(9999, 12, 31, tzinfo=UTC)}, "occurred_at"),
]


@pytest.mark.parametrize(("changes", "field"), BAD, ids=lambda each: ascii(each)[:40])
def test_a_bad_access_is_refused_by_name(asked: Client, changes: dict[str, Any], field: str) -> None:
    """
    A field that breaks a rule is INVALID_ARGUMENT naming it and the rule, and nothing is stored.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.record_content_access(access(**changes))

    assert [f"access.{field}"] == [each.field for each in caught.value.violations]
    assert all(each.rule.startswith("must ") for each in caught.value.violations)
    assert () == asked.get_content_report().types


def test_all_that_is_bad_is_named_at_once(asked: Client) -> None:
    """
    An access that breaks several rules is told of all of them.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.record_content_access(ContentAccess(access_id="", content_type="", content_id=""))

    expected = {"access.access_id", "access.content_type", "access.content_id"}
    assert expected == {each.field for each in caught.value.violations}


def test_an_access_at_every_limit_is_taken(client: Client) -> None:
    """
    The longest texts, the greatest scores, the most metadata and the earliest time are stored.
    """
    sent = ContentAccess(
        content_type=SHORT,
        content_id="ä" * 64,
        user_role=SHORT,
        relevance_score=1e9,
        engagement_score=-1e9,
        effectiveness_score=5e-324,
        metadata={f"{number:0128}".replace("0", "o"): "x" * 1024 for number in range(1, 33)},
        occurred_at=datetime(1970, 1, 1, tzinfo=UTC),
        access_id=ids.mint(),
    )

    client.record_content_access(sent)

    assert oracle([sent], None) == client.get_content_report()


BAD_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit"),
    ({"limit": -1}, "limit"),
    ({"limit": 1001}, "limit"),
    ({"since": NOON, "until": NOON}, "until"),
    ({"since": NOON, "until": NOON - HOUR}, "until"),
    ({"since": datetime(1900, 1, 1, tzinfo=UTC), "until": datetime(2000, 1, 3, tzinfo=UTC)}, "since"),
    ({"since": datetime(1, 1, 1, tzinfo=UTC)}, "since"),
    ({"user_roles": [LONG]}, "user_roles"),
    ({"user_roles": ["a\0b"]}, "user_roles"),
    ({"user_roles": ["A"] * 1001}, "user_roles"),
    ({"content_types": [WIDE]}, "content_types"),
    ({"content_types": ["\0"]}, "content_types"),
]


@pytest.mark.parametrize(("arguments", "field"), BAD_REQUESTS, ids=lambda each: ascii(each)[:40])
def test_what_makes_no_sense_is_refused_by_name(asked: Client, arguments: dict[str, Any], field: str) -> None:
    """
    A bad limit, window or label is INVALID_ARGUMENT naming its field.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.get_content_report(**arguments)

    assert [field] == [each.field for each in caught.value.violations]
