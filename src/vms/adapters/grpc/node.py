"""A storage service elsewhere, as the contracts that it satisfies."""

from __future__ import annotations

from collections.abc import Callable

from vms.adapters.grpc.archive_stubs import NodeArchive, NodePlayback
from vms.adapters.grpc.connection import NodeConnection
from vms.adapters.grpc.stubs import NodeFiles, NodeIngest, NodeLive


class StorageNode:
    """`start` it before the first call, `close` it after the last. See `NodeConnection` for the arguments."""

    def __init__(
        self,
        address: str,
        token: str,
        *,
        tls: bool = False,
        certificate_pem: bytes | None = None,
        http_requests: Callable[[], int] = lambda: 0,
    ) -> None:
        self.connection = NodeConnection(address, token, tls=tls, certificate_pem=certificate_pem)
        self.ingest = NodeIngest(self.connection)
        self.archive = NodeArchive(self.connection, http_requests)
        self.live = NodeLive(self.connection)
        self.playback = NodePlayback(self.connection)
        self.files = NodeFiles(self.connection)

    def start(self, on_new_node: Callable[[], None]) -> None:
        """Looks for the node; `on_new_node` is called whenever one answers that was not there before."""
        self.connection.on_new_node = on_new_node
        self.connection.start()

    def check(self) -> None:
        """Raises Failure(unavailable) while the node is not there."""
        self.connection.check()

    def close(self) -> None:
        self.connection.close()
