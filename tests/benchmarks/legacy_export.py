"""
The predecessor's way to export, on the same rows: all of them as dictionaries in memory, then into one file.

Given a store and a file, writes CSV, then JSON, and says how many seconds each took.
"""

import csv
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

QUERY = "SELECT i.*, s.pseudonym FROM interaction i JOIN session s ON s.key = i.session ORDER BY i.seq"


def fetched(store: str) -> list[dict[str, Any]]:
    """Return all rows."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(QUERY)]


def to_csv(rows: list[dict[str, Any]], file: Path) -> None:
    """Write *rows* as CSV."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def to_json(rows: list[dict[str, Any]], file: Path) -> None:
    """Write *rows* as JSON."""
    with file.open("w", encoding="utf-8") as out:
        json.dump(rows, out, indent=2, default=str)


def main(store: str, file: str) -> None:
    """Write them in both formats."""
    took = []
    for write in (to_csv, to_json):
        started = perf_counter()
        write(fetched(store), Path(file))
        took.append(perf_counter() - started)
    print(*took)


if __name__ == "__main__":
    main(*sys.argv[1:])
