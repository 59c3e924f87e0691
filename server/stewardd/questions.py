"""
What is asked, and what is worth asking: questions that are the same but for case and the blanks around them.

Pure but for what it asks the store it is handed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from peewee import fn

from steward.types import CommonQuestion, CommonQuestions, InteractionFilter, Suggestion
from stewardd.filters import (
    check_filter,
    conditions,
    demand,
    label_violations,
    limited,
    window,
    window_violations,
    within,
)
from stewardd.privacy import Redactor
from stewardd.store import Store
from stewardd.store.models import Interaction

DAYS = timedelta(days=30)
COMMON, SUGGESTED = 10, 5  # how many, when that is not said
LEAST = 2  # times that a suggestion was answered well

_SAME = fn.FOLDED(Interaction.query)
_FREQUENCY = fn.COUNT(Interaction.seq)


def common(
    store: Store,
    *,
    since: datetime | None,
    until: datetime | None,
    chosen: InteractionFilter,
    limit: int | None,
    redactor: Redactor,
    now: datetime,
) -> CommonQuestions:
    """
    Return what is asked most among the *chosen* of a window, by default the last 30 days.

    Raises: InvalidArgument.
    """
    span = window(since, until, default=DAYS, now=now)
    check_filter(chosen, now=now, prefix="filter.")
    most = limited(limit, default=COMMON)
    inside = [*span.within(Interaction.occurred_at), *conditions(chosen, redactor=redactor), _SAME != ""]
    query = (
        Interaction.select(_SAME, _FREQUENCY, fn.AVG(Interaction.success), fn.AVG(Interaction.response_time_seconds))
        .where(*inside)
        .group_by(_SAME)
        .order_by(_FREQUENCY.desc(), _SAME)
        .limit(most)
    )
    with store.snapshot():
        rows = store.rows(query)
        asked = _askings(store, [row[0] for row in rows], inside)
    questions = tuple(
        CommonQuestion(
            question=first(asked[row[0]].spellings),
            frequency=row[1],
            success_rate=row[2],
            mean_response_time_seconds=row[3],
            query_type=first(asked[row[0]].query_types),
            user_roles=tuple(sorted(asked[row[0]].user_roles)),
        )
        for row in rows
    )
    return CommonQuestions(since=span.since, until=span.until, questions=questions)


def suggestions(
    store: Store,
    *,
    user_role: str,
    since: datetime | None,
    until: datetime | None,
    chosen: InteractionFilter,
    limit: int | None,
    redactor: Redactor,
    now: datetime,
) -> list[Suggestion]:
    """
    Return what was answered well at least twice in *user_role*, or in any, the most frequent first.

    Raises: InvalidArgument.
    """
    demand([*window_violations(since, until, now=now), *label_violations("user_role", [user_role])])
    check_filter(chosen, now=now, prefix="filter.")
    most = limited(limit, default=SUGGESTED)
    inside = [
        *within(Interaction.occurred_at, since, until),
        *conditions(chosen, redactor=redactor),
        *([Interaction.user_role == user_role] if user_role else []),
        Interaction.success == True,  # noqa: E712 -- SQL
        _SAME != "",
    ]
    code_rate = fn.AVG(Interaction.code_snippets_shown > 0)
    query = (
        Interaction.select(_SAME, _FREQUENCY, code_rate)
        .where(*inside)
        .group_by(_SAME)
        .having(_FREQUENCY >= LEAST)
        .order_by(_FREQUENCY.desc(), code_rate.desc(), _SAME)
        .limit(most)
    )
    with store.snapshot():
        rows = store.rows(query)
        asked = _askings(store, [row[0] for row in rows], inside)
    return [
        Suggestion(question=first(asked[same].spellings), frequency=frequency, code_rate=rate)
        for same, frequency, rate in rows
    ]


@dataclass(slots=True)
class _Asking:
    """How a question was asked, and how often so. What is not known of it is left out."""

    spellings: Counter[str] = field(default_factory=Counter)  # without the blanks around them
    query_types: Counter[str] = field(default_factory=Counter)
    user_roles: set[str] = field(default_factory=set)


def _askings(store: Store, questions: Sequence[str], inside: Sequence[Any]) -> dict[str, _Asking]:
    """Return how each of *questions* was asked."""
    if not questions:
        return {}
    ways = (_SAME, Interaction.query, Interaction.query_type, Interaction.user_role)
    query = Interaction.select(*ways, _FREQUENCY).where(*inside, _SAME.in_(list(questions))).group_by(*ways)
    found = {each: _Asking() for each in questions}
    for same, spelling, query_type, user_role, times in store.rows(query):
        asking = found[same]
        asking.spellings[spelling.strip()] += times
        if query_type:
            asking.query_types[query_type] += times
        if user_role:
            asking.user_roles.add(user_role)
    return found


def first(counts: Counter[str]) -> str:
    """Return the most frequent of *counts*, of several the first in order; of none ''."""
    return min(counts, key=lambda each: (-counts[each], each), default="")
