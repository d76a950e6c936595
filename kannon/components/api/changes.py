"""Which methods change something; each call of one is an entry of the audit log, whatever way it came in.

In: a method, as the protocols and the pages call it. Out: the same method, which writes its entry before the change and
marks it as done after it. A refused call takes its entry back. A send is no change: its batch is its own record.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import anyio
import structlog
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.components.api.callers import Admin, Way
from kannon.components.api.rpc import CallMetadata, Rpc
from kannon.errors import KannonError, PermissionDenied, Unavailable
from kannon.mail.audit import Change

_CHANGES = {
    "Api": "CreateDomain SetTrackingPolicy CreateTemplate UpdateTemplate DeleteTemplate CreateAPIKey DeactivateAPIKey",
    "Keys": "CreateKey UpdateKey SetDomainQuota",
    "Dkim": "CreateDkimKey ActivateDkimKey RetireDkimKey DeleteDkimKey",
    "Operations": "CancelBatch CancelDelivery Pause Resume RetryNow",
    "Mailer": "Reschedule",
    "Parked": "RetryParked DeleteParked",
    "Suppressions": "AddSuppressions RemoveSuppressions SetSuppressionPolicy",
    "Webhooks": "CreateEndpoint RotateSecret TestEndpoint ReplayEvents SetEndpointEnabled DeleteEndpoint",
    "Pages": "CreateLoginLink",
    "Reputation": "SetGuard",
    "Templates": "RestoreVersion",
}
_READS = {
    "Api": "GetDomains GetDomain GetTemplate GetTemplates ListAPIKeys GetAPIKey",
    "Keys": "GetKey ListKeys GetDomainQuota",
    "Dkim": "ListDkimKeys",
    "Events": "List Watch",
    "Operations": "ListBatches GetBatch ListDeliveries GetTimeline ListPauses FindByMessageId",
    "HZService": "HZ",
    "Overview": "GetOverview GetEngagement",
    "Records": "CheckRecords",
    "StatsApiV1": "GetStats GetStatsAggregated",
    "StatsApiV2": "GetAggregatedStats",
    "Parked": "ListParked",
    "Suppressions": "ListSuppressions GetSuppression GetSuppressionPolicy",
    "Destinations": "ListDestinations",
    "Nodes": "ListNodes GetConfig",
    "Audit": "ListAudit",
    "Reputation": "GetGuard GetReports",
    "Templates": "ListVersions GetVersion PreviewTemplate LintTemplate",
    "Webhooks": "ListEndpoints GetEndpoint ListAttempts",
}


def _names(table: Mapping[str, str]) -> frozenset[str]:
    return frozenset(f"{service}.{method}" for service, methods in table.items() for method in methods.split())


CHANGES = _names(_CHANGES)
READS = _names(_READS)
"""What the viewer token may call."""
MAX_SUBJECT = 500
_MAX_VALUE = 120
_MAX_LISTED = 3
_MADE = ("key", "api_key", "template", "endpoint")
"""Fields of answers that hold what was made."""

log = structlog.get_logger(__name__)


class AuditLog(Protocol):
    async def begin(self, change: Change) -> int: ...
    async def finish(self, entry_id: int, domain: str, subject: str) -> None: ...
    async def take_back(self, entry_id: int) -> None: ...


class Viewers(Protocol):
    """Of AdminAuthenticator."""

    def is_viewer(self, call: CallMetadata) -> bool: ...
    def viewer(self, call: CallMetadata) -> Admin: ...


def audited(rpc: Rpc[Any], audit: AuditLog) -> Rpc[Any]:
    """A method that changes nothing as it is."""
    if rpc.name not in CHANGES:
        return rpc
    method = rpc.method

    async def call(caller: Any, request: Message) -> Message:
        domain, subject = _domain(request, caller), describe(request)
        change = Change(
            caller.way.value, caller.name, caller.attribution, caller.peer, rpc.name, domain, subject[:MAX_SUBJECT]
        )
        entry_id = await audit.begin(change)
        try:
            response: Message = await method(caller, request)
        except KannonError as error:
            if not isinstance(error, Unavailable):
                await _in_any_case(audit.take_back(entry_id))
            raise
        made = " ".join(filter(None, (subject, *_made(response))))
        await _in_any_case(audit.finish(entry_id, domain or _domain_in(made), made[:MAX_SUBJECT]))
        return response

    return replace(rpc, method=call)


def open_to_viewers(rpc: Rpc[Any], viewers: Viewers) -> Rpc[Any]:
    """The method for the viewer token too, where it only reads."""
    if rpc.name not in READS and rpc.name not in CHANGES:
        return rpc
    authenticate: Callable[[CallMetadata], Awaitable[Any]] = rpc.authenticate

    async def authenticate_viewer_too(call: CallMetadata) -> Any:
        if not viewers.is_viewer(call):
            return await authenticate(call)
        if rpc.name not in READS:
            raise PermissionDenied("the viewer token changes nothing")
        return viewers.viewer(call)

    return replace(rpc, authenticate=authenticate_viewer_too)


async def _in_any_case(step: Awaitable[None]) -> None:
    """The change stands, or was refused, whatever becomes of its entry."""
    with anyio.CancelScope(shield=True):
        try:
            await step
        except Unavailable as error:
            log.warning("audit entry stays without its end", reason=str(error))


def describe(message: Message, prefix: str = "") -> str:
    """The fields that are set, as `name=value`, long ones cut; of lists the first few and their number."""
    return " ".join(_fields(message, prefix))


def _fields(message: Message, prefix: str) -> Iterator[str]:
    for field, value in message.ListFields():
        name = prefix + field.name
        if name == "domain":  # an entry has it of its own
            continue
        if field.is_repeated:
            first = list(value)[:_MAX_LISTED]
            shown = [each.email if hasattr(each, "email") else each for each in first]
            more = f" and {len(value) - len(shown)} more" if len(value) > len(shown) else ""
            yield f"{name}={', '.join(_text(each) for each in shown)}{more}"
        elif isinstance(value, Message):
            yield f"{name}={_time(value)}" if isinstance(value, Timestamp) else describe(value, f"{name}.")
        elif field.enum_type is not None:
            number = field.enum_type.values_by_number.get(value)
            yield f"{name}={value if number is None else number.name}"
        else:
            yield f"{name}={_text(value)}"


def _time(value: Timestamp) -> str:
    try:
        return value.ToJsonString()
    except ValueError:
        return "(no time)"


def _text(value: Any) -> str:
    text = "".join(c if c.isprintable() else " " for c in str(value)[: _MAX_VALUE + 1])
    if len(text) > _MAX_VALUE:
        return f"({len(str(value))} characters)"
    return text


def _made(response: Message) -> Iterator[str]:
    """What the answer names and the request did not."""
    for name in _MADE:
        if name in response.DESCRIPTOR.fields_by_name:
            made = getattr(response, name)
            for identity in ("id", "template_id", "selector"):
                if text := getattr(made, identity, ""):
                    yield f"{name}.{identity}={text}"


def _domain(request: Any, caller: Any) -> str:
    """That the change is about, as far as the request or the key says it."""
    if caller.way is Way.API and getattr(caller, "tenant", None) is not None:
        domain: str = caller.tenant.domain
        return domain
    for name in ("domain", "message_id", "template_id"):
        text = getattr(request, name, "")
        if isinstance(text, str) and text:
            return _text(text.rpartition("@")[2]).lower()
    own: str = getattr(caller, "domain", "")
    return own


def _domain_in(subject: str) -> str:
    """Of an id that the answer names: it ends with its domain."""
    return next((w.rpartition("@")[2] for w in subject.split() if "template_id=" in w and "@" in w), "")
