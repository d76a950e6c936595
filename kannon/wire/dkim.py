"""DKIM keys → their protobuf messages in kannon.admin.v1, and a request's algorithm back.

In: kannon.mail.dns.dkim_keys.RegisteredKey, the time, and the retry window.
"""

from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from kannon.errors import InvalidArgument
from kannon.mail.build.dkim import ED25519_SHA256, RSA_SHA256
from kannon.mail.dns.dkim_keys import RegisteredKey
from kannon.pb.admin.v1.dkim_pb2 import DkimKey
from kannon.wire.events import timestamp

_ALGORITHMS = (RSA_SHA256, ED25519_SHA256)


def to_dkim_key(key: RegisteredKey, now: datetime, window: timedelta) -> DkimKey:
    return DkimKey(
        selector=key.selector,
        algorithm=key.algorithm,
        state=key.state.value,
        created_at=timestamp(key.created_at),
        retired_at=_optional(key.retired_at),
        needed_until=_optional(key.needed_until(window)),
        deleted_at=_optional(key.deleted_at),
        publish=key.must_be_published(now, window),
        record_name=key.record.name,
        record_value=key.record.value,
    )


def from_algorithm(text: str) -> str:
    """RSA where the request has none. Raises InvalidArgument."""
    if text and text not in _ALGORITHMS:
        raise InvalidArgument("algorithm", f"is none of {', '.join(_ALGORITHMS)}")
    return text or RSA_SHA256


def _optional(at: datetime | None) -> Timestamp | None:
    return None if at is None else timestamp(at)
