"""Contracts across processes: `vms.v1` (see `proto/`), served and called.

`StorageServer` serves what satisfies the contracts; `StorageNode` is such a server elsewhere, whose parts satisfy the
same contracts.
"""

from vms.adapters.grpc.node import StorageNode
from vms.adapters.grpc.server import Served, ServerAddress, ServerTls, StorageServer

__all__ = ["Served", "ServerAddress", "ServerTls", "StorageNode", "StorageServer"]
