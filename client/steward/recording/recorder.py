"""
What the assistant holds: a Recorder, or an AsyncRecorder, which are two faces of one core.
"""

import asyncio
import math
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, fields
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, Unpack, overload

from steward import errors, ids
from steward.recording import spool as spools
from steward.recording.commands import Claim, Command, Flush, Reply, Sign
from steward.recording.core import GRACE, Bounds, Core
from steward.recording.intake import LONGEST
from steward.recording.segment import LOCKS
from steward.recording.sender import Settings
from steward.transport import Retry, target
from steward.types import (
    LIMITS,
    Block,
    FlushReport,
    Interaction,
    InteractionFields,
    Overflow,
    Receipt,
    RecorderCounters,
    RejectedRecord,
    maker,
)

MIB = 1024 * 1024


class _Face:
    """What both faces have."""

    _waits = True  # whether record may wait for room

    def __init__(
        self,
        address: str | None = None,
        *,
        overflow: Overflow | None = None,
        spool: Path | str | bool = True,
        spool_bytes: int = 256 * MIB,
        queue_records: int = 100_000,
        queue_bytes: int = 128 * MIB,
        batch_records: int = LIMITS.batch_size,
        batch_bytes: int = MIB,
        max_age: float = 0.2,
        timeout: float = 10.0,
        retry: Retry | None = None,
        name: str = "",
        on_rejected: Callable[[RejectedRecord], object] | None = None,
    ) -> None:
        """
        Prepare to record at *address* (HOST:PORT; else STEWARD_TARGET, else 127.0.0.1:50051); connect when first used.

        A batch goes out when it has *batch_records* or *batch_bytes*, or its first record has waited *max_age* seconds.
        A call may take *timeout* seconds, and is tried again with the pauses of *retry*, however often that takes.

        Up to *queue_records* of about *queue_bytes* of memory wait; beyond that the *overflow* says what is done:
        "spool", by default, waits for this machine's disk and for nothing else; Block(timeout) waits for room, and then
        raises as "raise" does at once: ResourceExhausted; "drop" counts what it drops, as does all that meets a full
        spool.

        The *spool* is in the user's state directory, or in one that is given, or off (False): what is not sent goes
        there when the server is away or does not answer, when the queue is full, and at the end. With those of other
        recorders for the same address it takes up to *spool_bytes*. From its first record or flush on, each recorder
        also sends what others left there. Windows has none, as `counters()` tells, and "drop" by default.

        The *name*, by default of host and process, tells the operator which recorder is meant. Each interaction that is
        refused for good is told once, by *on_rejected*, which is called on the recorder's thread.

        Raises: ValueError.
        """
        self.target = target(address)
        directory = _directory(spool) if LOCKS else None
        bounds = Bounds(
            overflow=overflow or ("spool" if directory else "drop"),
            queue_records=queue_records,
            queue_bytes=queue_bytes,
            spool=None if directory is None else spools.of_target(directory, self.target),
            spool_bytes=spool_bytes,
            no_spool="" if LOCKS or spool is False else "there is no spool: this system locks no files",
        )
        settings = Settings(
            target=self.target,
            timeout=min(timeout, LONGEST),
            retry=retry or Retry(),
            batch_records=batch_records,
            batch_bytes=batch_bytes,
            max_age=max_age,
        )
        _demand(bounds, settings)
        if len(name.encode()) > LIMITS.label_bytes or not name.isprintable():
            raise ValueError(f"name: must be printable, on one line, of up to {LIMITS.label_bytes} bytes")
        if isinstance(overflow, Block) and not self._waits:
            raise ValueError("overflow: to block would stop the event loop; take another")
        self._core = Core(settings, bounds, name=name, told=on_rejected)
        weakref.finalize(self, _let_go, self._core).atexit = False

    @overload
    def record(self, interaction: Interaction, /) -> str: ...
    @overload
    def record(self, **fields: Unpack[InteractionFields]) -> str: ...
    def record(self, *given: Interaction, **fields: Any) -> str:
        """
        Take an interaction, or its fields, to be sent soon; return its id at once.

        It occurred now unless it says when. Raises: RuntimeError when the recorder is closed; TypeError when this is no
        interaction; ResourceExhausted when the queue is full and the overflow says so. Never for the network's sake.
        """
        taken = _interaction(given, fields)
        self._core.intake.put(taken)
        return taken.interaction_id

    def counters(self) -> RecorderCounters:
        """Return how this recorder has fared, as of about now."""
        return self._core.counters()


class Recorder(_Face):
    """
    Records interactions without ever being in the way: from any thread, in forks too; close it at the end.

    Use it as a context, or close it; at exit and on SIGTERM it closes by itself.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @overload
    def record_now(self, interaction: Interaction, /, *, timeout: float = 10.0) -> Receipt: ...
    @overload
    def record_now(self, *, timeout: float = 10.0, **fields: Unpack[InteractionFields]) -> Receipt: ...
    def record_now(self, *given: Interaction, timeout: float = 10.0, **fields: Any) -> Receipt:
        """
        Record as `record` does, and wait for the receipt: it is on the server's disk.

        Raises: as `record` does; InvalidArgument when it is refused; DeadlineExceeded when no receipt came within
        *timeout* seconds: it is sent all the same, as soon as that goes.
        """
        timeout = _seconds(timeout)
        answer: SimpleQueue[Receipt | errors.Error] = SimpleQueue()
        self._core.intake.put(_interaction(given, fields), Claim(answer.put, time.monotonic() + timeout))
        self._core.intake.tell(Sign.HURRY)
        try:
            return _receipt(answer.get(timeout=timeout))
        except Empty:
            raise _late(timeout) from None

    def flush(self, timeout: float = 5.0) -> FlushReport:
        """
        Send all that was recorded until now; wait up to *timeout* seconds until it is acknowledged or refused.

        Return what became of all that was recorded since this recorder was opened. Acknowledged means on the server's
        disk.
        """
        timeout = _seconds(timeout)
        core, deadline = self._core, time.monotonic() + timeout
        report = core.intake.ask(_flush(deadline), timeout + GRACE) if core.flushable else None
        return report or core.report()

    def close(self, timeout: float = 5.0) -> FlushReport:
        """
        Send what can be sent within *timeout* seconds in all, put the rest into the spool, and end.

        Return what became of all. To close again does nothing and returns the same.
        """
        timeout = _seconds(timeout)
        deadline = time.monotonic() + timeout
        self._core.ask_to_close(deadline)
        self._core.wait_closed(deadline)
        return self._core.report()


class AsyncRecorder(_Face):
    """
    A Recorder for code under asyncio: `record` is the same plain call; what waits is to be awaited.

    It needs no loop of its own, and may be made before there is one. It takes no Block.
    """

    _waits = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @overload
    async def record_now(self, interaction: Interaction, /, *, timeout: float = 10.0) -> Receipt: ...
    @overload
    async def record_now(self, *, timeout: float = 10.0, **fields: Unpack[InteractionFields]) -> Receipt: ...
    async def record_now(self, *given: Interaction, timeout: float = 10.0, **fields: Any) -> Receipt:
        """
        Record as `record` does, and wait for the receipt: it is on the server's disk.

        Raises: as `record` does; InvalidArgument when it is refused; DeadlineExceeded when no receipt came within
        *timeout* seconds: it is sent all the same, as soon as that goes.
        """
        timeout = _seconds(timeout)
        answer, reply = _awaited()
        self._core.intake.put(_interaction(given, fields), Claim(reply, time.monotonic() + timeout))
        self._core.intake.tell(Sign.HURRY)
        try:
            return _receipt(await asyncio.wait_for(answer, timeout))
        except TimeoutError:
            raise _late(timeout) from None

    async def flush(self, timeout: float = 5.0) -> FlushReport:
        """
        Send all that was recorded until now; wait up to *timeout* seconds until it is acknowledged or refused.

        Return what became of all that was recorded since this recorder was opened. Acknowledged means on the server's
        disk.
        """
        timeout = _seconds(timeout)
        core, deadline = self._core, time.monotonic() + timeout
        if not core.flushable:
            return core.report()
        answer, reply = _awaited()
        if not core.intake.tell(_flush(deadline)(reply)):
            return core.report()
        try:
            return await asyncio.wait_for(answer, timeout + GRACE)
        except TimeoutError:
            return core.report()

    async def close(self, timeout: float = 5.0) -> FlushReport:
        """
        Send what can be sent within *timeout* seconds in all, put the rest into the spool, and end.

        Return what became of all. To close again does nothing and returns the same.
        """
        timeout = _seconds(timeout)
        deadline = time.monotonic() + timeout
        answer, reply = _awaited()
        if self._core.ask_to_close(deadline, reply):
            try:
                await asyncio.wait_for(answer, timeout + GRACE)
            except TimeoutError:
                return self._core.report()
        self._core.wait_closed(deadline)  # which takes a moment only: the thread has ended, or none was to be had
        return self._core.report()


_make: Callable[..., Interaction] = maker(Interaction)
_DEFAULTS: dict[str, Any] = {each.name: each.default for each in fields(Interaction)}
_REQUIRED = frozenset(
    each.name for each in fields(Interaction) if each.default is MISSING and each.default_factory is MISSING
)


def _interaction(given: tuple[Interaction, ...], named: dict[str, Any]) -> Interaction:
    """Return the one that is *given*, or that of the fields *named*, made in a third of the time. Raises: TypeError."""
    if not given:
        values = _DEFAULTS | named
        if len(values) > len(_DEFAULTS) or not named.keys() >= _REQUIRED:
            return Interaction(**named)  # says what is wrong
        if "interaction_id" not in named:
            values["interaction_id"] = ids.mint()
        return _make(*values.values())
    if named or len(given) > 1 or not isinstance(given[0], Interaction):
        raise TypeError("record takes an Interaction, or the fields of one by their names")
    return given[0]


def _receipt(answer: Receipt | errors.Error) -> Receipt:
    """Return *answer*, or raise it."""
    if isinstance(answer, errors.Error):
        raise answer
    return answer


def _seconds(timeout: float) -> float:
    """Return *timeout* as what can be waited for: for ever is 30 years, less than nothing is nothing."""
    if math.isnan(timeout):
        raise ValueError("timeout: must be a number of seconds")
    return min(max(timeout, 0.0), LONGEST)


def _late(timeout: float) -> errors.DeadlineExceeded:
    return errors.DeadlineExceeded(f"no receipt came within {timeout:g} s; the interaction is kept, and still sent")


def _flush(deadline: float) -> Callable[[Reply], Command]:
    return lambda reply: Flush(reply, deadline)


def _awaited() -> tuple[asyncio.Future[Any], Reply]:
    """Return what may be awaited in the running loop, and what answers it from another thread."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any) -> None:
        if not answer.done():
            answer.set_result(value)

    def reply(value: Any) -> None:
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(settle, value)

    return answer, reply


def _directory(spool: Path | str | bool) -> Path | None:  # noqa: FBT001 -- as the user gives it
    """Return where the spool is, None when there is to be none."""
    if spool is True:
        return spools.default_directory()
    return None if spool is False else Path(spool)


def _demand(bounds: Bounds, settings: Settings) -> None:
    """Raise ValueError when something cannot be as it is asked for."""
    if not 1 <= settings.batch_records <= LIMITS.batch_size:
        raise ValueError(f"batch_records: must be 1 to {LIMITS.batch_size}")
    if not 1 <= settings.batch_bytes <= LIMITS.message_bytes // 2:
        raise ValueError(f"batch_bytes: must be 1 to {LIMITS.message_bytes // 2}")
    if not (settings.max_age > 0 and settings.timeout > 0):  # as nan is not
        raise ValueError("max_age and timeout: must be more than 0 seconds")
    if min(bounds.queue_records, bounds.queue_bytes, bounds.spool_bytes) < 1:
        raise ValueError("queue_records, queue_bytes and spool_bytes: must be 1 or more")
    if bounds.overflow == "spool" and bounds.spool is None:
        raise ValueError('overflow: "spool" needs a spool')
    if isinstance(bounds.overflow, Block) and not bounds.overflow.timeout >= 0:
        raise ValueError("overflow: must block for 0 seconds or more")
    if not isinstance(bounds.overflow, Block) and bounds.overflow not in ("spool", "raise", "drop"):
        raise ValueError('overflow: must be "spool", "raise", "drop" or Block(timeout)')


def _let_go(core: Core) -> None:
    """Close the core of a recorder that nobody holds any more."""
    core.let_go(time.monotonic() + 5.0)
