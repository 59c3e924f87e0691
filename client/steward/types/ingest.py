"""
Interactions as they go in and come out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

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
    rated_at: datetime | None = None  # when it was last rated after it had been recorded


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


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Numbers that follow each other, both ends included."""

    first: int  # from 1
    last: int  # up to 2^53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """How a recorder numbers what it records, from 1, so that the server knows what has not come."""

    recorder_id: str  # UUIDv7, another one whenever the recorder begins at 1 again
    recorder_name: str = ""  # what operators call it, up to 128 bytes
    numbers: tuple[NumberRange, ...] = ()  # of the interactions, in their order, together as many
    issued: int  # how many it has given out so far
    forgone: tuple[NumberRange, ...] = ()  # those that will never come


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
class RecordReceipt:
    """That a content access, a business metric or a metric point is on disk."""

    record_id: str
    recorded_at: datetime
    redactions: Mapping[str, int] = field(default_factory=dict)  # how many by kind
    already_stored: bool = False
