"""
What content is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from steward import ids


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentAccess:
    """One time that a piece of content was used for an answer."""

    content_type: str  # 1 to 128 bytes, such as project
    content_id: str  # 1 to 128 bytes
    user_role: str = ""
    relevance_score: float | None = None  # on the caller's scale
    engagement_score: float | None = None  # on the caller's scale
    effectiveness_score: float | None = None  # on the caller's scale
    metadata: Mapping[str, str] = field(default_factory=dict)  # up to 32; redacted before it is stored
    occurred_at: datetime | None = None  # aware; None means when the server records it
    access_id: str = field(default_factory=ids.mint)  # UUIDv7


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentItem:
    """Figures of one piece of content; None where there is no data."""

    content_type: str
    content_id: str
    accesses: int
    mean_relevance_score: float | None
    mean_engagement_score: float | None
    mean_effectiveness_score: float | None
    user_roles: tuple[str, ...]  # in alphabetical order
    last_access_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentType:
    """Figures of one kind of content; None where there is no data."""

    content_type: str
    items: int
    accesses: int
    mean_relevance_score: float | None  # the mean of the items' means
    mean_engagement_score: float | None
    mean_effectiveness_score: float | None
    last_access_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentReport:
    """What content is used."""

    items: tuple[ContentItem, ...]  # most used first
    types: tuple[ContentType, ...]  # most used first
