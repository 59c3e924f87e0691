"""
Reads interactions back that were exported as JSON Lines or CSV, so that they can be imported.

Runs where the file is, not in the server. Reads a row at a time and holds no more; what can be no interaction is a
rejection.
"""

from steward.tables.opening import Source
from steward.tables.reading import COLUMNS, csv_rows, jsonl_rows

__all__ = ["COLUMNS", "Source", "csv_rows", "jsonl_rows"]
