from kannon.pb.stats.types import stats_pb2 as _stats_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListEventsRequest(_message.Message):
    __slots__ = ("domain", "types", "message_id", "email", "tag", "cursor", "take", "newest_first")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    domain: str
    types: _containers.RepeatedScalarFieldContainer[str]
    message_id: str
    email: str
    tag: str
    cursor: str
    take: int
    newest_first: bool
    def __init__(self, domain: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., message_id: _Optional[str] = ..., email: _Optional[str] = ..., tag: _Optional[str] = ..., cursor: _Optional[str] = ..., take: _Optional[int] = ..., newest_first: _Optional[bool] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_cursor", "more")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_stats_pb2.Stats]
    next_cursor: str
    more: bool
    def __init__(self, events: _Optional[_Iterable[_Union[_stats_pb2.Stats, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., more: _Optional[bool] = ...) -> None: ...

class WatchEventsRequest(_message.Message):
    __slots__ = ("domain", "types", "message_id", "tag", "cursor", "email")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    domain: str
    types: _containers.RepeatedScalarFieldContainer[str]
    message_id: str
    tag: str
    cursor: str
    email: str
    def __init__(self, domain: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., message_id: _Optional[str] = ..., tag: _Optional[str] = ..., cursor: _Optional[str] = ..., email: _Optional[str] = ...) -> None: ...

class WatchEventsResponse(_message.Message):
    __slots__ = ("events", "cursor")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_stats_pb2.Stats]
    cursor: str
    def __init__(self, events: _Optional[_Iterable[_Union[_stats_pb2.Stats, _Mapping]]] = ..., cursor: _Optional[str] = ...) -> None: ...
