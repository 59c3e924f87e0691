"""
What happens to a process: it forks, it exits, it is told to end. Every open recorder is asked to see to it.

A fork: gRPC does not survive one, so the parent's senders let go of their connections before it, and go on after it;
the child's recorders begin anew and empty. An exit closes them. SIGTERM, where nobody handles it, closes them and
then ends the process as it would have; where somebody did before us, all is put into the spool before he is called.
"""

import atexit
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Protocol

AT_EXIT = 5.0  # s for all recorders together
AT_FORK = 2.0  # s to let go of the connections


class Mortal(Protocol):
    """What is asked to see to it."""

    def ask_to_close(self, deadline: float) -> object:
        """Begin to close, to have ended at *deadline*, monotonic."""

    def wait_closed(self, deadline: float) -> None:
        """Wait until it is closed, or the *deadline* has passed."""

    def save(self, deadline: float) -> None:
        """Put all into the spool until the *deadline*."""

    def before_fork(self, deadline: float) -> None:
        """Let go of what a fork would break, until the *deadline*."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Begin anew."""


_open: dict[int, Mortal] = {}  # by id: what a signal handler may look at while another thread adds
_hooked = threading.Lock()
_previous: Any = None  # what handled SIGTERM before us, once we do


def watch(recorder: Mortal) -> None:
    """Have *recorder* asked from now on."""
    _hook()
    _open[id(recorder)] = recorder


def forget(recorder: Mortal) -> None:
    """Have *recorder* asked no more."""
    _open.pop(id(recorder), None)


def _hook() -> None:
    """Have ourselves told of forks, of the exit and of SIGTERM, once."""
    if _hooked.acquire(blocking=False):
        atexit.register(_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
    _handle_sigterm()


def _handle_sigterm() -> None:
    """
    Come before whoever handles SIGTERM now; only the main thread may. Whoever comes later comes before us.

    Where we were left out meanwhile, and nobody handles it any more, as after an asyncio loop that did, come back.
    """
    global _previous  # noqa: PLW0603 -- a process has one
    if threading.current_thread() is not threading.main_thread():
        return
    found = signal.getsignal(signal.SIGTERM)
    if found is signal.SIG_DFL or (callable(found) and _previous is None):  # it may be ignored, or not Python's
        _previous = found
        signal.signal(signal.SIGTERM, _sigterm)


def _sigterm(number: int, frame: FrameType | None) -> None:
    if callable(_previous):
        deadline = time.monotonic() + AT_EXIT
        for each in _all():
            each.save(deadline)
        _previous(number, frame)
    else:
        _exit()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _exit() -> None:
    deadline, found = time.monotonic() + AT_EXIT, _all()
    for each in found:
        each.ask_to_close(deadline)
    for each in found:
        each.wait_closed(deadline)


def _before() -> None:
    deadline = time.monotonic() + AT_FORK
    for each in _all():
        each.before_fork(deadline)


def _in_parent() -> None:
    for each in _all():
        each.after_fork_in_parent()


def _in_child() -> None:
    for each in _all():
        each.after_fork_in_child()
    if "multiprocessing.util" in sys.modules:  # whose children end without an exit; it forgets what was set up before
        multiprocessing = sys.modules["multiprocessing.util"]
        multiprocessing.register_after_fork(_exit, lambda _: multiprocessing.Finalize(None, _exit, exitpriority=0))


def _all() -> list[Mortal]:
    return list(_open.values())
