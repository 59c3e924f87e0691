"""
Text that a spreadsheet opens without taking it for a formula.
"""

import re
from typing import Any

from steward.types import FORMULA_STARTS

# What a spreadsheet would take for a formula, or would once it lost an apostrophe:
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(f"'*[{re.escape(FORMULA_STARTS)}]")


def harmless(cell: Any) -> Any:
    """Return *cell* so that no spreadsheet takes its text for a formula: with an apostrophe before it."""
    return "'" + cell if isinstance(cell, str) and _FORMULA.match(cell) else cell
