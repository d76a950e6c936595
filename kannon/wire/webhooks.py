"""Webhook endpoints and attempts ⇄ their protobuf messages in kannon.admin.v1.

In and out: kannon.mail.webhook's values. Secrets are in no message of an endpoint.
"""

from collections.abc import Iterable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kannon.errors import InvalidArgument
from kannon.mail.webhook import Attempt, Endpoint, WebhookType
from kannon.pb.admin.v1 import webhooks_pb2 as pb
from kannon.wire.events import timestamp


def to_endpoint(endpoint: Endpoint) -> pb.Endpoint:
    return pb.Endpoint(
        id=endpoint.id,
        domain=endpoint.domain,
        url=endpoint.url,
        types=[kind.value for kind in endpoint.types],
        max_batch=endpoint.max_batch,
        enabled=endpoint.enabled,
        disabled_reason=endpoint.disabled_reason,
        disabled_at=_optional(endpoint.disabled_at),
        created_at=_optional(endpoint.created_at),
        last_success_at=_optional(endpoint.last_success_at),
        failing_since=_optional(endpoint.failing_since),
        given_up=endpoint.given_up,
        previous_secret_until=_optional(endpoint.previous_until),
    )


def to_attempt(attempt: Attempt) -> pb.Attempt:
    return pb.Attempt(
        at=timestamp(attempt.at),
        request_id=attempt.request_id,
        type=attempt.type,
        events=attempt.events,
        status=attempt.status,
        problem=attempt.problem,
        milliseconds=attempt.milliseconds,
        answer=attempt.answer,
    )


def from_types(names: Iterable[str]) -> tuple[WebhookType, ...]:
    """Each once, in the order given. Raises InvalidArgument."""
    found: dict[WebhookType, None] = {}
    for position, name in enumerate(names):
        try:
            found[WebhookType(name)] = None
        except ValueError:
            raise InvalidArgument(f"types[{position}]", f'"{name[:50]}" is none of {", ".join(WebhookType)}') from None
    return tuple(found)


def _optional(at: datetime | None) -> Timestamp | None:
    return None if at is None else timestamp(at)
