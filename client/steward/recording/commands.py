"""
What the sender's thread is asked. Whoever asks hands over a reply, which is called on that thread.

A Claim comes with a record, all else by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

Reply = Callable[[Any], object]


@dataclass(slots=True, eq=False)
class Flush:
    """Asks for a FlushReport when all that was recorded before is settled, or the time is up."""

    reply: Reply
    deadline: float  # s, monotonic
    inherited: bool = False  # whether what others left in the spool is meant as well
    upto: int = 0  # the last number it is about
    left: int = 0  # how many up to that are not settled


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Wants the receipt of a record, or why there is none, until the time is up."""

    reply: Reply
    deadline: float  # s, monotonic


@dataclass(frozen=True, slots=True, eq=False)
class Close:
    """Asks to send what can be sent, to put the rest into the spool, and to end."""

    deadline: float  # s, monotonic
    reply: Reply | None = None  # called when it has ended


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """Asks for True when the queue has room; or for False when it will have none, unless it is *patient*."""

    reply: Reply
    patient: bool


@dataclass(slots=True, eq=False)
class Save:
    """Asks to have all in the spool that was recorded before and is not acknowledged."""

    reply: Reply
    upto: int = 0  # the last number it is about


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """Asks to let go of the connection, and to do nothing before WAKE: the process is about to fork."""

    reply: Reply


class Sign(Enum):
    """What needs no answer."""

    LOOK = auto()  # into the queue
    HURRY = auto()  # send what is in the queue at once
    WAKE = auto()  # ends a rest


Command = Flush | Close | Room | Save | Rest | Sign
