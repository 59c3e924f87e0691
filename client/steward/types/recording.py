"""
What a Recorder is told, and what it tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, NotRequired, Required, TypedDict


class InteractionFields(TypedDict, total=False):
    """The fields of an Interaction, as Recorder.record takes them: those without a default are required."""

    session_id: Required[str]
    user_role: Required[str]
    query: Required[str]
    query_type: NotRequired[str]
    response_time_seconds: NotRequired[float | None]
    response_length: NotRequired[int | None]
    code_snippets_shown: NotRequired[int]
    citations_provided: NotRequired[int]
    success: NotRequired[bool | None]
    user_rating: NotRequired[float | None]
    follow_up_query: NotRequired[bool]
    conversation_turn: NotRequired[int]
    occurred_at: NotRequired[datetime | None]
    interaction_id: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Block:
    """When the queue is full: wait for room, and raise ResourceExhausted when none comes."""

    timeout: float  # s


Overflow = Literal["spool", "raise", "drop"] | Block  # what is done with a record when the queue is full


class RejectedRecord(NamedTuple):
    """An interaction that is refused for good."""

    interaction_id: str
    reason: str  # which field breaks which rule, never its value; or that the server fails at it and at no other


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushReport:
    """What became of all that a recorder was handed since it was opened. The numbers add up to that."""

    acknowledged: int  # the server has them on disk
    pending: int  # in memory only, as yet
    spooled: int  # on this machine's disk, to be sent later
    rejected: tuple[RejectedRecord, ...]  # refused for good: the latest 1000 of them
    dropped: int  # lost, for the reasons that the counters tell


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderCounters:
    """How a recorder has fared since it was opened, or since the fork that made its process."""

    recorded: int  # all that it was handed: the sum of the next four, and of what was dropped
    acknowledged: int  # the server has them on disk
    pending: int  # in memory only, as yet
    spooled: int  # on this machine's disk, to be sent later
    rejected: int  # refused for good
    dropped: Mapping[str, int]  # lost, by reason: QUEUE_FULL, SPOOL_FULL or CLOSED
    replayed: int  # acknowledged beside those: what others had left in the spool
    replay_rejected: int  # refused for good beside those: of what others had left there
    failures: int  # calls that failed and were, or are, tried again
    last_error: str  # why the latest call failed; empty once one has gone well
    spool_error: str  # why the spool could not be written, or not be read; empty once it could
