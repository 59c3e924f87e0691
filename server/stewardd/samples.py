"""
Sample interactions, as an assistant on a portfolio site might report them. The same for the same seed.

Pure: no clock, no disk, no network.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from steward import ids
from steward.types import Interaction


class Kind(NamedTuple):
    """What is asked in one role."""

    role: str
    questions: tuple[tuple[str, str], ...]  # and their types


KINDS = (
    Kind(
        "Software Developer",
        (
            ("Show me the code architecture", "technical"),
            ("How does the RAG engine work?", "technical"),
            ("Explain the role router logic", "technical"),
            ("What does the data pipeline look like?", "technical"),
        ),
    ),
    Kind(
        "Hiring Manager (technical)",
        (
            ("What is the tech stack?", "technical"),
            ("Tell me about the most complex project", "career"),
            ("How are the services deployed?", "technical"),
        ),
    ),
    Kind(
        "Hiring Manager (nontechnical)",
        (
            ("What is the career background?", "career"),
            ("Which achievements matter most?", "career"),
            ("Describe the leadership experience", "career"),
        ),
    ),
    Kind(
        "Just looking around",
        (
            ("What about MMA fights?", "mma"),
            ("Any fun facts?", "fun"),
            ("What can you tell me?", "general"),
        ),
    ),
)
# What people paste into a question. None of it is anyone's.
PERSONAL = (
    "My mail is jordan.doe@example.com, can you answer there?",
    "Call me at 555-010-4477 about the opening",
    "Is SSN 078-05-1120 enough for the background check?",
    "I paid with 4111 1111 1111 1111 from 192.0.2.44, did it work?",
)
SESSIONS = 10
DAYS = 30


def interactions(count: int, *, now: datetime, seed: int = 20250930) -> Iterator[Interaction]:
    """Yield *count* interactions of ten sessions, in the 30 days before *now*, one in 25 with personal data."""
    chance = random.Random(seed)  # noqa: S311 -- a sample, not a secret
    turns = dict.fromkeys(range(SESSIONS), 0)
    first = now - timedelta(days=DAYS)
    moments = sorted(first + timedelta(seconds=chance.uniform(0, DAYS * 86400 - 60)) for _ in range(count))
    for number, moment in enumerate(moments):
        session = chance.randrange(SESSIONS)
        turns[session] += 1
        yield _interaction(number, moment, session=session, turn=turns[session], chance=chance)


def _interaction(number: int, moment: datetime, *, session: int, turn: int, chance: random.Random) -> Interaction:
    kind = KINDS[session % len(KINDS)]
    query, query_type = chance.choice(kind.questions)
    if number % 25 == 3:  # noqa: PLR2004 -- one in 25
        query = PERSONAL[number // 25 % len(PERSONAL)]
    return Interaction(
        interaction_id=ids.derive(int(moment.timestamp() * 1000), f"sample {number}".encode()),
        session_id=f"sample-session-{session}",
        occurred_at=moment,
        user_role=kind.role,
        query=query,
        query_type=query_type,
        response_time_seconds=round(chance.uniform(0.5, 8.0), 3),
        response_length=chance.randint(200, 2000),
        code_snippets_shown=chance.randint(0, 3) if query_type == "technical" else 0,
        citations_provided=chance.randint(0, 5),
        success=chance.random() < 0.85,  # noqa: PLR2004 -- a sample's
        user_rating=float(chance.randint(3, 5)) if chance.random() < 0.6 else None,  # noqa: PLR2004 -- a sample's
        follow_up_query=turn > 1,
        conversation_turn=turn,
    )
