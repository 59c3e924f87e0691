"""
Who waits for the sender's thread: for a report, for room in the queue, for the spool, for the end.
"""

import math
from collections.abc import Callable, Iterable

from steward.recording.commands import Close, Flush, Room, Save
from steward.types import FlushReport


class Waiters:
    """Those who asked and were not answered yet."""

    def __init__(self) -> None:
        self.flushes: list[Flush] = []
        self.rooms: list[Room] = []
        self.saves: list[Save] = []
        self.closes: list[Close] = []

    def settled(self, numbers: Iterable[int]) -> None:
        """Take note that *numbers* are acknowledged or refused."""
        if self.flushes:
            of_all = list(numbers)
            for flush in self.flushes:
                flush.left -= sum(number <= flush.upto for number in of_all)

    def report(self, now: float, make: Callable[[], FlushReport], *, inherited: bool, safe: bool) -> None:
        """
        Answer each flush whose time has come, with what *make* makes; *inherited* records may be left to send.

        All have come when everything is *safe* on disk and will not be sent from here.
        """
        due = [each for each in self.flushes if safe or each.deadline <= now or _done(each, inherited=inherited)]
        for flush in due:
            self.flushes.remove(flush)
            flush.reply(make())

    def make_room(self, *, room: bool, full: bool) -> None:
        """Answer those who wait for *room*, or cannot hope for it when what is behind the queue is *full* as well."""
        for each in [each for each in self.rooms if room or (full and not each.patient)]:
            self.rooms.remove(each)
            each.reply(room)

    def save(self, saved: Callable[[int], bool], *, full: bool) -> None:
        """Answer those for whom all is *saved* up to their number, or who cannot hope for it."""
        for each in [each for each in self.saves if full or saved(each.upto)]:
            self.saves.remove(each)
            each.reply(saved(each.upto))

    def dismiss(self, make: Callable[[], FlushReport], saved: Callable[[int], bool]) -> None:
        """Answer all but those who wait for the end, as nothing else will happen."""
        self.report(math.inf, make, inherited=False, safe=True)
        for each in self.rooms:
            each.reply(False)
        self.rooms.clear()
        self.save(saved, full=True)

    def end(self) -> None:
        """Answer those who wait for the end."""
        for each in self.closes:
            if each.reply is not None:
                each.reply(True)
        self.closes.clear()


def _done(flush: Flush, *, inherited: bool) -> bool:
    return flush.left <= 0 and not (flush.inherited and inherited)
