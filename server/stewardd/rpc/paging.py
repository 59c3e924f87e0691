"""
Pages of a list: their size, and the tokens that ask for the next one, or for the rest of an export.

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
    """
    Makes and reads the tokens of one store for one purpose.

    *field* is that of a request which holds the token; it is not part of the question, and neither is *beside*.
    """

    def __init__(
        self,
        redactor: Redactor,
        *,
        epoch: str,
        purpose: str = "page",
        packing: struct.Struct = _PLACE,
        field: str = "page_token",
        beside: Sequence[str] = ("page_size",),
    ) -> None:
        self._redactor = redactor
        self._epoch = epoch.encode()
        self._purpose = purpose
        self._packing = packing
        self._field = field
        self._beside = beside

    def make(self, request: Any, place: Sequence[Any]) -> str:
        """Return the token for what comes after *place* in the answer to *request*."""
        packed = self._packing.pack(*place)
        return base64.urlsafe_b64encode(packed + self._sign(request, packed)).rstrip(b"=").decode()

    def read(self, request: Any) -> Any:
        """Return the place that the token in *request* holds, None without one. Raises: InvalidArgument."""
        token = getattr(request, self._field)
        if not token:
            return None
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            data = b""
        packed, signature = data[: self._packing.size], data[self._packing.size :]
        if len(signature) != _SIGNATURE or not hmac.compare_digest(signature, self._sign(request, packed)):
            rule = "must be one that this store gave for the same request, unchanged"
            raise InvalidArgument.of(FieldViolation(self._field, rule))
        return self._packing.unpack(packed)

    def page(self, request: Any, found: Sequence[tuple[Sequence[Any], T]], limit: int) -> tuple[list[T], str]:
        """Return the first *limit* of what was *found* for *request*, and the token for the rest, '' without one."""
        page = [item for _, item in found[:limit]]
        return page, self.make(request, found[limit - 1][0]) if len(found) > limit else ""

    def _sign(self, request: Any, packed: bytes) -> bytes:
        question: Message = type(request)()
        question.CopyFrom(request)
        for name in (self._field, *self._beside):
            question.ClearField(name)
        name = question.DESCRIPTOR.full_name
        content = b"\0".join((self._epoch, name.encode(), packed, question.SerializeToString(deterministic=True)))
        return self._redactor.sign(self._purpose, content)
