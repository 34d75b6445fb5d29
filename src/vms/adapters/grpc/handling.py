"""How servicers answer: blocking calls on threads of their own, failures as gRPC's."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, NoReturn, TypeVar

import grpc
import structlog

from vms.adapters.grpc.failures import metadata_of, status_of
from vms.adapters.grpc.protocol import TOKEN_METADATUM, bearer
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
Context = grpc.aio.ServicerContext[Any, Any]


async def answer(context: Context, threads: Executor, call: Callable[[], Result]) -> Result:
    """What `call` returns; its failure ends the RPC."""
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, call)
    except Failure as failure:
        await fail(context, failure)
    except Exception:
        # The caller learns that it was our fault, the log how.
        log.exception("a call failed")
        await fail(context, Failure("internal", "an internal error; see the node's log"))


async def fail(context: Context, failure: Failure) -> NoReturn:
    """Ends the RPC with a failure."""
    await context.abort(status_of(failure), failure.detail[:500], trailing_metadata=metadata_of(failure))
    raise AssertionError("abort raises")


class TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """Lets only holders of the token pass, whatever they call."""

    def __init__(self, token: str) -> None:
        self._wanted = bearer(token).encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        metadata: Any = handler_call_details.invocation_metadata or ()
        for key, value in metadata:
            given = value.encode() if isinstance(value, str) else bytes(value)
            if key == TOKEN_METADATUM and hmac.compare_digest(given, self._wanted):
                return await continuation(handler_call_details)
        return grpc.unary_unary_rpc_method_handler(_refuse)


async def _refuse(_: object, context: Context) -> NoReturn:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong")
    raise AssertionError("abort raises")
