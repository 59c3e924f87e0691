"""
What is asked and what is worth asking, against a few lines of Python over the rows.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward import Client, CommonQuestion, Interaction, InteractionFilter, InvalidArgument, Suggestion
from steward.legacy import LegacyFile
from steward.types import ImportedInteraction
from stewardd.testing import running_server
from tests.oracle import MODEST, REAL, average, close, in_order, inside, meant, needs_the_real_file, real_rows
from tests.samples import NOON, imported, interaction, recorded

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
DEVELOPER, MANAGER, ODD = "Software Developer", "Hiring Manager (technical)", 'an "odd"\n["role"]'
SPELLINGS = (
    *("How does it scale?", " how does it SCALE?", "HOW DOES IT SCALE?  ", "\thow does it scale?\r\n"),
    *("Über uns", "ÜBER UNS\N{NO-BREAK SPACE}", "\N{EM SPACE}über uns", "u\N{COMBINING DIAERESIS}ber uns"),
    *("ΣΑΣ", "σας", "İ", "i\N{COMBINING DOT ABOVE}", "straße", "STRASSE"),
    *("  ", "\n", "\N{IDEOGRAPHIC SPACE}", "\N{ZERO WIDTH SPACE}"),
    *("100 % _sure_", "'; --", '{"query": "a"}', "two\nlines"),
)
HOURS = (-31 * 24, -29 * 24, *range(-4, 4), 23)  # from now


TIMES = st.sampled_from(HOURS).map(lambda hours: NOW + hours * HOUR)
ROWS = st.lists(
    st.builds(
        Interaction,
        session_id=st.sampled_from(["a", "b", "c"]),
        user_role=st.sampled_from([DEVELOPER, MANAGER, ODD]),
        query=st.sampled_from(SPELLINGS[:3]) | st.sampled_from(SPELLINGS),
        query_type=st.sampled_from(["", "fun", "technical", '"x"']),
        response_time_seconds=st.none() | st.floats(0, 1e9),
        code_snippets_shown=st.integers(0, 2),
        success=st.none() | st.just(value=True) | st.booleans(),
        user_rating=st.none() | st.floats(1, 5),
        occurred_at=TIMES,
    ),
    max_size=24,
)
SPANS = st.tuples(st.none() | TIMES, st.none() | TIMES).filter(in_order)
FILTERS = st.just(InteractionFilter()) | st.builds(
    InteractionFilter,
    since=st.none() | st.just(NOW - 2 * HOUR),
    until=st.none() | st.just(NOW + HOUR),
    user_roles=st.sampled_from([(), (DEVELOPER,), (MANAGER, ODD), ("nobody",)]),
    query_types=st.sampled_from([(), ("fun", '"x"')]),
    session_id=st.sampled_from([None, "a"]),
    success=st.sampled_from([None, True, False]),
    min_rating=st.none() | st.floats(1, 5),
    max_rating=st.none() | st.floats(1, 5),
    text=st.sampled_from(["", "SCALE", "ü", "%"]),
)
LIMITS = st.none() | st.sampled_from([1, 3, 1000])
ROLES = st.sampled_from(["", DEVELOPER, ODD, "nobody"])
ASKS = st.lists(st.tuples(SPANS, FILTERS, LIMITS, ROLES), min_size=1, max_size=5)


def best(counts: Counter[str]) -> str:
    """Return the most frequent of *counts*, of several the first in order, '' of none."""
    return min(counts, key=lambda each: (-counts[each], each)) if counts else ""


def grouped(rows: Sequence[Interaction]) -> dict[str, list[Interaction]]:
    """Return *rows* by their question, whatever its case and the blanks around it."""
    groups = defaultdict(list)
    for row in rows:
        groups[row.query.strip().lower()].append(row)
    groups.pop("", None)
    return groups


def common(rows: Sequence[Interaction], limit: int | None) -> tuple[CommonQuestion, ...]:
    """Return what *rows* ask most."""
    groups = sorted(grouped(rows).items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(
        CommonQuestion(
            question=best(Counter(row.query.strip() for row in group)),
            frequency=len(group),
            success_rate=close(average(row.success for row in group)),
            mean_response_time_seconds=close(average(row.response_time_seconds for row in group)),
            query_type=best(Counter(row.query_type for row in group if row.query_type)),
            user_roles=tuple(sorted({row.user_role for row in group if row.user_role})),
        )
        for _, group in groups[: 10 if limit is None else limit]
    )


def suggested(rows: Sequence[Interaction], user_role: str, limit: int | None) -> list[Suggestion]:
    """Return what *rows* suggest to a visitor in *user_role*."""
    answered = grouped([row for row in rows if row.success and user_role in ("", row.user_role)])
    rated = [
        (-len(group), -sum(row.code_snippets_shown > 0 for row in group) / len(group), question, group)
        for question, group in answered.items()
        if len(group) >= 2
    ]
    return [
        Suggestion(
            question=best(Counter(row.query.strip() for row in group)), frequency=len(group), code_rate=close(-code)
        )
        for _, code, _, group in sorted(rated, key=lambda each: each[:3])[: 5 if limit is None else limit]
    ]


def chosen_of(rows: Sequence[Interaction], chosen: InteractionFilter, *span: datetime | None) -> list[Interaction]:
    """Return those of *rows* that are *chosen* and in the window *span*."""
    return [row for row in rows if row.occurred_at and inside(row.occurred_at, *span) and meant(row, chosen)]


def begin(since: datetime | None, until: datetime | None) -> datetime:
    """Return when a window begins that is asked for now."""
    return since or (until or datetime.now(UTC)) - timedelta(days=30)


def sent(client: Client, rows: Sequence[Interaction]) -> None:
    """Record *rows*, and every second of them again."""
    if rows:
        recorded(client, *rows)
        recorded(client, *rows[::2])


@given(rows=ROWS, asks=ASKS)
@MODEST
def test_questions_and_suggestions_are_those_of_the_rows(rows: list[Interaction], asks: list[Any]) -> None:
    """
    Whatever is recorded, and whatever is asked for, the questions and suggestions with their figures are the rows'.
    """
    with running_server() as server, Client(server.target) as client:
        sent(client, rows)
        for (since, until), chosen, limit, role in asks:
            window: dict[str, Any] = {"since": since, "until": until, "chosen": chosen, "limit": limit}

            found = client.list_common_questions(**window)
            assert timedelta(minutes=1) > begin(since, until) - found.since >= timedelta(0)
            assert until == found.until
            assert common(chosen_of(rows, chosen, found.since, until), limit) == found.questions

            suggestions = client.suggest_questions(role, **window)
            assert suggested(chosen_of(rows, chosen, since, until), role, limit) == suggestions


@needs_the_real_file
def test_the_questions_of_the_real_file_are_those_of_its_rows(client: Client) -> None:
    """
    For each role and for all, the predecessor's real file gives the questions and suggestions of its rows.
    """
    rows = real_rows()
    with LegacyFile(REAL) as file:
        client.import_interactions([[each for each in file.rows() if isinstance(each, ImportedInteraction)]])
    since = datetime(2025, 9, 10, tzinfo=UTC)

    for role in ("", *{row.user_role for row in rows}):
        chosen = InteractionFilter(user_roles=(role,) if role else ())
        of_role = chosen_of(rows, chosen, since, None)

        assert common(of_role, 1000) == client.list_common_questions(since=since, chosen=chosen, limit=1000).questions
        assert common(of_role, 10) == client.list_common_questions(since=since, chosen=chosen).questions
        assert suggested(rows, role, 1000) == client.suggest_questions(role, limit=1000)
        assert suggested(rows, role, 5) == client.suggest_questions(role)
        assert suggested(of_role, role, 5) == client.suggest_questions(role, since=since)
    assert 100 == len(rows)


def test_case_and_blanks_of_unicode_do_not_part_questions(client: Client) -> None:
    """
    A question in capitals beyond ASCII, or with a tab or a no-break space around it, is the same question.
    """
    spellings = ["über uns?", "ÜBER UNS?", "\tÜber uns?\N{NO-BREAK SPACE}\n", "Über uns?"]
    recorded(client, *(interaction(query=each, occurred_at=NOW) for each in spellings))

    (found,) = client.list_common_questions().questions

    assert ("Über uns?", 4) == (found.question, found.frequency)


def test_a_type_that_is_not_known_is_no_type(client: Client) -> None:
    """
    The most frequent type is that of the rows whose type is known.
    """
    recorded(client, *(interaction(query_type=each, occurred_at=NOW) for each in ["", "", "", "fun"]))

    assert ["fun"] == [each.query_type for each in client.list_common_questions().questions]


def test_what_an_import_does_not_know_is_not_shown(client: Client) -> None:
    """
    Of imported rows, an empty question is none, and an empty role is none in which one was asked.
    """
    recent: dict[str, Any] = {"session": "1fd27ab8597b595d", "session_id": "", "occurred_at": NOW}
    rows = [{"query": ""}, {"user_role": ""}, {"user_role": "A"}]
    client.import_interactions([[imported(number, **recent, **row) for number, row in enumerate(rows)]])

    (found,) = client.list_common_questions().questions

    assert (("A",), 2) == (found.user_roles, found.frequency)


def test_only_what_was_answered_well_twice_is_suggested(client: Client) -> None:
    """
    Of one good answer, of two without success and of two of which that is not known, nothing is suggested.
    """
    asked = [("once", True), ("once", False), ("badly", False), ("badly", False), ("who knows", None), ("twice", True)]
    recorded(client, *(interaction(query=query, success=success) for query, success in [*asked, ("TWICE", True)]))

    expected = [Suggestion(question="TWICE", frequency=2, code_rate=1.0)]
    assert expected == client.suggest_questions()


def test_the_texts_shown_are_redacted(client: Client) -> None:
    """
    Questions that differ in what was redacted only are one question.
    """
    addresses = ["jo@example.com", "kim@example.org"]
    recorded(client, *(interaction(query=f"Is {each} right?", occurred_at=NOW) for each in addresses))

    assert ["Is [EMAIL_REDACTED] right?"] == [each.question for each in client.list_common_questions().questions]
    assert ["Is [EMAIL_REDACTED] right?"] == [each.question for each in client.suggest_questions()]


def test_empty_requests_of_an_empty_store_are_answered(asked: Client) -> None:
    """
    Without arguments and without data there are no questions, none to suggest, and no end of the window.
    """
    found = asked.list_common_questions()

    assert ((), None) == (found.questions, found.until)
    assert timedelta(minutes=1) > datetime.now(UTC) - timedelta(days=30) - found.since >= timedelta(0)
    assert [] == asked.suggest_questions()


def test_10_are_listed_and_5_are_suggested_unless_told_otherwise(client: Client) -> None:
    """
    Of 12 questions asked twice each, an empty request shows the first 10, and suggests the first 5, in order.
    """
    names = [chr(ord("a") + number) for number in range(12)]
    recorded(client, *(interaction(query=name, occurred_at=NOW) for name in names[::-1] * 2))

    assert names[:10] == [each.question for each in client.list_common_questions().questions]
    assert names[:5] == [each.question for each in client.suggest_questions()]
    assert names == [each.question for each in client.suggest_questions(limit=1000)]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit"),
    ({"limit": -1}, "limit"),
    ({"limit": 1001}, "limit"),
    ({"limit": 2**31 - 1}, "limit"),
    ({"since": NOON, "until": NOON}, "until"),
    ({"since": NOON, "until": NOON - timedelta.resolution}, "until"),
    ({"since": datetime(1900, 1, 1, tzinfo=UTC), "until": datetime(2000, 1, 3, tzinfo=UTC)}, "since"),
    ({"since": datetime(1, 1, 1, tzinfo=UTC)}, "since"),
    ({"chosen": InteractionFilter(since=NOON, until=NOON)}, "filter.until"),
    ({"chosen": InteractionFilter(min_rating=float("nan"))}, "filter.min_rating"),
    ({"chosen": InteractionFilter(user_roles=("x" * 129,))}, "filter.user_roles"),
    ({"chosen": InteractionFilter(query_types=("\0",))}, "filter.query_types"),
    ({"chosen": InteractionFilter(session="not hex")}, "filter.session"),
]


@pytest.mark.parametrize(("arguments", "field"), BAD, ids=str)
def test_what_makes_no_sense_is_refused_by_name(asked: Client, arguments: dict[str, Any], field: str) -> None:
    """
    A bad limit, window or filter is INVALID_ARGUMENT naming its field, for both lists.
    """
    for ask in (asked.list_common_questions, asked.suggest_questions):
        with pytest.raises(InvalidArgument) as caught:
            ask(**arguments)

        assert [field] == [each.field for each in caught.value.violations]


@pytest.mark.parametrize("role", ["x" * 129, "ä" * 65, "a\0b"])
def test_a_visitors_role_is_a_label(asked: Client, role: str) -> None:
    """
    A role to suggest for that no interaction could have is refused by name.
    """
    with pytest.raises(InvalidArgument) as caught:
        asked.suggest_questions(role)

    assert ["user_role"] == [each.field for each in caught.value.violations]


def test_common_questions_have_no_window_before_time(asked: Client) -> None:
    """
    An end before 1970, which gives the start too, is refused; suggestions before it there are just none.
    """
    until = datetime(1969, 12, 31, tzinfo=UTC)

    with pytest.raises(InvalidArgument) as caught:
        asked.list_common_questions(until=until)

    assert ["until"] == [each.field for each in caught.value.violations]
    assert [] == asked.suggest_questions(until=until)


def test_a_window_of_100_years_is_taken(asked: Client) -> None:
    """
    The longest window that is allowed is answered.
    """
    since = datetime(1950, 1, 1, tzinfo=UTC)
    until = since + timedelta(days=36_525)

    found = asked.list_common_questions(since=since, until=until)

    assert (since, until, ()) == (found.since, found.until, found.questions)
    assert [] == asked.suggest_questions(since=since, until=until)


def test_a_long_question_is_listed_whole(client: Client) -> None:
    """
    Questions of the greatest length are told apart by their last letter, and shown from the first.
    """
    long = interaction(query="x" * (64 * 1024 - 1) + "a", occurred_at=NOW)
    other = interaction(query="x" * (64 * 1024 - 1) + "b", occurred_at=NOW)
    recorded(client, long, other)

    assert [long.query, other.query] == [each.question for each in client.list_common_questions().questions]
