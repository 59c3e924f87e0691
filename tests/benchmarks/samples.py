"""
What is recorded: conversations that come and go, some 200 at a time, 8 turns each.

Pure: an index gives the same interaction in every process.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random

from steward import codec, ids
from steward.types import Interaction
from steward.v1.ingest_pb2 import RecordInteractionRequest, RecordInteractionsRequest
from steward.v1.interaction_pb2 import Interaction as Message

OPEN_SESSIONS = 200
TURNS = 8
PER_MS = 4  # interactions, about as fast as they come one by one: so ids are in order, but not quite
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ROLES = ("Software Developer", "Hiring Manager (technical)", "Hiring Manager (nontechnical)", "Just looking around")
KINDS = ("technical", "career", "mma", "fun", "general")
WORDS = (
    *("how", "does", "what", "would", "you", "explain", "the", "a", "of", "in", "with", "which", "project", "between"),
    *("pipeline", "retrieval", "answer", "model", "stack", "database", "experience", "team", "career", "fight", "best"),
    *("training", "python", "design", "tests", "deployment", "show", "me", "code", "and", "please", "compare", "about"),
    *("vector", "search", "embeddings", "latency", "quality", "assistant", "favourite", "hobby", "work", "typescript"),
)


def _text(random: Random) -> str:
    """Return 40 to 120 characters; one text in 20 has a number in it, one in 100 something to redact."""
    words = [random.choice(WORDS)]
    least = random.randint(40, 105)
    while len(" ".join(words)) < least:
        words.append(random.choice(WORDS))
    if random.random() < 0.05:
        words[-1] = str(random.randint(1, 2026))
    if random.random() < 0.01:
        words[-1] = "me@example.org"
    return " ".join(words)


TEXTS = tuple(map(_text, map(Random, range(997))))


def interaction(index: int) -> Interaction:
    """Return interaction number *index* of all."""
    slot, sweep = index % OPEN_SESSIONS, index // OPEN_SESSIONS
    turn = sweep + slot % TURNS  # not all conversations begin at once
    milliseconds = index // PER_MS
    return Interaction(
        session_id=f"visitor {slot}, conversation {turn // TURNS}",
        user_role=ROLES[slot % len(ROLES)],
        query=TEXTS[index % len(TEXTS)],
        query_type=KINDS[index % len(KINDS)],
        response_time_seconds=0.2 + index % 37 / 10,
        response_length=200 + index % 1500,
        code_snippets_shown=index % 3,
        citations_provided=index % 2,
        success=index % 10 > 0,
        conversation_turn=turn % TURNS + 1,
        occurred_at=BEGIN + timedelta(milliseconds=milliseconds),
        interaction_id=ids.derive(int(BEGIN.timestamp() * 1000) + milliseconds, index.to_bytes(8, "big")),
    )


def messages(indexes: Iterable[int]) -> list[Message]:
    """Return the interactions of *indexes*, ready to send."""
    return [codec.encode(Message, interaction(index)) for index in indexes]


def singles(indexes: range) -> list[RecordInteractionRequest]:
    """Return a request for each of *indexes*."""
    return [RecordInteractionRequest(interaction=each) for each in messages(indexes)]


def batches(indexes: range, *, size: int) -> list[RecordInteractionsRequest]:
    """Return requests of *size* interactions each."""
    starts = range(0, len(indexes), size)
    return [RecordInteractionsRequest(interactions=messages(indexes[start : start + size])) for start in starts]
