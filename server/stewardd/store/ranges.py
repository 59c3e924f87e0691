"""
Sets of whole numbers as ranges of them, (first, last), in rising order, none touching the next.

Pure: no clock, no disk, no network.
"""

from collections.abc import Iterable, Iterator, Sequence

Range = tuple[int, int]  # first and last, both in it


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Return all numbers in *ranges*, which may come in any order and overlap."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def without(ranges: Sequence[Range], taken: Sequence[Range]) -> list[Range]:
    """Return the numbers in *ranges* that are not in *taken*."""
    return list(_without(ranges, taken))


def _without(ranges: Sequence[Range], taken: Sequence[Range]) -> Iterator[Range]:
    skipped = 0
    for first, last in ranges:
        while skipped < len(taken) and taken[skipped][1] < first:
            skipped += 1
        start, index = first, skipped
        while index < len(taken) and taken[index][0] <= last:
            if start < taken[index][0]:
                yield start, taken[index][0] - 1
            start = taken[index][1] + 1
            index += 1
        if start <= last:
            yield start, last


def size(ranges: Iterable[Range]) -> int:
    """Return how many numbers are in *ranges*."""
    return sum(last - first + 1 for first, last in ranges)


def numbers(ranges: Iterable[Range]) -> Iterator[int]:
    """Yield the numbers in *ranges*, one by one."""
    for first, last in ranges:
        yield from range(first, last + 1)
