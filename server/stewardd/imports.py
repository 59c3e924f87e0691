"""
Taking in interactions from elsewhere, as they were there: quality has to see what is wrong with them.

Pure but for what it asks the store it is handed.
"""

from collections.abc import AsyncIterable, Iterable, Iterator
from dataclasses import dataclass, field

from steward import ids
from steward.errors import InvalidArgument
from steward.types import LIMITS, FieldViolation, ImportedInteraction, ImportRejection, ImportReport
from stewardd.filters import is_pseudonym
from stewardd.privacy import Redactor
from stewardd.rules import Prepared, to_row, violations
from stewardd.store import Store
from stewardd.store.row import Stored

MOST_REJECTIONS = 100


@dataclass(slots=True)
class Tally:
    """What has become of an import so far."""

    read: int = 0
    stored: int = 0
    already_stored: int = 0
    rejected: int = 0
    rejections: list[ImportRejection] = field(default_factory=list)  # the first ones

    def add(self, rejections: Iterable[ImportRejection], places: Iterable[Stored]) -> None:
        """Count one batch."""
        for each in rejections:
            self.rejected += 1
            if len(self.rejections) < MOST_REJECTIONS:
                self.rejections.append(each)
        for place in places:
            if place.already_stored:
                self.already_stored += 1
            else:
                self.stored += 1
        self.read = self.stored + self.already_stored + self.rejected

    def report(self) -> ImportReport:
        """Return what has become of the import."""
        return ImportReport(
            read=self.read,
            stored=self.stored,
            already_stored=self.already_stored,
            rejected=self.rejected,
            rejections=tuple(self.rejections),
        )


def check_batch(count: int) -> None:
    """Raise InvalidArgument when *count* interactions are too many for one message of the stream."""
    if count > LIMITS.batch_size:
        raise InvalidArgument.of(FieldViolation("interactions", f"must be at most {LIMITS.batch_size}"))


def prepare(
    batch: Iterable[ImportedInteraction | ImportRejection], *, redactor: Redactor
) -> list[Prepared | ImportRejection]:
    """
    Check and redact *batch*, in order; a bad one becomes its rejection.

    Pure: no clock, no disk, no network.
    """
    return [_prepared(each, redactor) for each in batch]


async def take_in(store: Store, batches: AsyncIterable[list[Prepared | ImportRejection]]) -> ImportReport:
    """Store prepared *batches*, each on disk before the next is asked for, and report what became of them."""
    tally = Tally()
    async for prepared in batches:
        rows = [each[0] for each in prepared if not isinstance(each, ImportRejection)]
        rejections = (each for each in prepared if isinstance(each, ImportRejection))
        tally.add(rejections, await store.append(rows) if rows else ())
    return tally.report()


def _prepared(each: ImportedInteraction | ImportRejection, redactor: Redactor) -> Prepared | ImportRejection:
    if isinstance(each, ImportRejection):
        return each
    key = ids.parse(each.interaction.interaction_id)
    found = [*violations(each.interaction, key=key), *_session_violations(each), *_time_violations(each)]
    if key is None or found:
        return ImportRejection(each.row, tuple(found))
    kept = redactor.kept(each.session) if each.session else redactor.pseudonym(each.interaction.session_id)
    return to_row(each.interaction, key=key, session=kept, redactor=redactor)


def _session_violations(each: ImportedInteraction) -> Iterator[FieldViolation]:
    if bool(each.session) == bool(each.interaction.session_id):
        yield FieldViolation("session", "must be given, or else session_id, and not both")
    if each.session and not is_pseudonym(each.session):
        yield FieldViolation("session", "must be 8 to 64 hexadecimal digits")


def _time_violations(each: ImportedInteraction) -> Iterator[FieldViolation]:
    if each.interaction.occurred_at is None:
        yield FieldViolation("occurred_at", "must be given")
