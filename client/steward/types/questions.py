"""
What is asked, and what is worth asking.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonQuestion:
    """A question that was asked, in whatever case."""

    question: str  # in its most frequent spelling
    frequency: int
    success_rate: float | None  # 0 to 1
    mean_response_time_seconds: float | None
    query_type: str  # the most frequent
    user_roles: tuple[str, ...]  # in alphabetical order


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonQuestions:
    """What is asked most."""

    since: datetime
    until: datetime | None  # None: without end
    questions: tuple[CommonQuestion, ...]  # the most frequent first


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A question that is worth asking."""

    question: str  # in its most frequent spelling
    frequency: int  # how often it was answered well
    code_rate: float  # 0 to 1, the share of these with code
