"""
Which interactions are meant: an InteractionFilter checked, and as conditions of a query.

Pure: no clock, no disk, no network.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from steward.errors import InvalidArgument
from steward.types import LIMITS, FieldViolation, InteractionFilter
from stewardd.privacy import Pseudonym, Redactor
from stewardd.rules import rating_violations
from stewardd.store.models import Interaction, Session
from stewardd.store.times import micros

MOST_SEARCHED = 256  # bytes: comparing takes the product of both lengths
_PSEUDONYM = re.compile(r"[0-9a-fA-F]{8,64}")


def check_filter(chosen: InteractionFilter) -> None:
    """Raise InvalidArgument, naming what is wrong with *chosen*."""
    violations = [*window_violations(chosen.since, chosen.until)]
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
    if violations:
        raise InvalidArgument.of(*violations)


def window_violations(since: datetime | None, until: datetime | None) -> Iterator[FieldViolation]:
    """Yield what is wrong with the window from *since* to *until*."""
    if since is not None and until is not None and until <= since:
        yield FieldViolation("until", "must be later than since")


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
    violations = list(key_violations(session_id, session))
    if violations:
        raise InvalidArgument.of(*violations)
    if session is not None:
        return redactor.kept(session)
    return None if session_id is None else redactor.pseudonym(session_id)


def conditions(chosen: InteractionFilter, *, redactor: Redactor) -> list[Any]:
    """Return *chosen* as conditions on Interaction joined with Session."""
    found: list[Any] = [Interaction.seq > 0]  # so that there is always one
    if chosen.since is not None:
        found.append(Interaction.occurred_at >= micros(chosen.since))
    if chosen.until is not None:
        found.append(Interaction.occurred_at < micros(chosen.until))
    if chosen.user_roles:
        found.append(Interaction.user_role.in_(chosen.user_roles))
    if chosen.query_types:
        found.append(Interaction.query_type.in_(chosen.query_types))
    session = chosen_session(chosen.session_id, chosen.session, redactor=redactor)
    if session is not None:
        found.append(Session.pseudonym == session)
    if chosen.success is not None:
        found.append(Interaction.success == chosen.success)
    if chosen.min_rating is not None:
        found.append(Interaction.user_rating >= chosen.min_rating)
    if chosen.max_rating is not None:
        found.append(Interaction.user_rating <= chosen.max_rating)
    if chosen.text:
        found.append(Interaction.query.contains(chosen.text))
    return found
