"""
Files as the predecessor wrote them, of both generations, made by our own code.
"""

import gzip
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

_BOTH = """
CREATE TABLE session_analytics (
  session_id TEXT PRIMARY KEY, user_role TEXT NOT NULL, start_time DATETIME NOT NULL, last_activity DATETIME NOT NULL,
  total_queries INTEGER DEFAULT 0, successful_queries INTEGER DEFAULT 0, avg_response_time REAL DEFAULT 0.0,
  total_code_snippets INTEGER DEFAULT 0, total_citations INTEGER DEFAULT 0, session_rating REAL,
  conversion_achieved BOOLEAN DEFAULT 0, created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE data_retention_policy (
  table_name TEXT PRIMARY KEY, retention_days INTEGER NOT NULL, archive_after_days INTEGER NOT NULL
);
"""
_INTERACTIONS = """
CREATE TABLE user_interactions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, timestamp TEXT NOT NULL, user_role TEXT NOT NULL,
  query TEXT NOT NULL, query_type TEXT, response_time REAL, response_length INTEGER, code_snippets_shown INTEGER,
  citations_provided INTEGER, success BOOLEAN, user_rating INTEGER, follow_up_query BOOLEAN, conversation_turn INTEGER
"""
OLDER = (
    _BOTH
    + _INTERACTIONS
    + """
);
CREATE TABLE content_analytics (
  id INTEGER PRIMARY KEY, content_type TEXT, content_id TEXT, access_count INTEGER, avg_relevance_score REAL,
  user_roles_accessing TEXT, last_accessed TEXT
);
CREATE TABLE business_metrics (
  id INTEGER PRIMARY KEY, date DATE, hiring_manager_sessions INTEGER, developer_sessions INTEGER,
  casual_visitor_sessions INTEGER, avg_session_duration REAL, conversion_to_detailed_queries REAL,
  code_display_engagement REAL, citation_click_through_rate REAL
);
CREATE TABLE query_performance (id INTEGER PRIMARY KEY, query_normalized TEXT, total_asks INTEGER);
CREATE TABLE system_performance (
  id INTEGER PRIMARY KEY, timestamp TEXT, metric_name TEXT, metric_value REAL, metric_unit TEXT, component TEXT,
  alert_threshold REAL, is_alert BOOLEAN, created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
"""
)
NEWER = (
    _BOTH
    + _INTERACTIONS
    + """, privacy_score REAL DEFAULT 1.0, created_at DATETIME
);
CREATE TABLE content_analytics (
  id INTEGER PRIMARY KEY AUTOINCREMENT, content_type TEXT NOT NULL, engagement_score REAL DEFAULT 0.0,
  effectiveness_score REAL DEFAULT 0.0, timestamp DATETIME NOT NULL, metadata TEXT,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE business_metrics (
  id INTEGER PRIMARY KEY AUTOINCREMENT, metric_name TEXT NOT NULL, metric_value REAL NOT NULL,
  metric_type TEXT NOT NULL, timestamp DATETIME NOT NULL, metadata TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE query_performance (
  id INTEGER PRIMARY KEY AUTOINCREMENT, query_hash TEXT NOT NULL, execution_time REAL NOT NULL, result_count INTEGER,
  timestamp DATETIME NOT NULL, created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE system_performance (
  id INTEGER PRIMARY KEY AUTOINCREMENT, metric_name TEXT NOT NULL, metric_value REAL NOT NULL,
  timestamp DATETIME NOT NULL, created_at DATETIME DEFAULT CURRENT_TIMESTAMP
);
"""
)
# The usual row of each table.
_ROWS: dict[str, dict[str, Any]] = {
    "user_interactions": {
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
    },
    "session_analytics": {
        "session_id": "2714dfeca1bf6fed",
        "user_role": "Software Developer",
        "start_time": "2025-09-01 07:54:30",
        "last_activity": "2025-09-01 08:00:00",
    },
    "data_retention_policy": {"table_name": "user_interactions", "retention_days": 365, "archive_after_days": 90},
}
ROWS: dict[str, dict[str, dict[str, Any]]] = {
    OLDER: {
        **_ROWS,
        "content_analytics": {
            "content_type": "project",
            "content_id": "rag-engine",
            "access_count": 7,
            "avg_relevance_score": 0.75,
            "user_roles_accessing": '["Software Developer", "Just looking around"]',
            "last_accessed": "2025-09-01T10:00:00",
        },
        "business_metrics": {
            "date": "2025-09-01",
            "hiring_manager_sessions": 3,
            "developer_sessions": 5,
            "casual_visitor_sessions": 0,
            "avg_session_duration": 12.5,
            "conversion_to_detailed_queries": 0.25,
            "code_display_engagement": 0.5,
            "citation_click_through_rate": 0.1,
        },
        "query_performance": {"query_normalized": "how does it scale", "total_asks": 4},
        "system_performance": {
            "timestamp": "2025-09-01T10:00:00",
            "metric_name": "memory",
            "metric_value": 512.0,
            "metric_unit": "MB",
            "component": "retriever",
            "alert_threshold": 1024.0,
            "is_alert": 0,
        },
    },
    NEWER: {
        **_ROWS,
        "content_analytics": {
            "content_type": "project",
            "engagement_score": 0.5,
            "effectiveness_score": 0.9,
            "timestamp": "2025-09-01 10:00:00",
            "metadata": '{"page": "home", "depth": 3}',
        },
        "business_metrics": {
            "metric_name": "leads",
            "metric_value": 4.0,
            "metric_type": "daily",
            "timestamp": "2025-09-01 10:00:00",
            "metadata": "from the form",
        },
        "query_performance": {
            "query_hash": "9f86d081884c7d65",
            "execution_time": 0.125,
            "result_count": 8,
            "timestamp": "2025-09-01 10:00:00",
        },
        "system_performance": {
            "metric_name": "memory",
            "metric_value": 512.0,
            "timestamp": "2025-09-01 10:00:00",
        },
    },
}
CREATED = "2025-09-02 00:00:00"  # or the clock would be in what ids are made of


def legacy_file(path: Path, *rows: dict[str, Any], schema: str = OLDER, **tables: Sequence[dict[str, Any]]) -> Path:
    """
    Write *rows* of interactions and those of other *tables* to the file at *path*, gzipped when its name says so.

    Each is a change of the usual row.
    """
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    with closing(sqlite3.connect(plain)) as database, database:
        database.executescript(schema.replace("CURRENT_TIMESTAMP", f"'{CREATED}'"))
        for table, changes in {"user_interactions": rows, **tables}.items():
            for change in changes:
                row = {**ROWS[schema][table], **change}
                names, marks = ", ".join(row), ", ".join("?" * len(row))
                database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return path
