"""
Taking in what comes from elsewhere, as it was there: quality has to see what is wrong with it.

Pure but for what it asks the store it is handed.
"""

import hmac
from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from peewee import SqliteDatabase

from steward import ids
from steward.errors import FailedPrecondition, InvalidArgument
from steward.types import (
    IMPORT_KINDS,
    LIMITS,
    FieldViolation,
    Importable,
    ImportedBusinessMetric,
    ImportedContentAccess,
    ImportedInteraction,
    ImportedMetric,
    ImportedSession,
    ImportedTable,
    ImportRejection,
    ImportReport,
)
from stewardd import business, content, performance
from stewardd.filters import is_pseudonym
from stewardd.privacy import Pseudonym, Redactor
from stewardd.rules import MOST, rating_violations, text_violations, to_row, violations
from stewardd.store import Store
from stewardd.store.models import Session
from stewardd.store.row import BusinessRow, ContentRow, PointRow, Record, Row, Times
from stewardd.store.times import EPOCH, micros

MOST_REJECTIONS = 100
MOST_ROLES = 100


class Verdict(NamedTuple):
    """What another place says of a session as a whole."""

    row: int  # its number at the source
    session: Pseudonym
    rating: float | None
    converted: bool


class Preserved(NamedTuple):
    """An interaction with when another store recorded it, and when it was last rated there."""

    row: Row
    times: Times


PreparedImport = Row | Preserved | Record | Verdict | ImportRejection

_TABLES: dict[type[PreparedImport], str] = {
    Row: ImportedInteraction.table,
    Preserved: ImportedInteraction.table,
    ContentRow: ImportedContentAccess.table,
    BusinessRow: ImportedBusinessMetric.table,
    PointRow: ImportedMetric.table,
    Verdict: ImportedSession.table,
}


def check_batch(count: int) -> None:
    """Raise InvalidArgument when *count* of all kinds are too many for one message of the stream."""
    if count > LIMITS.batch_size:
        raise InvalidArgument.of(FieldViolation("interactions", f"must be at most {LIMITS.batch_size}"))


def preserves(fingerprint: str, *, redactor: Redactor) -> bool:
    """
    Return whether an import keeps when interactions were recorded: when it gives the *fingerprint* of our key.

    Raises: FailedPrecondition when it is another's: those pseudonyms are of other sessions.
    """
    if fingerprint and not hmac.compare_digest(fingerprint.encode(), redactor.fingerprint().encode()):
        raise FailedPrecondition(
            "what was recorded under another privacy key cannot be preserved: import it without its key_fingerprint, "
            "or into a store that has the key",
            reason="OTHER_KEY",
        )
    return bool(fingerprint)


# Checking


def prepare(
    batch: Iterable[Importable | ImportRejection], *, redactor: Redactor, preserve: bool = False
) -> list[PreparedImport]:
    """
    Check and redact *batch*, in order; a bad one becomes its rejection. To *preserve*, each says when it was recorded.

    Pure: no clock, no disk, no network.
    """
    return [each if isinstance(each, ImportRejection) else _prepared(each, redactor, preserve) for each in batch]


def _prepared(each: Importable, redactor: Redactor, preserve: bool) -> PreparedImport:  # noqa: FBT001 -- one of two ways
    match each:
        case ImportedInteraction():
            return _interaction(each, redactor, preserve)
        case ImportedContentAccess():
            return _content_access(each, redactor)
        case ImportedBusinessMetric():
            return _business_metric(each, redactor)
        case ImportedMetric():
            return _metric(each, redactor)
        case ImportedSession():
            return _verdict(each, redactor)


def _rejected(each: Importable, found: Iterable[FieldViolation]) -> ImportRejection:
    return ImportRejection(each.row, tuple(found), each.table)


def _interaction(
    each: ImportedInteraction,
    redactor: Redactor,
    preserve: bool,  # noqa: FBT001 -- see above
) -> Row | Preserved | ImportRejection:
    key, session_id = ids.parse(each.interaction.interaction_id), each.interaction.session_id
    found = [*violations(each.interaction, key=key), *_session_violations(each.session, session_id)]
    found += _time_violations(each.interaction.occurred_at)
    found += _preserve_violations(each, preserve)
    if key is None or found:
        return _rejected(each, found)
    session = _session(each.session, session_id, redactor)
    row, _ = to_row(each.interaction, key=key, session=session, redactor=redactor)
    if each.recorded_at is None:
        return row
    return Preserved(row, Times(micros(each.recorded_at), None if each.rated_at is None else micros(each.rated_at)))


def _content_access(each: ImportedContentAccess, redactor: Redactor) -> Record | ImportRejection:
    access = each.access
    found = [*content.violations(access), *text_violations("content_id", access.content_id)]
    found += [*_time_violations(access.occurred_at), *_role_violations(each)]
    if each.accesses is not None and not 0 <= each.accesses <= MOST:
        found.append(FieldViolation("accesses", f"must be 0 to {MOST}"))
    if found:
        return _rejected(each, found)
    roles = each.user_roles or ((access.user_role,) if access.user_role else ())
    accesses = 1 if each.accesses is None else each.accesses
    return content.to_row(access, accesses=accesses, user_roles=roles, redactor=redactor)[0]


def _business_metric(each: ImportedBusinessMetric, redactor: Redactor) -> Record | ImportRejection:
    found = list(business.violations(each.metric))
    if not each.metric.date:  # else it is when that day begins
        found += _time_violations(each.metric.occurred_at)
    return _rejected(each, found) if found else business.to_row(each.metric, redactor=redactor)[0]


def _metric(each: ImportedMetric, redactor: Redactor) -> Record | ImportRejection:
    found = [*performance.violations(each.point), *_time_violations(each.point.occurred_at)]
    return _rejected(each, found) if found else performance.to_row(each.point, redactor=redactor)[0]


def _verdict(each: ImportedSession, redactor: Redactor) -> Verdict | ImportRejection:
    session, session_id = each.session or "", each.session_id or ""
    found = list(_session_violations(session, session_id))
    found += text_violations("session_id", session_id, most=LIMITS.id_bytes)
    if each.session_rating is not None:
        found += rating_violations(each.session_rating, "session_rating")
    if found:
        return _rejected(each, found)
    return Verdict(each.row, _session(session, session_id, redactor), each.session_rating, each.conversion_achieved)


def _session(session: str, session_id: str, redactor: Redactor) -> Pseudonym:
    return redactor.kept(session) if session else redactor.pseudonym(session_id)


def _session_violations(session: str, session_id: str) -> Iterator[FieldViolation]:
    if bool(session) == bool(session_id):
        yield FieldViolation("session", "must be given, or else session_id, and not both")
    if session and not is_pseudonym(session):
        yield FieldViolation("session", "must be 8 to 64 hexadecimal digits")


def _time_violations(occurred_at: datetime | None) -> Iterator[FieldViolation]:
    if occurred_at is None:
        yield FieldViolation("occurred_at", "must be given")


def _preserve_violations(each: ImportedInteraction, preserve: bool) -> Iterator[FieldViolation]:  # noqa: FBT001 -- see above
    if preserve and each.recorded_at is None:
        yield FieldViolation("recorded_at", "must be given with a key_fingerprint")
    for name, time in (("recorded_at", each.recorded_at), ("rated_at", each.rated_at)):
        if time is not None and not preserve:
            yield FieldViolation(name, "must be given only with a key_fingerprint")
        elif time is not None and time < EPOCH:
            yield FieldViolation(name, "must be in 1970 or later")


def _role_violations(each: ImportedContentAccess) -> Iterator[FieldViolation]:
    if each.user_roles and each.access.user_role:
        yield FieldViolation("user_role", "must be empty when there are user_roles")
    if len(each.user_roles) > MOST_ROLES:
        yield FieldViolation("user_roles", f"must be at most {MOST_ROLES}")
    yield from [bad for role in each.user_roles for bad in text_violations("user_roles", role, least=1)][:1]


# Storing


async def take_in(store: Store, batches: AsyncIterable[Sequence[PreparedImport]]) -> ImportReport:
    """Store prepared *batches*, each on disk before the next is asked for, and report what became of them."""
    tally = Tally()
    async for batch in batches:
        tally.reject(each for each in batch if isinstance(each, ImportRejection))
        rows = [each for each in batch if isinstance(each, Row)]
        if rows:
            tally.place(rows, [place.already_stored for place in await store.append(rows)])
        preserved = [each for each in batch if isinstance(each, Preserved)]
        if preserved:
            tally.place(preserved, await store.restore(preserved))
        records = [each for each in batch if isinstance(each, Record)]
        if records:
            tally.place(records, [place.already_stored for place in await store.add(records)])
        verdicts = [each for each in batch if isinstance(each, Verdict)]  # their sessions are there by now
        if verdicts:
            known, strange = await store.change(_told(verdicts))
            tally.place([each for each, _ in known], [already for _, already in known])
            tally.reject(_strange(each) for each in strange)
    return tally.report()


def _told(verdicts: Sequence[Verdict]) -> Callable[[SqliteDatabase], tuple[list[tuple[Verdict, bool]], list[Verdict]]]:
    """
    Return the change that has the sessions remember *verdicts*, each in the place of an earlier one.

    It returns those whose session there is, each with whether that was said already, and those without a session.
    """

    def change(db: SqliteDatabase) -> tuple[list[tuple[Verdict, bool]], list[Verdict]]:
        known: list[tuple[Verdict, bool]] = []
        strange: list[Verdict] = []
        for each in verdicts:
            query = Session.select(Session.key, Session.session_rating, Session.session_converted)
            found = query.where(Session.pseudonym == each.session).tuples().bind(db).first()
            if found is None:
                strange.append(each)
                continue
            key, rating, converted = found
            already = (rating, bool(converted)) == (each.rating, each.converted)
            known.append((each, already))
            if not already:
                said = {"session_rating": each.rating, "session_converted": each.converted}
                Session.update(**said).where(Session.key == key).bind(db).execute()
        return known, strange

    return change


def _strange(each: Verdict) -> ImportRejection:
    rule = "must be a session whose interactions are here: they must be imported first"
    return ImportRejection(each.row, (FieldViolation("session", rule),), ImportedSession.table)


@dataclass(slots=True)
class Tally:
    """What has become of an import so far, by table."""

    stored: Counter[str] = field(default_factory=Counter)
    already_stored: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    rejections: list[ImportRejection] = field(default_factory=list)  # the first ones

    def reject(self, rejections: Iterable[ImportRejection]) -> None:
        """Count *rejections*."""
        for each in rejections:
            self.rejected[each.table] += 1
            if len(self.rejections) < MOST_REJECTIONS:
                self.rejections.append(each)

    def place(self, items: Sequence[PreparedImport], already: Sequence[bool]) -> None:
        """Count *items*, of which each was there *already* or was not."""
        for each, before in zip(items, already, strict=True):
            (self.already_stored if before else self.stored)[_TABLES[type(each)]] += 1

    def report(self) -> ImportReport:
        """Return what has become of the import."""
        tables = tuple(figures for kind in IMPORT_KINDS if (figures := self._table(kind.table)).read)
        return ImportReport(
            read=sum(each.read for each in tables),
            stored=self.stored.total(),
            already_stored=self.already_stored.total(),
            rejected=self.rejected.total(),
            rejections=tuple(self.rejections),
            tables=tables,
        )

    def _table(self, table: str) -> ImportedTable:
        stored, already_stored, rejected = self.stored[table], self.already_stored[table], self.rejected[table]
        read = stored + already_stored + rejected
        return ImportedTable(table=table, read=read, stored=stored, already_stored=already_stored, rejected=rejected)
