"""
Pages by place instead of by number: a page begins after the last row of the one before, however much came since.

Pure: composes queries and runs none.
"""

from typing import Any

Place = tuple[int, int]  # a time in microseconds, and a key that tells rows of one time apart


def newest_first(query: Any, at: Any, key: Any, *, after: Place | None, limit: int) -> Any:
    """Return *query* in descending order of *at* and *key*, the first *limit* rows that come *after* a place."""
    if after is not None:
        time, number = after
        # The first bound is implied by the second; an index is searched by it.
        query = query.where((at <= time) & ((at < time) | ((at == time) & (key < number))))
    return query.order_by(at.desc(), key.desc()).limit(limit)
