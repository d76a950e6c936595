import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kannon.pb.stats.types import stats_pb2 as _stats_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Batch(_message.Message):
    __slots__ = ("message_id", "domain", "template_id", "subject", "sender_email", "created_at", "scheduled_time", "accepted_count", "rejected_count", "paused", "waiting_count", "cancelled_at", "tag", "metadata", "pause_reason")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SENDER_EMAIL_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_AT_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    PAUSE_REASON_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    domain: str
    template_id: str
    subject: str
    sender_email: str
    created_at: _timestamp_pb2.Timestamp
    scheduled_time: _timestamp_pb2.Timestamp
    accepted_count: int
    rejected_count: int
    paused: bool
    waiting_count: int
    cancelled_at: _timestamp_pb2.Timestamp
    tag: str
    metadata: _containers.ScalarMap[str, str]
    pause_reason: str
    def __init__(self, message_id: _Optional[str] = ..., domain: _Optional[str] = ..., template_id: _Optional[str] = ..., subject: _Optional[str] = ..., sender_email: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted_count: _Optional[int] = ..., rejected_count: _Optional[int] = ..., paused: _Optional[bool] = ..., waiting_count: _Optional[int] = ..., cancelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tag: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., pause_reason: _Optional[str] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("delivery_id", "message_id", "domain", "email", "state", "due_at", "next_attempt_at", "attempts", "last_code", "last_stage", "last_host", "last_text", "cancelled_at", "paused_by")
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_AT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LAST_CODE_FIELD_NUMBER: _ClassVar[int]
    LAST_STAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_HOST_FIELD_NUMBER: _ClassVar[int]
    LAST_TEXT_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_AT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    delivery_id: int
    message_id: str
    domain: str
    email: str
    state: str
    due_at: _timestamp_pb2.Timestamp
    next_attempt_at: _timestamp_pb2.Timestamp
    attempts: int
    last_code: int
    last_stage: str
    last_host: str
    last_text: str
    cancelled_at: _timestamp_pb2.Timestamp
    paused_by: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, delivery_id: _Optional[int] = ..., message_id: _Optional[str] = ..., domain: _Optional[str] = ..., email: _Optional[str] = ..., state: _Optional[str] = ..., due_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_attempt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempts: _Optional[int] = ..., last_code: _Optional[int] = ..., last_stage: _Optional[str] = ..., last_host: _Optional[str] = ..., last_text: _Optional[str] = ..., cancelled_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., paused_by: _Optional[_Iterable[str]] = ...) -> None: ...

class ListBatchesRequest(_message.Message):
    __slots__ = ("domain", "skip", "take", "from_date", "to_date", "tag", "cursor")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    FROM_DATE_FIELD_NUMBER: _ClassVar[int]
    TO_DATE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    domain: str
    skip: int
    take: int
    from_date: _timestamp_pb2.Timestamp
    to_date: _timestamp_pb2.Timestamp
    tag: str
    cursor: str
    def __init__(self, domain: _Optional[str] = ..., skip: _Optional[int] = ..., take: _Optional[int] = ..., from_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., to_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tag: _Optional[str] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListBatchesResponse(_message.Message):
    __slots__ = ("batches", "total", "next_cursor")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[Batch]
    total: int
    next_cursor: str
    def __init__(self, batches: _Optional[_Iterable[_Union[Batch, _Mapping]]] = ..., total: _Optional[int] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetBatchRequest(_message.Message):
    __slots__ = ("message_id",)
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    def __init__(self, message_id: _Optional[str] = ...) -> None: ...

class GetBatchResponse(_message.Message):
    __slots__ = ("batch", "waiting", "events")
    class WaitingEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    BATCH_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    batch: Batch
    waiting: _containers.ScalarMap[str, int]
    events: _containers.RepeatedCompositeFieldContainer[Happened]
    def __init__(self, batch: _Optional[_Union[Batch, _Mapping]] = ..., waiting: _Optional[_Mapping[str, int]] = ..., events: _Optional[_Iterable[_Union[Happened, _Mapping]]] = ...) -> None: ...

class Happened(_message.Message):
    __slots__ = ("type", "count", "first_at", "last_at")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_FIELD_NUMBER: _ClassVar[int]
    type: str
    count: int
    first_at: _timestamp_pb2.Timestamp
    last_at: _timestamp_pb2.Timestamp
    def __init__(self, type: _Optional[str] = ..., count: _Optional[int] = ..., first_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListDeliveriesRequest(_message.Message):
    __slots__ = ("domain", "message_id", "email", "state", "skip", "take", "tag", "cursor")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    domain: str
    message_id: str
    email: str
    state: str
    skip: int
    take: int
    tag: str
    cursor: str
    def __init__(self, domain: _Optional[str] = ..., message_id: _Optional[str] = ..., email: _Optional[str] = ..., state: _Optional[str] = ..., skip: _Optional[int] = ..., take: _Optional[int] = ..., tag: _Optional[str] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListDeliveriesResponse(_message.Message):
    __slots__ = ("deliveries", "total", "next_cursor")
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
    total: int
    next_cursor: str
    def __init__(self, deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., total: _Optional[int] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class GetTimelineRequest(_message.Message):
    __slots__ = ("delivery_id", "message_id", "email")
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    delivery_id: int
    message_id: str
    email: str
    def __init__(self, delivery_id: _Optional[int] = ..., message_id: _Optional[str] = ..., email: _Optional[str] = ...) -> None: ...

class GetTimelineResponse(_message.Message):
    __slots__ = ("events", "waiting")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_stats_pb2.Stats]
    waiting: Delivery
    def __init__(self, events: _Optional[_Iterable[_Union[_stats_pb2.Stats, _Mapping]]] = ..., waiting: _Optional[_Union[Delivery, _Mapping]] = ...) -> None: ...

class FindByMessageIdRequest(_message.Message):
    __slots__ = ("header_message_id",)
    HEADER_MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    header_message_id: str
    def __init__(self, header_message_id: _Optional[str] = ...) -> None: ...

class FindByMessageIdResponse(_message.Message):
    __slots__ = ("delivery_id",)
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    delivery_id: int
    def __init__(self, delivery_id: _Optional[int] = ...) -> None: ...

class CancelBatchRequest(_message.Message):
    __slots__ = ("message_id",)
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    def __init__(self, message_id: _Optional[str] = ...) -> None: ...

class CancelBatchResponse(_message.Message):
    __slots__ = ("cancelled_count", "under_way_count")
    CANCELLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNDER_WAY_COUNT_FIELD_NUMBER: _ClassVar[int]
    cancelled_count: int
    under_way_count: int
    def __init__(self, cancelled_count: _Optional[int] = ..., under_way_count: _Optional[int] = ...) -> None: ...

class CancelDeliveryRequest(_message.Message):
    __slots__ = ("delivery_id",)
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    delivery_id: int
    def __init__(self, delivery_id: _Optional[int] = ...) -> None: ...

class CancelDeliveryResponse(_message.Message):
    __slots__ = ("under_way",)
    UNDER_WAY_FIELD_NUMBER: _ClassVar[int]
    under_way: bool
    def __init__(self, under_way: _Optional[bool] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("message_id", "domain", "destination", "since", "reason")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    domain: str
    destination: str
    since: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, message_id: _Optional[str] = ..., domain: _Optional[str] = ..., destination: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ("message_id", "domain", "destination")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    domain: str
    destination: str
    def __init__(self, message_id: _Optional[str] = ..., domain: _Optional[str] = ..., destination: _Optional[str] = ...) -> None: ...

class PauseResponse(_message.Message):
    __slots__ = ("pause",)
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    pause: Pause
    def __init__(self, pause: _Optional[_Union[Pause, _Mapping]] = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("message_id", "domain", "destination")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    domain: str
    destination: str
    def __init__(self, message_id: _Optional[str] = ..., domain: _Optional[str] = ..., destination: _Optional[str] = ...) -> None: ...

class ResumeResponse(_message.Message):
    __slots__ = ("released_count",)
    RELEASED_COUNT_FIELD_NUMBER: _ClassVar[int]
    released_count: int
    def __init__(self, released_count: _Optional[int] = ...) -> None: ...

class ListPausesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPausesResponse(_message.Message):
    __slots__ = ("pauses",)
    PAUSES_FIELD_NUMBER: _ClassVar[int]
    pauses: _containers.RepeatedCompositeFieldContainer[Pause]
    def __init__(self, pauses: _Optional[_Iterable[_Union[Pause, _Mapping]]] = ...) -> None: ...

class RetryNowRequest(_message.Message):
    __slots__ = ("message_id", "delivery_id", "domain", "destination")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    delivery_id: int
    domain: str
    destination: str
    def __init__(self, message_id: _Optional[str] = ..., delivery_id: _Optional[int] = ..., domain: _Optional[str] = ..., destination: _Optional[str] = ...) -> None: ...

class RetryNowResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...
