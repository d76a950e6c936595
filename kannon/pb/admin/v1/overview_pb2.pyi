import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HourCount(_message.Message):
    __slots__ = ("hour", "type", "count")
    HOUR_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    hour: _timestamp_pb2.Timestamp
    type: str
    count: int
    def __init__(self, hour: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., type: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class StateCount(_message.Message):
    __slots__ = ("state", "count", "overdue_seconds")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    state: str
    count: int
    overdue_seconds: float
    def __init__(self, state: _Optional[str] = ..., count: _Optional[int] = ..., overdue_seconds: _Optional[float] = ...) -> None: ...

class GetOverviewRequest(_message.Message):
    __slots__ = ("hours",)
    HOURS_FIELD_NUMBER: _ClassVar[int]
    hours: int
    def __init__(self, hours: _Optional[int] = ...) -> None: ...

class GetOverviewResponse(_message.Message):
    __slots__ = ("hours", "waiting")
    HOURS_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    hours: _containers.RepeatedCompositeFieldContainer[HourCount]
    waiting: _containers.RepeatedCompositeFieldContainer[StateCount]
    def __init__(self, hours: _Optional[_Iterable[_Union[HourCount, _Mapping]]] = ..., waiting: _Optional[_Iterable[_Union[StateCount, _Mapping]]] = ...) -> None: ...

class LinkCount(_message.Message):
    __slots__ = ("url", "count")
    URL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    url: str
    count: int
    def __init__(self, url: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class GetEngagementRequest(_message.Message):
    __slots__ = ("message_id",)
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    def __init__(self, message_id: _Optional[str] = ...) -> None: ...

class GetEngagementResponse(_message.Message):
    __slots__ = ("hours", "links")
    HOURS_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    hours: _containers.RepeatedCompositeFieldContainer[HourCount]
    links: _containers.RepeatedCompositeFieldContainer[LinkCount]
    def __init__(self, hours: _Optional[_Iterable[_Union[HourCount, _Mapping]]] = ..., links: _Optional[_Iterable[_Union[LinkCount, _Mapping]]] = ...) -> None: ...
