"""
What may be stored of a text and of an identity: redaction and pseudonyms, under the store's one key.

Only this module makes Clean text and Pseudonyms, and the store takes nothing else. Pure, but for the key file.
"""

import contextlib
import hmac
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NewType

from steward.disk import sync_directory
from steward.errors import FailedPrecondition

Clean = NewType("Clean", str)  # text without what the rules find
Pseudonym = NewType("Pseudonym", str)  # says which conversation, and not whose

RULES_VERSION = "1"
KEY_BYTES = 32

# The predecessor's five kinds and markers. Every pattern is linear: the runs of the email pattern are possessive and
# begin only where no such run goes before, the others are of bounded length.
_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@[A-Za-z0-9.-]+\.[A-Za-z|]{2,}")
_NUMBER = re.compile(
    r"\b(?:"
    r"(?P<SSN>\d{3}-\d{2}-\d{4})"
    r"|(?P<PHONE>\d{3}-\d{3}-\d{4})"
    r"|(?P<CARD>\d{4}[-\s]?\d{4}[-\s]?\d{4}[-\s]?\d{4})"
    r"|(?P<IP>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})"
    r")\b"
)
_DIGITS = re.compile(r"\d[\d.\s-]{5}")  # without this, no number can match; without an @, no email


Counts = Mapping[str, int]  # how many of each kind were taken out
_NOTHING: Counts = MappingProxyType({})


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of *counts*, kind by kind."""
    added: Counter[str] = Counter()
    for each in counts:
        added.update(each)
    return added


class Redactor:
    """Makes text clean and identities pseudonymous. Holds the key, so it has no useful repr."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._mac = hmac.new(
            key, digestmod="sha256"
        )  # copied for each pseudonym: faster, and holds on to Python's lock
        self.pseudonym = lru_cache(4096)(self._pseudonym)  # a conversation has several turns

    def __reduce__(self) -> tuple[type["Redactor"], tuple[bytes]]:
        """Be made anew in another process of the daemon."""
        return Redactor, (self._key,)

    def redact(self, text: str) -> tuple[Clean, Counts]:
        """
        Return *text* with each value that the rules find replaced by the marker of its kind, and how many those were.

        Takes time linear in the length of *text*. Doing it again changes nothing.
        """
        if "@" not in text and _DIGITS.search(text) is None:
            return Clean(text), _NOTHING
        counts: Counter[str] = Counter()

        def marker(match: re.Match[str]) -> str:
            kind = match.lastgroup or "EMAIL"
            counts[kind] += 1
            return f"[{kind}_REDACTED]"

        return Clean(_NUMBER.sub(marker, _EMAIL.sub(marker, text))), counts

    def redact_all(self, texts: Iterable[str]) -> tuple[Clean, Counts]:
        """
        Return *texts*, each redacted, as a JSON array, and the counts.

        In alphabetical order, without repeats, each on a line of its own.
        """
        cleaned = [self.redact(each) for each in texts]
        array = json.dumps(sorted({text for text, _ in cleaned}), ensure_ascii=False, indent=0)
        return Clean(array), total(counts for _, counts in cleaned)

    def redact_pairs(self, pairs: Mapping[str, str]) -> tuple[Clean, Counts]:
        """Return *pairs*, names and values redacted, as a JSON object in alphabetical order, and the counts."""
        cleaned = [(self.redact(name), self.redact(value)) for name, value in pairs.items()]
        content = json.dumps({name[0]: value[0] for name, value in cleaned}, ensure_ascii=False, sort_keys=True)
        return Clean(content), total(counts for pair in cleaned for _, counts in pair)

    def _pseudonym(self, session_id: str) -> Pseudonym:
        """Return the pseudonym of *session_id*: HMAC-SHA256 under the key, its first 128 bits, as 32 hex digits."""
        mac = self._mac.copy()
        mac.update(session_id.encode())
        return Pseudonym(mac.hexdigest()[:32])

    def kept(self, pseudonym: str) -> Pseudonym:
        """Take over the *pseudonym* that another store gave: hexadecimal digits, checked by the caller."""
        return Pseudonym(pseudonym.lower())

    def sign(self, purpose: str, message: bytes) -> bytes:
        """Return 16 bytes that only the holder of the key can make, for this *purpose* and *message*."""
        derived = hmac.digest(self._key, b"steward/" + purpose.encode(), "sha256")
        return hmac.digest(derived, message, "sha256")[:16]

    def fingerprint(self) -> str:
        """Return what tells this key from another and says nothing about it."""
        return self.sign("fingerprint", b"").hex()


# The key


def load_key(data: Path, *, given: str | None, fresh: bool, keep: bool = True) -> bytes:
    """
    Return the privacy key: the one *given* as 64 hex digits, else that of *data*/privacy.key, made if *fresh*.

    Unless it is to *keep* it, one that is made is written nowhere.

    Raises: FailedPrecondition when there is none and the store is not *fresh*, or when it cannot be trusted.
    """
    path = data / "privacy.key"
    if given:
        return _parsed(given, source="STEWARD_PRIVACY_KEY")
    with contextlib.suppress(FileNotFoundError):
        return _parsed(_guarded(path), source=str(path))
    if not fresh:
        raise FailedPrecondition(
            f"the privacy key of this store is missing: put your copy back as {path}, or set STEWARD_PRIVACY_KEY"
        )
    return _made(path) if keep else os.urandom(KEY_BYTES)


def _guarded(path: Path) -> str:
    mode = path.stat().st_mode
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise FailedPrecondition(f"{path} can be read by others: make it yours alone with chmod 600")
    return path.read_text(encoding="ascii", errors="replace")


def _parsed(text: str, *, source: str) -> bytes:
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(text.strip())
        if len(key) == KEY_BYTES:
            return key
    raise FailedPrecondition(f"the privacy key in {source} must be {2 * KEY_BYTES} hexadecimal digits")


def _made(path: Path) -> bytes:
    """Make a key that is on disk, directory entry and all, before anything is stored under it."""
    key = os.urandom(KEY_BYTES)
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.rename(path)
    sync_directory(path.parent)
    return key
