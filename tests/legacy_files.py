"""
Files as the predecessor wrote them, of both generations, made by our own code.
"""

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

OLDER = """
CREATE TABLE user_interactions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, timestamp TEXT NOT NULL, user_role TEXT NOT NULL,
  query TEXT NOT NULL, query_type TEXT, response_time REAL, response_length INTEGER, code_snippets_shown INTEGER,
  citations_provided INTEGER, success BOOLEAN, user_rating INTEGER, follow_up_query BOOLEAN, conversation_turn INTEGER
);
CREATE TABLE query_performance (id INTEGER PRIMARY KEY, query_normalized TEXT);
"""
NEWER = OLDER.replace(
    "conversation_turn INTEGER", "conversation_turn INTEGER, privacy_score REAL DEFAULT 1.0, created_at DATETIME"
)
ROW: dict[str, Any] = {
    "session_id": "2714dfeca1bf6fed",
    "timestamp": "2025-09-01T07:54:30.946690",
    "user_role": "Software Developer",
    "query": "How does it scale?",
    "query_type": "technical",
    "response_time": 1.5,
    "response_length": 900,
    "code_snippets_shown": 1,
    "citations_provided": 2,
    "success": 1,
    "user_rating": 4,
    "follow_up_query": 0,
    "conversation_turn": 3,
}


def legacy_file(path: Path, *rows: dict[str, Any], schema: str = OLDER) -> Path:
    """Write *rows*, each a change of the usual one, to the file at *path*, gzipped when its name says so."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    with closing(sqlite3.connect(plain)) as database, database:
        database.executescript(schema)
        for change in rows:
            row = {**ROW, **change}
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            database.execute(f"INSERT INTO user_interactions ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return path
