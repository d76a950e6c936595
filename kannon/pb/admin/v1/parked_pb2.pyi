import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ParkedMessage(_message.Message):
    __slots__ = ("sequence", "parked_at", "subject", "reason", "size", "payload")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PARKED_AT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    parked_at: _timestamp_pb2.Timestamp
    subject: str
    reason: str
    size: int
    payload: bytes
    def __init__(self, sequence: _Optional[int] = ..., parked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subject: _Optional[str] = ..., reason: _Optional[str] = ..., size: _Optional[int] = ..., payload: _Optional[bytes] = ...) -> None: ...

class ListParkedRequest(_message.Message):
    __slots__ = ("after", "take")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    after: int
    take: int
    def __init__(self, after: _Optional[int] = ..., take: _Optional[int] = ...) -> None: ...

class ListParkedResponse(_message.Message):
    __slots__ = ("messages", "total")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ParkedMessage]
    total: int
    def __init__(self, messages: _Optional[_Iterable[_Union[ParkedMessage, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class RetryParkedRequest(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class RetryParkedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeleteParkedRequest(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class DeleteParkedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
