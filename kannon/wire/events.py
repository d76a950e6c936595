"""Event ⇄ protobuf Stats, the payload of every kannon.stats.* and kannon.bounce message and of the Stats API.

In and out: kannon.mail.event.Event. Raises Poison for bytes that are no Stats, or have an unknown type.
"""

from datetime import UTC, datetime, timedelta

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from kannon.errors import Poison
from kannon.mail.event import Event, EventType
from kannon.mail.tracking import TrackingMode
from kannon.pb.stats.types.stats_pb2 import Stats, StatsData

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def timestamp(at: datetime) -> Timestamp:
    """Exact to the microsecond, PostgreSQL's resolution."""
    micros = (at - _EPOCH) // _MICROSECOND
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def from_timestamp(value: Timestamp) -> datetime:
    """Aware UTC; nanoseconds below a microsecond are dropped. Raises OverflowError beyond year 9999."""
    return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)


def to_stats(event: Event) -> Stats:
    """The public part (fields 1–7) and Kannon's own part (from 20)."""
    stats = Stats(
        message_id=event.message_id,
        domain=event.domain,
        email=event.email,
        timestamp=timestamp(event.at),
        type=event.type.value,
        tracking_mode=int(event.tracking_mode),  # type: ignore[arg-type]  # proto enums are ints at run time
        event_id=event.event_id,
        delivery_id=event.delivery_id,
        attempt=event.attempt,
        stage=event.stage,
        host=event.host,
        enhanced_status=event.enhanced_status,
        tls=event.tls,
        retry_after_seconds=event.retry_after_seconds,
        suspected_machine=event.suspected_machine,
        tag=event.tag,
        metadata=event.metadata,
    )
    _fill_data(stats.data, event)
    return stats


def _fill_data(data: StatsData, event: Event) -> None:
    match event.type:
        case EventType.ACCEPTED:
            data.accepted.SetInParent()
        case EventType.DELIVERED:
            data.delivered.SetInParent()  # also where both are empty
            data.delivered.code = event.code
            data.delivered.msg = event.text
        case EventType.REJECTED:
            data.rejected.reason = event.text
        case EventType.FAILED:
            data.failed.reason = event.text
        case EventType.BOUNCED:
            data.bounced.permanent = event.permanent
            data.bounced.code = event.code
            data.bounced.msg = event.text
        case EventType.ERROR:
            data.error.code = event.code
            data.error.msg = event.text
        case EventType.OPENED:
            data.opened.user_agent = event.user_agent
            data.opened.ip = event.ip
        case EventType.CLICKED:
            data.clicked.user_agent = event.user_agent
            data.clicked.ip = event.ip
            data.clicked.url = event.url
        case EventType.COMPLAINED | EventType.UNSUBSCRIBED:
            pass  # Kannon's own types: no data in the public contract


def encode_event(event: Event) -> bytes:
    return to_stats(event).SerializeToString()


def decode_event(payload: bytes) -> Event:
    """Raises Poison where the bytes are no event."""
    try:
        stats = Stats.FromString(payload)
        event_type = EventType(stats.type)
        at = from_timestamp(stats.timestamp)
        mode = TrackingMode(stats.tracking_mode)
    except (DecodeError, ValueError, OverflowError) as error:
        raise Poison(f"not an event: {error}") from None
    if not stats.event_id:
        raise Poison("not an event: it has no event_id")
    if not stats.HasField("timestamp") or at < _EPOCH:
        raise Poison("not an event: it has no time")  # partitions are named by it
    data = stats.data
    match event_type:
        case EventType.DELIVERED:
            code, text = data.delivered.code, data.delivered.msg
        case EventType.BOUNCED:
            code, text = data.bounced.code, data.bounced.msg
        case EventType.ERROR:
            code, text = data.error.code, data.error.msg
        case EventType.REJECTED:
            code, text = 0, data.rejected.reason
        case EventType.FAILED:
            code, text = 0, data.failed.reason
        case _:
            code, text = 0, ""
    read = data.clicked if event_type is EventType.CLICKED else data.opened
    return Event(
        event_id=stats.event_id,
        type=event_type,
        domain=stats.domain,
        message_id=stats.message_id,
        email=stats.email,
        at=at,
        tracking_mode=mode,
        delivery_id=stats.delivery_id,
        attempt=stats.attempt,
        permanent=data.bounced.permanent,
        code=code,
        enhanced_status=stats.enhanced_status,
        text=text,
        stage=stats.stage,
        host=stats.host,
        tls=stats.tls,
        retry_after_seconds=stats.retry_after_seconds,
        user_agent=read.user_agent,
        ip=read.ip,
        url=data.clicked.url,
        suspected_machine=stats.suspected_machine,
    )
