"""
What is brought in from elsewhere.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, get_args

from steward.types.business import BusinessMetric
from steward.types.content import ContentAccess
from steward.types.ingest import FieldViolation, Interaction
from steward.types.performance import MetricPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedInteraction:
    """An interaction from somewhere else, as it was there."""

    table: ClassVar[str] = "interactions"

    row: int  # its number at the source
    interaction: Interaction
    session: str = ""  # the pseudonym the source has; the interaction's session_id is then empty
    recorded_at: datetime | None = None  # these two only in an import that preserves: when the source recorded it,
    rated_at: datetime | None = None  # and when it was last rated there


@dataclass(frozen=True, slots=True)
class ImportRejection:
    """A row that was not imported."""

    row: int
    violations: tuple[FieldViolation, ...]
    table: str = "interactions"  # or content_accesses, business_metrics, metrics, sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedContentAccess:
    """Accesses to a piece of content from somewhere else."""

    table: ClassVar[str] = "content_accesses"

    row: int  # its number at the source
    access: ContentAccess
    accesses: int | None = None  # as how many it counts; None means 1
    user_roles: tuple[str, ...] = ()  # when there are several


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedBusinessMetric:
    """A figure of the business from somewhere else."""

    table: ClassVar[str] = "business_metrics"

    row: int  # its number at the source
    metric: BusinessMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMetric:
    """A measurement from somewhere else."""

    table: ClassVar[str] = "metrics"

    row: int  # its number at the source
    point: MetricPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSession:
    """What another place says of a session as a whole, whose interactions are imported first."""

    table: ClassVar[str] = "sessions"

    row: int  # its number at the source
    session_id: str | None = None  # in the recorder's words; or else:
    session: str | None = None  # the pseudonym the source has
    session_rating: float | None = None  # 1 to 5
    conversion_achieved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTable:
    """What became of one kind of thing that was imported."""

    table: str  # interactions, content_accesses, business_metrics, metrics or sessions
    read: int
    stored: int
    already_stored: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of an import."""

    read: int
    stored: int
    already_stored: int
    rejected: int
    rejections: tuple[ImportRejection, ...]  # the first 100
    tables: tuple[ImportedTable, ...] = ()  # the same by kind


Importable = ImportedInteraction | ImportedContentAccess | ImportedBusinessMetric | ImportedMetric | ImportedSession

IMPORT_KINDS: tuple[type[Importable], ...] = get_args(Importable)  # in the order in which they are told
