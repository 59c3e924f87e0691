"""
The values that go in and come out. Frozen, named as in the .proto files, times aware, durations in seconds.

A leaf: imports nothing of Steward but the id's mint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from steward import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One question that the assistant answered, as the assistant reports it."""

    session_id: str  # 1 to 128 bytes; only its pseudonym is stored
    user_role: str  # 1 to 128 bytes
    query: str  # 1 byte to 64 KiB; redacted before it is stored
    query_type: str = ""  # up to 128 bytes; empty when not known
    response_time_seconds: float | None = None  # 0 to 10^9; None when not known
    response_length: int | None = None  # characters; None when not known
    code_snippets_shown: int = 0
    citations_provided: int = 0
    success: bool | None = None  # whether it was answered well; None when not known
    user_rating: float | None = None  # 1 to 5
    follow_up_query: bool = False
    conversation_turn: int = 1  # from 1
    occurred_at: datetime | None = None  # aware; None means when the server records it
    interaction_id: str = field(default_factory=ids.mint)  # UUIDv7


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedInteraction:
    """One interaction as the store keeps it."""

    seq: int  # order of arrival
    interaction_id: str
    session: str  # pseudonym
    occurred_at: datetime  # UTC
    recorded_at: datetime  # UTC
    user_role: str
    query: str  # redacted
    query_type: str
    response_time_seconds: float | None
    response_length: int | None  # characters
    code_snippets_shown: int
    citations_provided: int
    success: bool | None
    user_rating: float | None
    follow_up_query: bool
    conversation_turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionFilter:
    """Which interactions are meant; what is unset does not narrow."""

    since: datetime | None = None
    until: datetime | None = None
    user_roles: tuple[str, ...] = ()
    query_types: tuple[str, ...] = ()
    session_id: str | None = None  # in the recorder's words; or else:
    session: str | None = None  # the pseudonym
    success: bool | None = None
    min_rating: float | None = None
    max_rating: float | None = None
    text: str = ""  # what the redacted question contains


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field that breaks a rule."""

    field: str
    rule: str  # what would be right


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """That an interaction is on disk, and what became of it."""

    interaction_id: str
    seq: int
    session: str
    recorded_at: datetime
    redactions: Mapping[str, int] = field(default_factory=dict)  # how many by kind
    already_stored: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an interaction was not stored."""

    violations: tuple[FieldViolation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation, as its interactions make it."""

    session: str  # pseudonym
    user_role: str  # of its first recorded interaction
    started_at: datetime
    last_activity_at: datetime
    total_queries: int
    successful_queries: int
    mean_response_time_seconds: float | None
    total_code_snippets: int
    total_citations: int
    mean_rating: float | None
    conversion_achieved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionFigures:
    """Figures of the interactions that occurred in a window; None where there is no data."""

    total: int
    unique_sessions: int
    mean_response_time_seconds: float | None
    success_rate: float | None  # 0 to 1
    mean_rating: float | None  # 1 to 5
    code_snippets: int
    citations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFigures:
    """Figures of the sessions that started in a window, each over its whole life; None where there is no data."""

    total: int
    queries_per_session: float | None
    mean_response_time_seconds: float | None
    conversion_rate: float | None  # 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a window of time."""

    since: datetime
    until: datetime | None  # None: without end
    interactions: InteractionFigures
    sessions: SessionFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedInteraction:
    """An interaction from somewhere else, as it was there."""

    row: int  # its number at the source
    interaction: Interaction
    session: str = ""  # the pseudonym the source has; the interaction's session_id is then empty


@dataclass(frozen=True, slots=True)
class ImportRejection:
    """A row that was not imported."""

    row: int
    violations: tuple[FieldViolation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of an import."""

    read: int
    stored: int
    already_stored: int
    rejected: int
    rejections: tuple[ImportRejection, ...]  # the first 100


class ComponentStatus(IntEnum):
    """How a component is. A higher one is worse."""

    UNSPECIFIED = 0
    OK = 1
    DEGRADED = 2
    FAILING = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """A number about a component."""

    name: str
    value: float
    unit: str  # UCUM: By, s, {row}


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the server and how it is."""

    name: str
    status: ComponentStatus
    reason: str
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemHealth:
    """How the server is."""

    status: ComponentStatus  # the worst of the components
    components: tuple[Component, ...]
    checked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server accepts at most."""

    id_bytes: int = 128
    label_bytes: int = 128
    text_bytes: int = 64 * 1024
    batch_size: int = 1000
    page_size: int = 1000
    message_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcFigures:
    """How an RPC has fared since the server started."""

    method: str  # package.Service/Method
    calls: int
    errors: int
    mean_seconds: float
    p99_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What server this is."""

    version: str
    sqlite_version: str
    python_version: str
    grpc_version: str
    protobuf_version: str
    schema_version: str
    redaction_rules_version: str
    epoch: str
    started_at: datetime
    limits: Limits
    rpcs: tuple[RpcFigures, ...]


LIMITS = Limits()


def maker(kind: type) -> Callable[..., Any]:
    """
    Return what makes a value of the frozen *kind* from all its fields, in order, for where many are made.

    To freeze a dataclass is to make its __init__ eight times as slow. So the value is made as an unfrozen twin with the
    same slots, and then told its class.
    """
    twin = make_dataclass(kind.__name__, [each.name for each in fields(kind)], slots=True)

    def make(*values: object) -> object:
        value = twin(*values)
        value.__class__ = kind
        return value

    return make
