"""The protobuf TrackingPolicy of a request → kannon.mail.tracking.TrackingPolicy.

Raises InvalidArgument for a number that is no mode.
"""

from kannon.errors import InvalidArgument
from kannon.mail.tracking import TrackingMode, TrackingPolicy
from kannon.pb.tracking.types.tracking_pb2 import TrackingPolicy as TrackingPolicyMessage


def to_policy(message: TrackingPolicyMessage) -> TrackingPolicy:
    """An axis that the caller leaves out is UNSPECIFIED."""
    return TrackingPolicy(_to_mode("opens", message.opens), _to_mode("links", message.links))


def to_ceiling(message: TrackingPolicyMessage) -> TrackingPolicy:
    """The policy of a domain: an axis that the caller leaves out is OFF."""
    stated = to_policy(message)
    return TrackingPolicy(stated.opens or TrackingMode.OFF, stated.links or TrackingMode.OFF)


def _to_mode(axis: str, number: int) -> TrackingMode:
    try:
        return TrackingMode(number)
    except ValueError:
        raise InvalidArgument(f"tracking.{axis}", f"unknown mode {number}") from None
