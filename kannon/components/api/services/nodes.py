"""kannon.admin.v1.Nodes: the processes of the installation, gathered from all of them."""

import socket
from collections.abc import Callable
from typing import Protocol

from kannon import __version__
from kannon.components.api.callers import Admin
from kannon.pb.admin.v1 import nodes_pb2 as pb


class NodeBus(Protocol):
    async def gather_nodes(self) -> list[pb.Node]: ...


class NodeMethods:
    """`describe_config` makes the TOML of the configuration in force, without its secrets."""

    def __init__(self, bus: NodeBus, describe_config: Callable[[], str] = str) -> None:
        self._bus = bus
        self._describe_config = describe_config

    async def ListNodes(self, caller: Admin, request: pb.ListNodesRequest) -> pb.ListNodesResponse:
        nodes = await self._bus.gather_nodes()
        nodes.sort(key=lambda node: (node.host, node.process, node.pid))
        return pb.ListNodesResponse(nodes=nodes)

    async def GetConfig(self, caller: Admin, request: pb.GetConfigRequest) -> pb.GetConfigResponse:
        return pb.GetConfigResponse(toml=self._describe_config(), host=socket.gethostname(), version=__version__)
