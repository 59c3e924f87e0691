"""
What content is used for answers, and how well it serves.

Pure but for what it asks the store it is handed.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from peewee import SQL, Case, Select, fn

from steward import ids
from steward.types import ContentAccess, ContentItem, ContentReport, ContentType, FieldViolation
from stewardd.filters import demand, label_violations, limited, narrowed, window_violations, within
from stewardd.privacy import Redactor, total
from stewardd.receipts import PreparedRecord
from stewardd.rules import (
    ahead_violations,
    number_violations,
    pairs_violations,
    record_violations,
    text_violations,
)
from stewardd.store import Store
from stewardd.store.models import ContentAccess as Accesses
from stewardd.store.row import ContentRow
from stewardd.store.times import instant, micros

ITEMS = 10  # when that is not said
MOST_TYPES = 1000
SCORES = ("relevance_score", "engagement_score", "effectiveness_score")


# Recording


def prepare(access: ContentAccess, *, redactor: Redactor, now: datetime) -> PreparedRecord:
    """Check and redact *access*. Raises: InvalidArgument, naming each field that breaks a rule."""
    found = [*violations(access), *ahead_violations(access.occurred_at, now=now)]
    found += text_violations("content_id", access.content_id, least=1)
    demand(FieldViolation(f"access.{each.field}", each.rule) for each in found)
    roles = [access.user_role] if access.user_role else []
    return to_row(access, accesses=1, user_roles=roles, redactor=redactor)


def violations(each: ContentAccess) -> Iterator[FieldViolation]:
    """Yield what is wrong with *each*, whether it comes from a live call or an import, but for its content_id."""
    yield from record_violations(ids.parse(each.access_id), "access_id", each.occurred_at)
    yield from text_violations("content_type", each.content_type, least=1)
    yield from text_violations("user_role", each.user_role)
    for name in SCORES:
        yield from number_violations(name, getattr(each, name))
    yield from pairs_violations("metadata", each.metadata)


def to_row(each: ContentAccess, *, accesses: int, user_roles: Sequence[str], redactor: Redactor) -> PreparedRecord:
    """Return the redacted row of *each*, which must be without violations, counting as so many *accesses*."""
    key = ids.parse(each.access_id)
    assert key is not None
    kind, of_kind = redactor.redact(each.content_type)
    item, of_item = redactor.redact(each.content_id)
    roles, of_roles = redactor.redact_all(user_roles)
    metadata, of_metadata = redactor.redact_pairs(each.metadata)
    row = ContentRow(
        key,
        None if each.occurred_at is None else micros(each.occurred_at),
        kind,
        item,
        roles,
        accesses,
        each.relevance_score,
        each.engagement_score,
        each.effectiveness_score,
        metadata,
    )
    return row, total((of_kind, of_item, of_roles, of_metadata))


# Showing


def report(
    store: Store,
    *,
    since: datetime | None,
    until: datetime | None,
    user_roles: Sequence[str],
    content_types: Sequence[str],
    limit: int | None,
    now: datetime,
) -> ContentReport:
    """Say what content was used in a window, by default ever. Raises: InvalidArgument."""
    demand(
        [
            *window_violations(since, until, now=now),
            *label_violations("user_roles", user_roles),
            *label_violations("content_types", content_types),
        ]
    )
    most = limited(limit, default=ITEMS)
    inside = within(Accesses.occurred_at, since, until)
    if content_types:
        inside.append(Accesses.content_type.in_(list(content_types)))
    if user_roles:
        among = Select([fn.JSON_EACH(Accesses.user_roles)], [SQL("1")])
        inside.append(fn.EXISTS(among.where(SQL("value").in_(list(user_roles)))))
    with store.snapshot():
        return ContentReport(items=_items(store, inside, most), types=_types(store, inside))


def _weighted(score: Any) -> Any:
    """Return the mean of *score* over accesses, of which a row may stand for several."""
    known = fn.SUM(Case(None, [(score.is_null(False), Accesses.accesses)]))
    return fn.SUM(score * Accesses.accesses) / fn.NULLIF(known, 0)


_ITEM = (Accesses.content_type, Accesses.content_id)
_COUNT = fn.SUM(Accesses.accesses)
_MEANS = tuple(_weighted(getattr(Accesses, name)) for name in SCORES)


def _items(store: Store, inside: Sequence[Any], limit: int) -> tuple[ContentItem, ...]:
    query = Accesses.select(*_ITEM, _COUNT, *_MEANS, fn.MAX(Accesses.occurred_at))
    query = query.where(*inside, Accesses.content_id != "").group_by(*_ITEM)
    rows = store.rows(query.order_by(_COUNT.desc(), *_ITEM).limit(limit))
    roles = _roles(store, inside, {row[:2] for row in rows})
    return tuple(
        ContentItem(
            content_type=row[0],
            content_id=row[1],
            accesses=row[2],
            mean_relevance_score=row[3],
            mean_engagement_score=row[4],
            mean_effectiveness_score=row[5],
            user_roles=tuple(sorted(roles[row[:2]])),
            last_access_at=instant(row[6]),
        )
        for row in rows
    )


def _roles(store: Store, inside: Sequence[Any], items: set[tuple[str, str]]) -> dict[tuple[str, str], set[str]]:
    """Return the roles in which each of *items* was asked for."""
    found: dict[tuple[str, str], set[str]] = {item: set() for item in items}
    if items:
        named = Accesses.content_id.in_([content_id for _, content_id in items])
        query = Accesses.select(*_ITEM, Accesses.user_roles).where(*inside, named).distinct()
        for content_type, content_id, roles in store.rows(query):
            if (content_type, content_id) in found:
                found[content_type, content_id].update(json.loads(roles))
    return found


def _types(store: Store, inside: Sequence[Any]) -> tuple[ContentType, ...]:
    items = Accesses.select(*_ITEM, _MEANS[0].alias("relevance"))
    items = narrowed(items, [*inside, Accesses.content_id != ""]).group_by(*_ITEM).alias("items")
    kind = items.c.content_type
    means = items.select_from(kind, fn.COUNT(items.c.content_id), fn.AVG(items.c.relevance)).group_by(kind)
    of_items = {row[0]: row[1:] for row in store.rows(means)}
    query = Accesses.select(Accesses.content_type, _COUNT, *_MEANS[1:], fn.MAX(Accesses.occurred_at))
    query = narrowed(query, inside).group_by(Accesses.content_type)
    rows = store.rows(query.order_by(_COUNT.desc(), Accesses.content_type).limit(MOST_TYPES))
    return tuple(
        ContentType(
            content_type=row[0],
            items=of_items.get(row[0], (0, None))[0],
            accesses=row[1],
            mean_relevance_score=of_items.get(row[0], (0, None))[1],
            mean_engagement_score=row[2],
            mean_effectiveness_score=row[3],
            last_access_at=instant(row[4]),
        )
        for row in rows
    )
