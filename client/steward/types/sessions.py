"""
Conversations.
"""

from dataclasses import dataclass
from datetime import datetime


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
    session_rating: float | None = None  # of the session as a whole, from an import
