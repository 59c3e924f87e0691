"""
Exported tables of interactions, written as an export writes them.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from steward import Client
from steward.types import RecordedInteraction

COLUMNS = (
    "interaction_id",
    "session",
    "occurred_at",
    "recorded_at",
    "user_role",
    "query",
    "query_type",
    "response_time_seconds",
    "response_length",
    "code_snippets_shown",
    "citations_provided",
    "success",
    "user_rating",
    "follow_up_query",
    "conversation_turn",
    "rated_at",
)
GOOD: dict[str, Any] = {
    "interaction_id": "0190163d-8694-739b-aea5-966c26f8ad91",
    "session": "ab" * 16,
    "occurred_at": "2025-09-30T12:00:00.000000Z",
    "recorded_at": "2025-09-30T12:00:01.000000Z",
    "user_role": "Software Developer",
    "query": "How?",
    "query_type": "",
    "response_time_seconds": None,
    "response_length": None,
    "code_snippets_shown": 0,
    "citations_provided": 0,
    "success": None,
    "user_rating": None,
    "follow_up_query": False,
    "conversation_turn": 1,
    "rated_at": None,
}


def good(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a row of an id of its own, with *changes*."""
    return {**GOOD, "interaction_id": f"0190163d-8694-739b-aea5-{number:012x}", **changes}


def exported(client: Client, table: str) -> list[dict[str, str]]:
    """Return the rows of a *table*, as its export in CSV has them."""
    content = b"".join(client.export_table(table)).decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


def row(each: RecordedInteraction) -> dict[str, Any]:
    """Return what an export writes of *each*."""
    return {name: _spelled(getattr(each, name)) for name in COLUMNS}


def _spelled(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    """Return *rows* as JSON Lines."""
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows).encode()


def as_csv(rows: Iterable[dict[str, Any]], *, columns: Sequence[str] = COLUMNS, raw: bool = False) -> bytes:
    """Return *rows* as CSV with *columns*, its text made harmless unless *raw*."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(each[name], raw=raw) for name in columns] for each in rows)
    return text.getvalue().encode()


def _cell(value: Any, *, raw: bool) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not raw and re.match(r"'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]", value):
        return "'" + value
    return value
