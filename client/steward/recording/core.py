"""
A recorder's queue, sender and spool put together, and put together anew in the child of a fork.
"""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from steward import ids
from steward.recording import ends
from steward.recording.batches import Life
from steward.recording.commands import Close, Reply, Rest, Save, Sign
from steward.recording.intake import Intake
from steward.recording.sender import Sender, Settings
from steward.recording.spool import Spool
from steward.transport import used
from steward.types import FlushReport, Overflow, RecorderCounters, RejectedRecord

MARGIN = 0.2  # of the time to close in, kept for the spool
GRACE = 0.25  # s beyond a deadline that the thread may take to say so


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much waits where, and what is done beyond that."""

    overflow: Overflow
    queue_records: int
    queue_bytes: int
    spool: Path | None  # the directory of the target
    spool_bytes: int
    no_spool: str = ""  # why there is none, though there was to be one


class Core:
    """What a recorder is but for its face: `intake` takes records in."""

    intake: Intake

    def __init__(
        self, settings: Settings, bounds: Bounds, *, name: str, told: Callable[[RejectedRecord], object] | None
    ) -> None:
        """Begin; what is in the spool is replayed when there is something to send, or it is asked to flush."""
        self._settings = settings
        self._bounds = bounds
        self._name = name
        self._told = told
        self._begin()
        ends.watch(self)

    def _begin(self, *, closed: bool = False) -> None:
        settings, bounds = self._settings, self._bounds
        life = Life(ids.mint(), self._name or f"{socket.gethostname()}/{os.getpid()}")
        spool = None if bounds.spool is None else Spool(bounds.spool, limit=bounds.spool_bytes, life=life)
        self._sender = Sender(settings, life=life, spool=spool, told=self._told)
        self._sender.intake = self.intake = Intake(
            self._run,
            overflow=bounds.overflow,
            records=bounds.queue_records,
            size=bounds.queue_bytes,
            batch=settings.batch_records,
        )
        self.intake.closed = closed

    def _run(self) -> None:
        """Be the thread; until it ends, whoever ends the process must wait for it."""
        try:
            self._sender.run()
        finally:
            ends.forget(self)

    @property
    def quiet(self) -> bool:
        """Whether there is no thread that could answer, and nothing to start one for: nothing yet, or no more."""
        thread = self.intake.thread
        return not self.intake.queue if thread is None else not thread.is_alive()

    @property
    def flushable(self) -> bool:
        """Whether there is something to flush: what the thread has, or what is in the spool, which gets one then."""
        if self.intake.thread is not None or self.intake.closed:
            return not self.quiet
        return bool(self.intake.queue) or (self._sender.spool is not None and not self._sender.spool.empty)

    @property
    def replaying(self) -> bool:
        """Whether anything in the spool is to be sent, its own or what it took over."""
        return self._sender.replaying

    def report(self) -> FlushReport:
        """Return what became of all that was recorded."""
        return self._sender.tally.report(queued=len(self.intake.queue), lost=self.intake.lost.total())

    def counters(self) -> RecorderCounters:
        """Return how it has fared."""
        spool = self._sender.spool
        return self._sender.tally.counters(
            queued=len(self.intake.queue),
            lost=self.intake.lost,
            spool_error=self._bounds.no_spool if spool is None else spool.trouble,
        )

    # The end, and forks

    def ask_to_close(self, deadline: float, reply: Reply | None = None) -> bool:
        """
        Take no more records, and begin to close, to have ended at *deadline*, monotonic.

        Return whether the thread calls *reply* at the end.
        """
        self.intake.closed = True
        self.intake.commands.put(Close(deadline - MARGIN * max(deadline - time.monotonic(), 0.0), reply))
        if self.quiet:
            return False  # no thread is needed to close what was never used
        return self.intake.tell(Sign.LOOK)

    def wait_closed(self, deadline: float) -> None:
        """Wait until it is closed, or the *deadline* has passed."""
        with self.intake.standing_in() as alone:
            if alone:  # no thread was to be had, as when an interpreter ends
                self._sender.strand()  # gRPC needs threads
                self.intake.commands.put(Close(time.monotonic()))  # which leaves nothing to wait for
                self._run()
        thread = self.intake.thread
        if thread is not None:
            with suppress(RuntimeError):  # a signal came while it was started
                thread.join(max(deadline - time.monotonic(), 0.0) + GRACE)
        self._forget_if_quiet()

    def let_go(self, deadline: float) -> None:
        """Close without waiting for it: the thread sends what is left until the *deadline*."""
        self.ask_to_close(deadline)
        self._forget_if_quiet()

    def _forget_if_quiet(self) -> None:
        """Ask to be told of no end any more, unless a thread still has something in hand, which then does it."""
        if self.quiet:
            ends.forget(self)

    def save(self, deadline: float) -> None:
        """Put all into the spool until the *deadline*, if there is one."""
        if not self.quiet:
            self.intake.ask(Save, deadline - time.monotonic())

    def before_fork(self, deadline: float) -> None:
        """Let go of the connection until the *deadline*."""
        if not self.quiet:
            self.intake.ask(Rest, deadline - time.monotonic())

    def after_fork_in_parent(self) -> None:
        """Go on; and where the child may not connect, see to what it spools."""
        if not self.quiet:
            self.intake.tell(Sign.WAKE)
        elif used() and self._sender.spool is not None and not self.intake.closed:
            self.intake.tell(Sign.LOOK)

    def after_fork_in_child(self) -> None:
        """Begin anew: what the parent was handed is the parent's. What it closed is closed here too."""
        if self._sender.spool is not None:
            self._sender.spool.abandon()
        self._begin(closed=self.intake.closed)
        if self.intake.closed:
            ends.forget(self)
