import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kannon.pb.tracking.types import tracking_pb2 as _tracking_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stats(_message.Message):
    __slots__ = ("message_id", "domain", "email", "timestamp", "type", "data", "tracking_mode", "event_id", "delivery_id", "attempt", "stage", "host", "enhanced_status", "tls", "retry_after_seconds", "suspected_machine", "tag", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TRACKING_MODE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    ENHANCED_STATUS_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SUSPECTED_MACHINE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    domain: str
    email: str
    timestamp: _timestamp_pb2.Timestamp
    type: str
    data: StatsData
    tracking_mode: _tracking_pb2.TrackingMode
    event_id: str
    delivery_id: int
    attempt: int
    stage: str
    host: str
    enhanced_status: str
    tls: str
    retry_after_seconds: int
    suspected_machine: bool
    tag: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, message_id: _Optional[str] = ..., domain: _Optional[str] = ..., email: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., type: _Optional[str] = ..., data: _Optional[_Union[StatsData, _Mapping]] = ..., tracking_mode: _Optional[_Union[_tracking_pb2.TrackingMode, str]] = ..., event_id: _Optional[str] = ..., delivery_id: _Optional[int] = ..., attempt: _Optional[int] = ..., stage: _Optional[str] = ..., host: _Optional[str] = ..., enhanced_status: _Optional[str] = ..., tls: _Optional[str] = ..., retry_after_seconds: _Optional[int] = ..., suspected_machine: _Optional[bool] = ..., tag: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class EventPage(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, events: _Optional[_Iterable[bytes]] = ...) -> None: ...

class StatsData(_message.Message):
    __slots__ = ("accepted", "delivered", "failed", "bounced", "opened", "clicked", "rejected", "error")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    BOUNCED_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    CLICKED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    accepted: StatsDataAccepted
    delivered: StatsDataDelivered
    failed: StatsDataFailed
    bounced: StatsDataBounced
    opened: StatsDataOpened
    clicked: StatsDataClicked
    rejected: StatsDataRejected
    error: StatsDataError
    def __init__(self, accepted: _Optional[_Union[StatsDataAccepted, _Mapping]] = ..., delivered: _Optional[_Union[StatsDataDelivered, _Mapping]] = ..., failed: _Optional[_Union[StatsDataFailed, _Mapping]] = ..., bounced: _Optional[_Union[StatsDataBounced, _Mapping]] = ..., opened: _Optional[_Union[StatsDataOpened, _Mapping]] = ..., clicked: _Optional[_Union[StatsDataClicked, _Mapping]] = ..., rejected: _Optional[_Union[StatsDataRejected, _Mapping]] = ..., error: _Optional[_Union[StatsDataError, _Mapping]] = ...) -> None: ...

class StatsDataAccepted(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatsDataDelivered(_message.Message):
    __slots__ = ("code", "msg")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    code: int
    msg: str
    def __init__(self, code: _Optional[int] = ..., msg: _Optional[str] = ...) -> None: ...

class StatsDataFailed(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class StatsDataBounced(_message.Message):
    __slots__ = ("permanent", "code", "msg")
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    permanent: bool
    code: int
    msg: str
    def __init__(self, permanent: _Optional[bool] = ..., code: _Optional[int] = ..., msg: _Optional[str] = ...) -> None: ...

class StatsDataOpened(_message.Message):
    __slots__ = ("user_agent", "ip")
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    user_agent: str
    ip: str
    def __init__(self, user_agent: _Optional[str] = ..., ip: _Optional[str] = ...) -> None: ...

class StatsDataClicked(_message.Message):
    __slots__ = ("user_agent", "ip", "url")
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    user_agent: str
    ip: str
    url: str
    def __init__(self, user_agent: _Optional[str] = ..., ip: _Optional[str] = ..., url: _Optional[str] = ...) -> None: ...

class StatsDataRejected(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class StatsDataError(_message.Message):
    __slots__ = ("code", "msg")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MSG_FIELD_NUMBER: _ClassVar[int]
    code: int
    msg: str
    def __init__(self, code: _Optional[int] = ..., msg: _Optional[str] = ...) -> None: ...

class StatsAggregated(_message.Message):
    __slots__ = ("type", "timestamp", "count")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    type: str
    timestamp: _timestamp_pb2.Timestamp
    count: int
    def __init__(self, type: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...
