"""
Interactions for tests.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from steward import Client, Interaction, Receipt
from steward.types import ImportedInteraction
from steward.v1 import export_pb2
from stewardd.rpc import batches

NOON = datetime(2025, 9, 30, 12, tzinfo=UTC)


def interaction(**changes: Any) -> Interaction:
    """Return a good interaction, with *changes*."""
    fields: dict[str, Any] = {
        "session_id": "session-1",
        "user_role": "Software Developer",
        "query": "How does the RAG engine work?",
        "query_type": "technical",
        "response_time_seconds": 1.5,
        "response_length": 900,
        "code_snippets_shown": 1,
        "citations_provided": 2,
        "success": True,
        "occurred_at": NOON,
    }
    return Interaction(**{**fields, **changes})


def imported(row: int = 1, *, session: str = "", **changes: Any) -> ImportedInteraction:
    """Return an interaction to import, with *changes*."""
    return ImportedInteraction(row=row, interaction=interaction(**changes), session=session)


def tampered(token: str) -> str:
    """Return *token* with its first character, which is all of it content, made another one."""
    return ("B" if token.startswith("A") else "A") + token[1:]


def recorded(client: Client, *interactions: Interaction) -> list[Receipt]:
    """Record *interactions*, all of which must be good, and return their receipts."""
    outcomes = client.record_interactions(interactions)
    receipts = [each for each in outcomes if isinstance(each, Receipt)]
    assert len(outcomes) == len(receipts)
    return receipts


def laid_out(rows: Sequence[tuple[Any, ...]]) -> export_pb2.InteractionColumns:
    """Return *rows*, as the store has them, in the layout of columns."""
    part = export_pb2.ExportBatch()
    batches.lay_out(rows, part, layout=export_pb2.EXPORT_LAYOUT_COLUMNS)
    return part.columns
