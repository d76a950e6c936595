"""Node ↔ the message of kannon.admin.v1.

In: a Node, or a process's reply. Out: the other. Raises Poison for bytes that are no reply.
"""

from google.protobuf.message import DecodeError

from kannon.errors import Poison
from kannon.mail.node import Node
from kannon.pb.admin.v1 import nodes_pb2 as pb


def encode_node(node: Node) -> bytes:
    message = pb.Node(
        host=node.host,
        pid=node.pid,
        process=node.process,
        components=node.components,
        not_ready=node.not_ready,
        cpu=node.cpu,
        attempts_per_second=node.attempts_per_second,
        version=node.version,
    )
    message.started_at.FromDatetime(node.started_at)
    return message.SerializeToString()


def parse_node(payload: bytes) -> pb.Node:
    try:
        return pb.Node.FromString(payload)
    except DecodeError as error:
        raise Poison(f"not a process's reply: {error}") from None
