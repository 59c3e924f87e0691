"""
How figures are shown: a JSON object a line, numbers to four digits.
"""

import json
from collections.abc import Mapping
from typing import Any


def show(line: Mapping[str, Any]) -> None:
    """Print *line*."""
    print(json.dumps({name: _short(value) for name, value in line.items()}), flush=True)


def _short(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value
