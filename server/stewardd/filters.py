"""
Which rows are meant: windows of time and InteractionFilters, checked, and as conditions of a query.

Pure: no clock, no disk, no network.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from steward.errors import InvalidArgument
from steward.types import LIMITS, FieldViolation, InteractionFilter
from stewardd.privacy import Pseudonym, Redactor
from stewardd.rules import rating_violations
from stewardd.store.models import Interaction, Session
from stewardd.store.times import EPOCH, micros

LONGEST = timedelta(days=36_525)  # of a window
MOST_SEARCHED = 256  # bytes: comparing takes the product of both lengths
_PSEUDONYM = re.compile(r"[0-9a-fA-F]{8,64}")


@dataclass(frozen=True, slots=True)
class Window:
    """From *since* up to but without *until*; without end when that is None."""

    since: datetime
    until: datetime | None

    def within(self, field: Any) -> list[Any]:
        """Return the conditions that *field*, in microseconds, lies in the window."""
        return within(field, self.since, self.until)


def window(since: datetime | None, until: datetime | None, *, default: timedelta, now: datetime) -> Window:
    """
    Return the window from *since*, if given, else from *default* before *until* or *now*.

    Raises: InvalidArgument when it ends before it starts, starts before time does, or is longer than 100 years.
    """
    if until is not None and until < EPOCH:
        raise InvalidArgument.of(FieldViolation("until", "must be in 1970 or later"))
    if since is None:
        since = (now if until is None else until) - default
    demand(window_violations(since, until, now=now))
    return Window(since, until)


def within(field: Any, since: datetime | None, until: datetime | None) -> list[Any]:
    """Return the conditions that *field*, in microseconds, lies from *since* up to but without *until*."""
    found = [] if since is None else [field >= micros(since)]
    return found if until is None else [*found, field < micros(until)]


def narrowed(query: Any, conditions: Sequence[Any]) -> Any:
    """Return *query* under all *conditions*, of which there may be none."""
    return query.where(*conditions) if conditions else query


def limited(limit: int | None, *, default: int) -> int:
    """Return how many are asked for, *default* when that is not said. Raises: InvalidArgument when out of range."""
    if limit is None:
        return default
    if not 1 <= limit <= LIMITS.page_size:
        raise InvalidArgument.of(FieldViolation("limit", f"must be 1 to {LIMITS.page_size}; unset means {default}"))
    return limit


def demand(violations: Iterable[FieldViolation]) -> None:
    """Raise InvalidArgument, naming *violations*, when there are any."""
    found = list(violations)
    if found:
        raise InvalidArgument.of(*found)


def check_filter(chosen: InteractionFilter, *, now: datetime, prefix: str = "") -> None:
    """Raise InvalidArgument, naming what is wrong with *chosen*, each field under *prefix*."""
    demand(FieldViolation(prefix + each.field, each.rule) for each in _filter_violations(chosen, now))


def _filter_violations(chosen: InteractionFilter, now: datetime) -> list[FieldViolation]:
    violations = [*window_violations(chosen.since, chosen.until, now=now)]
    for field in ("min_rating", "max_rating"):
        rating = getattr(chosen, field)
        if rating is not None:
            violations += rating_violations(rating, field)
    for field, labels in (("user_roles", chosen.user_roles), ("query_types", chosen.query_types)):
        violations += label_violations(field, labels)
    violations += key_violations(chosen.session_id, chosen.session)
    if len(chosen.text.encode()) > MOST_SEARCHED:
        violations.append(FieldViolation("text", f"must be at most {MOST_SEARCHED} bytes of UTF-8"))
    if "\0" in chosen.text:
        violations.append(FieldViolation("text", "must not contain the character NUL"))
    return violations


def window_violations(since: datetime | None, until: datetime | None, *, now: datetime) -> Iterator[FieldViolation]:
    """Yield what is wrong with the window from *since* to *until*, or to *now* where it has no end."""
    if since is None:
        return
    if until is not None and until <= since:
        yield FieldViolation("until", "must be later than since")
    elif (until or now) - since > LONGEST:
        yield FieldViolation("since", "must be at most 100 years before until, or before now")


def label_violations(field: str, labels: Sequence[str]) -> Iterator[FieldViolation]:
    """Yield what is wrong with the *labels* to choose by, given in *field*."""
    if len(labels) > LIMITS.batch_size:
        yield FieldViolation(field, f"must be at most {LIMITS.batch_size} labels")
    if any(len(label.encode()) > LIMITS.label_bytes or "\0" in label for label in labels):
        yield FieldViolation(field, f"must be labels of at most {LIMITS.label_bytes} bytes of UTF-8, without NUL")


def key_violations(session_id: str | None, session: str | None) -> Iterator[FieldViolation]:
    """Yield what is wrong with the session looked up by its *session_id* or by its pseudonym *session*."""
    if session_id is not None and not 1 <= len(session_id.encode()) <= LIMITS.id_bytes:
        yield FieldViolation("session_id", f"must be 1 to {LIMITS.id_bytes} bytes of UTF-8")
    if session is not None and not is_pseudonym(session):
        yield FieldViolation("session", "must be a pseudonym: 8 to 64 hexadecimal digits")


def is_pseudonym(text: str) -> bool:
    """Whether *text* has the form of a pseudonym, ours or one that an import brought."""
    return _PSEUDONYM.fullmatch(text) is not None


def chosen_session(session_id: str | None, session: str | None, *, redactor: Redactor) -> Pseudonym | None:
    """Return the pseudonym meant by either key, None when neither is given. Raises: InvalidArgument."""
    demand(key_violations(session_id, session))
    if session is not None:
        return redactor.kept(session)
    return None if session_id is None else redactor.pseudonym(session_id)


def conditions(chosen: InteractionFilter, *, redactor: Redactor) -> list[Any]:
    """Return *chosen* as conditions on Interaction; none when it does not narrow."""
    found = within(Interaction.occurred_at, chosen.since, chosen.until)
    if chosen.user_roles:
        found.append(Interaction.user_role.in_(chosen.user_roles))
    if chosen.query_types:
        found.append(Interaction.query_type.in_(chosen.query_types))
    session = chosen_session(chosen.session_id, chosen.session, redactor=redactor)
    if session is not None:
        found.append(Interaction.session.in_(Session.select(Session.key).where(Session.pseudonym == session)))
    if chosen.success is not None:
        found.append(Interaction.success == chosen.success)
    if chosen.min_rating is not None:
        found.append(Interaction.user_rating >= chosen.min_rating)
    if chosen.max_rating is not None:
        found.append(Interaction.user_rating <= chosen.max_rating)
    if chosen.text:
        found.append(Interaction.query.contains(chosen.text))
    return found
