"""
Pages of a list: their size, and the tokens that ask for the next one.

A token holds a place in the order, and is signed together with the request and the store's epoch: it works for the
same question to the same store, and for no other.
"""

import base64
import binascii
import hmac
import struct
from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from steward.errors import InvalidArgument
from steward.types import LIMITS, FieldViolation
from stewardd.privacy import Redactor
from stewardd.store.keyset import Place

T = TypeVar("T")

DEFAULT_SIZE = 100
_PLACE = struct.Struct(">qq")
_SIGNATURE = 16


def size(requested: int) -> int:
    """Return how many items a page of the *requested* size has. Raises: InvalidArgument when that is below 0."""
    if requested < 0:
        raise InvalidArgument.of(
            FieldViolation(
                "page_size",
                f"must be 0 or more; 0 means {DEFAULT_SIZE}, over {LIMITS.page_size} means {LIMITS.page_size}",
            )
        )
    return min(requested or DEFAULT_SIZE, LIMITS.page_size)


class Tokens:
    """Makes and reads the tokens of one store."""

    def __init__(self, redactor: Redactor, *, epoch: str) -> None:
        self._redactor = redactor
        self._epoch = epoch.encode()

    def make(self, request: Any, place: Place) -> str:
        """Return the token for what comes after *place* in the answer to *request*."""
        packed = _PLACE.pack(*place)
        return base64.urlsafe_b64encode(packed + self._sign(request, packed)).rstrip(b"=").decode()

    def read(self, request: Any) -> Place | None:
        """Return the place that the token in *request* holds, None without one. Raises: InvalidArgument."""
        if not request.page_token:
            return None
        try:
            data = base64.urlsafe_b64decode(request.page_token + "=" * (-len(request.page_token) % 4))
        except (ValueError, binascii.Error):
            data = b""
        packed, signature = data[: _PLACE.size], data[_PLACE.size :]
        if len(signature) != _SIGNATURE or not hmac.compare_digest(signature, self._sign(request, packed)):
            rule = "must be the next_page_token of the same request to this store, unchanged"
            raise InvalidArgument.of(FieldViolation("page_token", rule))
        at, key = _PLACE.unpack(packed)
        return at, key

    def page(self, request: Any, found: Sequence[tuple[Place, T]], limit: int) -> tuple[list[T], str]:
        """Return the first *limit* of what was *found* for *request*, and the token for the rest, '' without one."""
        page = [item for _, item in found[:limit]]
        return page, self.make(request, found[limit - 1][0]) if len(found) > limit else ""

    def _sign(self, request: Any, packed: bytes) -> bytes:
        question: Message = type(request)()
        question.CopyFrom(request)
        question.ClearField("page_token")
        question.ClearField("page_size")
        name = question.DESCRIPTOR.full_name.encode()
        content = b"\0".join((self._epoch, name, packed, question.SerializeToString(deterministic=True)))
        return self._redactor.sign("page", content)
