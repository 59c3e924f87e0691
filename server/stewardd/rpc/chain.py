"""
What every call goes through, in one place: its name in the log, timing, errors as statuses, admission.

Each layer is a function of the call and of what comes after it. The order differs from the usual in that errors are
mapped outside of admission: so its refusals carry details too, and are counted.
"""

import asyncio
import inspect
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, Status, StatusCode

from steward import errors
from steward.status import DETAILS, to_status
from stewardd.telemetry import OK, Telemetry, current_call

# Ids as the usual tools mint them. Anything else could be a name, and would end up in the log.
_REQUEST_ID = re.compile(r"[0-9a-fA-F-]{8,64}")
# Probes and reflection are answered however busy the server is, or it would be killed for being busy.
EXEMPT = ("grpc.health.", "grpc.reflection.")

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True)
class Call:
    """One call under way."""

    method: str  # package.Service/Method
    request: Any
    context: Context
    code: str = OK  # how it ended
    _request_id: str | None = None

    @property
    def request_id(self) -> str:
        """The id the caller gave in x-request-id, or one that is made when it is first needed."""
        if self._request_id is None:
            given = dict(self.context.invocation_metadata() or ()).get("x-request-id", "")
            fits = isinstance(given, str) and _REQUEST_ID.fullmatch(given)
            self._request_id = str(given) if fits else uuid.uuid4().hex
        return self._request_id


class Malformed:
    """Bytes that are not the message they should be."""


Proceed = Callable[[Call], Awaitable[Any]]


class Layer(Protocol):
    """One thing that is done around what comes after it."""

    def __call__(self, call: Call, proceed: Proceed) -> Awaitable[Any]:
        """Handle *call*, and *proceed* with it if that is to be."""


class Chain(grpc.aio.ServerInterceptor):
    """The layers around every handler, put together once for each method."""

    def __init__(self, *, telemetry: Telemetry, max_calls: int) -> None:
        self._telemetry = telemetry
        self._max_calls = max_calls
        self._calls = 0
        self._draining = False
        # Outermost first. Who calls, once that is asked, goes between mapping and admission.
        self._layers: tuple[Layer, ...] = (self._named, self._timed, self._mapped, self._admitted)
        self._wrapped: dict[str, Any] = {}

    def drain(self) -> None:
        """Let no more calls in, probes apart."""
        self._draining = True

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Return the handler of a method, wrapped."""
        method = handler_call_details.method
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None:  # gRPC says UNIMPLEMENTED; not remembered, or strangers could fill the memory
                return None
            self._wrapped[method] = self._wrap(handler, method.removeprefix("/"))
        return self._wrapped[method]

    def _wrap(self, handler: Any, method: str) -> Any:
        layers = (*self._layers, _decoded_stream if handler.request_streaming else _decoded)
        run = reduce(lambda after, layer: partial(layer, proceed=after), reversed(layers), _behavior(handler))

        async def behave(request: Any, context: Context) -> Any:
            return await run(Call(method, request, context))

        kind = {
            (False, False): "unary_unary",
            (False, True): "unary_stream",
            (True, False): "stream_unary",
            (True, True): "stream_stream",
        }[handler.request_streaming, handler.response_streaming]
        return handler._replace(
            **{kind: behave},
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=_unless_bytes(handler.response_serializer),
        )

    # Layers

    async def _named(self, call: Call, proceed: Proceed) -> Any:
        token = current_call.set(call)
        try:
            return await proceed(call)
        finally:
            current_call.reset(token)

    async def _timed(self, call: Call, proceed: Proceed) -> Any:
        started = time.perf_counter()
        try:
            return await (self._traced(call, proceed) if self._telemetry.tracing else proceed(call))
        finally:
            self._telemetry.called(time.perf_counter() - started, method=call.method, status=call.code)

    async def _traced(self, call: Call, proceed: Proceed) -> Any:
        carrier = {key: value for key, value in call.context.invocation_metadata() or () if isinstance(value, str)}
        with self._telemetry.tracer.start_as_current_span(
            call.method,
            context=propagate.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"rpc.system.name": "grpc", "rpc.method": call.method},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await proceed(call)
            finally:
                span.set_attribute("rpc.response.status_code", call.code)
                if call.code != OK:
                    span.set_status(Status(StatusCode.ERROR))

    async def _mapped(self, call: Call, proceed: Proceed) -> Any:
        try:
            return await proceed(call)
        except errors.Error as error:
            await _abort(call, error)
        except grpc.aio.AbortError:  # by a servicer that is not ours, such as health's
            call.code = _code_name(call.context.code())
            raise
        except asyncio.CancelledError:
            call.code = "CANCELLED"
            raise
        except Exception:
            self._telemetry.log.exception("rpc.failed")
            await _abort(call, errors.Internal("internal error"))

    async def _admitted(self, call: Call, proceed: Proceed) -> Any:
        if call.method.startswith(EXEMPT):
            return await proceed(call)
        if self._draining:
            raise errors.Unavailable("the server is stopping", reason="STOPPING", retry_after=1.0)
        if self._calls >= self._max_calls:
            raise errors.ResourceExhausted(
                "the server handles as many calls as it may", reason="TOO_MANY_CALLS", retry_after=0.2
            )
        self._calls += 1
        try:
            return await proceed(call)
        finally:
            self._calls -= 1


async def _decoded(call: Call, proceed: Proceed) -> Any:
    """Refuse what could not be decoded; innermost, so that it is named, timed and mapped like any other refusal."""
    if isinstance(call.request, Malformed):
        raise _malformed()
    return await proceed(call)


async def _decoded_stream(call: Call, proceed: Proceed) -> Any:
    """Refuse the first of many that could not be decoded."""
    call.request = _checked(call.request)
    return await proceed(call)


async def _checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, Malformed):
            raise _malformed()
        yield request


def _malformed() -> errors.InvalidArgument:
    return errors.InvalidArgument(
        "the message is malformed: it must be Protobuf of the method's request type, with strings in UTF-8",
        reason="MALFORMED_MESSAGE",
    )


def _behavior(handler: Any) -> Proceed:
    """Return what *handler* does as one coroutine, which writes a stream's messages itself."""
    inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

    async def plain(call: Call) -> Any:
        return await inner(call.request, call.context)

    async def generated(call: Call) -> None:
        async with aclosing(inner(call.request, call.context)) as messages:
            async for message in messages:
                await call.context.write(message)

    return generated if inspect.isasyncgenfunction(inner) else plain


def _tolerant(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return *deserialize*, with Malformed for what it fails on: gRPC would say INTERNAL."""

    def tolerant(data: bytes) -> Any:
        try:
            return deserialize(data)
        except (DecodeError, ValueError):
            return Malformed()

    return tolerant


def _unless_bytes(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Return *serialize* that leaves alone what is serialized already."""

    def serialized(message: Any) -> bytes:
        return message if isinstance(message, bytes) else serialize(message)

    return serialized


async def _abort(call: Call, error: errors.Error) -> NoReturn:
    status = to_status(error, request_id=call.request_id)
    trailers = [(DETAILS, status.SerializeToString())]
    code = next(each for each in grpc.StatusCode if each.value[0] == status.code)
    call.code = code.name
    await call.context.abort(code, error.message, tuple(trailers))


def _code_name(code: Any) -> str:
    return next((each.name for each in grpc.StatusCode if code in (each, each.value[0])), "UNKNOWN")
