"""Times of requests: a Timestamp field → an aware datetime, or None where it is not set.

Raises InvalidArgument, with the field, for values that google.protobuf.Timestamp forbids: years beyond 1–9999,
nanoseconds beyond a second.
"""

from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.errors import InvalidArgument
from kannon.wire.events import from_timestamp

# google/protobuf/timestamp.proto: from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z inclusive.
_FIRST_SECOND = -62135596800
_LAST_SECOND = 253402300799
_NANOS = 1_000_000_000


def optional_time(request: Message, name: str) -> datetime | None:
    if not request.HasField(name):
        return None
    value: Timestamp = getattr(request, name)
    if not (_FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos < _NANOS):
        raise InvalidArgument(name, "is not a valid time")
    return from_timestamp(value)


def required_time(request: Message, name: str) -> datetime:
    value = optional_time(request, name)
    if value is None:
        raise InvalidArgument(name, "is required")
    return value
