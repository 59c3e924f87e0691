"""
Interaction ids: UUIDv7, minted by whoever records.

Pure but for the clock and chance. The layout is that of RFC 9562, section 5.7. The standard library
has one from Python 3.14 on; this one is needed anyway for ids made from a row instead of from chance.
"""

import hashlib
import os
import random
import re
import time

_CANONICAL = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)

_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


# Seeded by the system, and anew in the child of a fork. To ask the system each time would let go of Python's lock each
# time, and who records would wait for who sends. The ids are unique, and no secrets.
_chance = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_chance.seed)


def mint() -> str:
    """Return a new id, later ones sorting after earlier ones to the millisecond."""
    return _format(time.time_ns() // 1_000_000, _chance.getrandbits(80).to_bytes(10, "big"))


def derive(milliseconds: int, content: bytes) -> str:
    """
    Return the id of *content*, always the same one, with *milliseconds* since 1970 as its time.
    """
    return _format(milliseconds, hashlib.sha256(content).digest()[:10])


def parse(text: str) -> bytes | None:
    """Return the 16 bytes of the UUIDv7 in *text*, or None when it is none."""
    return bytes.fromhex(text.replace("-", "")) if _CANONICAL.fullmatch(text) else None


def spell(value: bytes) -> str:
    """Return the canonical text of the 16 bytes *value*."""
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _format(milliseconds: int, tail: bytes) -> str:
    digits = f"{milliseconds % (1 << 48):012x}{tail.hex()}"  # in which version and variant take the places of others
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"
