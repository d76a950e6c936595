"""kannon.admin.v1.Nodes: the processes of the installation, gathered from all of them."""

from typing import Protocol

from kannon.components.api.authenticator import Admin
from kannon.pb.admin.v1 import nodes_pb2 as pb


class NodeBus(Protocol):
    async def gather_nodes(self) -> list[pb.Node]: ...


class NodeMethods:
    def __init__(self, bus: NodeBus) -> None:
        self._bus = bus

    async def ListNodes(self, caller: Admin, request: pb.ListNodesRequest) -> pb.ListNodesResponse:
        nodes = await self._bus.gather_nodes()
        nodes.sort(key=lambda node: (node.host, node.process, node.pid))
        return pb.ListNodesResponse(nodes=nodes)
