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

from steward.errors import FailedPrecondition, InvalidArgument
from steward.types import LIMITS, FieldViolation
from stewardd.privacy import Redactor

T = TypeVar("T")

DEFAULT_SIZE = 100
_PLACE = struct.Struct(">qq")


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

    *epochs* are the store's, the present one first; they change when it is restored. *field* is that of a request
    which holds the token; it is not part of the question, and neither is *beside*.
    """

    def __init__(
        self,
        redactor: Redactor,
        *,
        epochs: Sequence[str],
        purpose: str = "page",
        packing: struct.Struct = _PLACE,
        field: str = "page_token",
        beside: Sequence[str] = ("page_size",),
    ) -> None:
        self._redactor = redactor
        self._epochs = epochs
        self._purpose = purpose
        self._packing = packing
        self._field = field
        self._beside = beside

    def make(self, request: Any, place: Sequence[Any]) -> str:
        """Return the token for what comes after *place* in the answer to *request*."""
        packed = self._packing.pack(*place)
        return base64.urlsafe_b64encode(packed + self._sign(request, packed, self._epochs[0])).rstrip(b"=").decode()

    def read(self, request: Any) -> Any:
        """
        Return the place that the token in *request* holds, None without one.

        Raises: InvalidArgument; FailedPrecondition when it was given before the store was restored.
        """
        token = getattr(request, self._field)
        if not token:
            return None
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            data = b""
        packed, signature = data[: self._packing.size], data[self._packing.size :]
        if not hmac.compare_digest(signature, self._sign(request, packed, self._epochs[0])):
            if any(hmac.compare_digest(signature, self._sign(request, packed, each)) for each in self._epochs[1:]):
                raise restored()
            rule = "must be one that this store gave for the same request, unchanged"
            raise InvalidArgument.of(FieldViolation(self._field, rule))
        return self._packing.unpack(packed)

    def page(self, request: Any, found: Sequence[tuple[Sequence[Any], T]], limit: int) -> tuple[list[T], str]:
        """Return the first *limit* of what was *found* for *request*, and the token for the rest, '' without one."""
        page = [item for _, item in found[:limit]]
        return page, self.make(request, found[limit - 1][0]) if len(found) > limit else ""

    def _sign(self, request: Any, packed: bytes, epoch: str) -> bytes:
        question: Message = type(request)()
        question.CopyFrom(request)
        for name in (self._field, *self._beside):
            question.ClearField(name)
        name = question.DESCRIPTOR.full_name
        content = b"\0".join((epoch.encode(), name.encode(), packed, question.SerializeToString(deterministic=True)))
        return self._redactor.sign(self._purpose, content)


def restored() -> FailedPrecondition:
    """Return the error that says that what was begun is of a store that is no more."""
    return FailedPrecondition("the store was restored since this began: begin anew", reason="RESTORED")
