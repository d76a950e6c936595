"""Destination and SenderView ↔ the messages of kannon.admin.v1.

In: values of kannon.mail.destination, or a sender's reply. Out: the other. Raises Poison for bytes that are no reply.
"""

from google.protobuf.message import DecodeError

from kannon.errors import Poison
from kannon.mail.destination import Destination, SenderView
from kannon.pb.admin.v1 import destinations_pb2 as pb


def to_destination(sender: str, destination: Destination) -> pb.Destination:
    return pb.Destination(
        site=destination.site,
        sender=sender,
        waiting=destination.waiting,
        in_flight=destination.in_flight,
        connections=destination.connections,
        connection_limit=destination.limit,
        last_verdict=destination.last,
        last_failure=destination.failure,
        next_probe_seconds=destination.next_probe_in,
        tls_policy=destination.policy,
        tls=destination.tls,
        source=destination.source,
        warm_up=destination.warm_up,
    )


def encode_view(view: SenderView) -> bytes:
    destinations = [to_destination("", each) for each in view.destinations]
    return pb.SenderDestinations(destinations=destinations, total=view.total, sender=view.sender).SerializeToString()


def decode_view(payload: bytes) -> SenderView:
    try:
        message = pb.SenderDestinations.FromString(payload)
    except DecodeError as error:
        raise Poison(f"not a sender's reply: {error}") from None
    return SenderView(message.sender, tuple(_destination(each) for each in message.destinations), message.total)


def _destination(message: pb.Destination) -> Destination:
    return Destination(
        site=message.site,
        waiting=message.waiting,
        in_flight=message.in_flight,
        connections=message.connections,
        limit=message.connection_limit,
        last=message.last_verdict,
        failure=message.last_failure,
        next_probe_in=message.next_probe_seconds if message.HasField("next_probe_seconds") else None,
        policy=message.tls_policy,
        tls=message.tls,
        source=message.source,
        warm_up=message.warm_up,
    )
