"""The connection to a node: whether it is there, and every call's token, deadline and failure."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc
import structlog

from vms.adapters.grpc import protocol
from vms.adapters.grpc.failures import failure_of, gone
from vms.adapters.grpc.generated import node_pb2, node_pb2_grpc
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
# A node that says nothing for so long counts as down: calls fail at once until it answers again.
HELLO_S = 0.8
ASK_EVERY_S = 0.5
CALL_S = 10.0
AnyReply = TypeVar("AnyReply")
_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", protocol.LARGEST_REPLY_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A node is asked on its own address, whatever proxy the environment names for the web.
    ("grpc.enable_http_proxy", 0),
    # Calls fail by our own rules, not again and again behind our back.
    ("grpc.enable_retries", 0),
]


class NodeConnection:
    """Asks the node twice a second who it is. `on_new_node` is called, in a thread of its own, when a node answers that
    was not there before: the first time, and after it was restarted. `certificate_pem` is what the node's certificate
    must be or be signed by; without it the system's authorities count."""

    def __init__(
        self,
        address: str,
        token: str,
        *,
        tls: bool = False,
        certificate_pem: bytes | None = None,
        on_new_node: Callable[[], None] = lambda: None,
        hello: tuple[int, int] = (protocol.PROTOCOL_VERSION, protocol.OLDEST_PROTOCOL_VERSION),
    ) -> None:
        self._name = f"storage service at {address}"
        self._metadata = ((protocol.TOKEN_METADATUM, protocol.bearer(token)),)
        if not tls:
            self.channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates=certificate_pem)
            self.channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
        self._node = node_pb2_grpc.NodeStub(self.channel)
        self._hello = node_pb2.HelloRequest(protocol_version=hello[0], oldest_protocol_version=hello[1])
        self.on_new_node = on_new_node
        self._instance_id: str | None = None
        self._down: Failure | None = gone(self._name)
        self._told: set[object] = set()
        self._stopping = threading.Event()
        self._telling = threading.Lock()
        self._watch = threading.Thread(target=self._keep_asking, name="storage-node", daemon=True)

    def start(self) -> None:
        """Asks once, so that calls after this know whether the node is there, then goes on asking."""
        self._ask()
        self._watch.start()

    def close(self) -> None:
        """Ends the connection and the calls on it."""
        self._stopping.set()
        self.channel.close()
        if self._watch.is_alive():
            self._watch.join(HELLO_S + 0.5)

    def check(self) -> None:
        """Raises Failure(unavailable) while the node is not there or cannot be spoken to."""
        if self._down is not None:
            raise Failure(self._down.kind, self._down.detail, code=self._down.code)

    def call(
        self, method: grpc.UnaryUnaryMultiCallable[Any, AnyReply], request: object, *, within_s: float = CALL_S
    ) -> AnyReply:
        """The node's answer. Raises the Failure that it decided, or Failure(unavailable)."""
        self.check()
        try:
            return method(request, timeout=within_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise failure_of(error, self._name) from error

    def tell(self, method: grpc.UnaryUnaryMultiCallable[Any, Any], request: object) -> None:
        """Sends without waiting whether it arrives."""
        with contextlib.suppress(grpc.RpcError, ValueError):
            call = method.future(request, timeout=CALL_S, metadata=self._metadata)
            # A call that nobody holds is cancelled.
            self._told.add(call)
            call.add_done_callback(self._told.discard)

    def stream(
        self, method: grpc.UnaryStreamMultiCallable[Any, AnyReply], request: object, *, within_s: float
    ) -> Iterator[AnyReply]:
        """The node's answers one by one. Closing the iterator ends the call."""
        self.check()
        answers: Any = method(request, timeout=within_s, metadata=self._metadata)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise failure_of(error, self._name) from error
        finally:
            answers.cancel()

    def _keep_asking(self) -> None:
        while not self._stopping.wait(ASK_EVERY_S):
            self._ask()

    def _ask(self) -> None:
        try:
            reply = self._node.Hello(self._hello, timeout=HELLO_S, metadata=self._metadata)
        except grpc.RpcError as error:
            self._set_down(failure_of(error, self._name))
            return
        except ValueError:
            return  # The channel is closed.
        if not protocol.speaks_with(reply.protocol_version, reply.oldest_protocol_version):
            detail = (
                f"the {self._name} ({reply.product_version}) speaks vms.v1 of version "
                f"{reply.oldest_protocol_version} to {reply.protocol_version}, this server of "
                f"{protocol.OLDEST_PROTOCOL_VERSION} to {protocol.PROTOCOL_VERSION}"
            )
            self._set_down(Failure("unavailable", detail, code="storage-version"))
            return
        if self._down is not None:
            log.info("storage service found", node=self._name, version=reply.product_version)
        self._down = None
        if reply.instance_id != self._instance_id:
            self._instance_id = reply.instance_id
            threading.Thread(target=self._tell, name="storage-node-new", daemon=True).start()

    def _set_down(self, failure: Failure) -> None:
        if self._stopping.is_set():
            return
        if failure.kind != "unavailable":
            failure = Failure("unavailable", f"the {self._name}: {failure.detail}", code=failure.code)
        if self._down is None or self._down.code != failure.code:
            log.warning("storage service lost", node=self._name, reason=failure.detail)
        self._down = failure

    def _tell(self) -> None:
        with self._telling:
            try:
                self.on_new_node()
            except Failure as failure:
                log.warning("the storage service was not told everything", reason=failure.detail)
                # It is told again when it answers the next time.
                self._instance_id = None
            except Exception:
                log.exception("the storage service was not told everything")
