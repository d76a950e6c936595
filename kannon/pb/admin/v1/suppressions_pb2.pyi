import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Suppression(_message.Message):
    __slots__ = ("email", "cause", "since", "expires_at", "note", "event_id", "message_id", "delivery_id", "code", "enhanced_status", "text", "host", "tag")
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ENHANCED_STATUS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    email: str
    cause: str
    since: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    note: str
    event_id: str
    message_id: str
    delivery_id: int
    code: int
    enhanced_status: str
    text: str
    host: str
    tag: str
    def __init__(self, email: _Optional[str] = ..., cause: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ..., event_id: _Optional[str] = ..., message_id: _Optional[str] = ..., delivery_id: _Optional[int] = ..., code: _Optional[int] = ..., enhanced_status: _Optional[str] = ..., text: _Optional[str] = ..., host: _Optional[str] = ..., tag: _Optional[str] = ...) -> None: ...

class ListSuppressionsRequest(_message.Message):
    __slots__ = ("domain", "cause", "after", "take", "after_tag", "tag")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    AFTER_TAG_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    domain: str
    cause: str
    after: str
    take: int
    after_tag: str
    tag: str
    def __init__(self, domain: _Optional[str] = ..., cause: _Optional[str] = ..., after: _Optional[str] = ..., take: _Optional[int] = ..., after_tag: _Optional[str] = ..., tag: _Optional[str] = ...) -> None: ...

class ListSuppressionsResponse(_message.Message):
    __slots__ = ("suppressions", "total")
    SUPPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    suppressions: _containers.RepeatedCompositeFieldContainer[Suppression]
    total: int
    def __init__(self, suppressions: _Optional[_Iterable[_Union[Suppression, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class GetSuppressionRequest(_message.Message):
    __slots__ = ("domain", "email", "tag")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    domain: str
    email: str
    tag: str
    def __init__(self, domain: _Optional[str] = ..., email: _Optional[str] = ..., tag: _Optional[str] = ...) -> None: ...

class GetSuppressionResponse(_message.Message):
    __slots__ = ("suppression", "others")
    SUPPRESSION_FIELD_NUMBER: _ClassVar[int]
    OTHERS_FIELD_NUMBER: _ClassVar[int]
    suppression: Suppression
    others: _containers.RepeatedCompositeFieldContainer[Suppression]
    def __init__(self, suppression: _Optional[_Union[Suppression, _Mapping]] = ..., others: _Optional[_Iterable[_Union[Suppression, _Mapping]]] = ...) -> None: ...

class AddSuppressionsRequest(_message.Message):
    __slots__ = ("domain", "suppressions")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SUPPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    domain: str
    suppressions: _containers.RepeatedCompositeFieldContainer[Suppression]
    def __init__(self, domain: _Optional[str] = ..., suppressions: _Optional[_Iterable[_Union[Suppression, _Mapping]]] = ...) -> None: ...

class AddSuppressionsResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class RemoveSuppressionsRequest(_message.Message):
    __slots__ = ("domain", "emails", "tag")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    EMAILS_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    domain: str
    emails: _containers.RepeatedScalarFieldContainer[str]
    tag: str
    def __init__(self, domain: _Optional[str] = ..., emails: _Optional[_Iterable[str]] = ..., tag: _Optional[str] = ...) -> None: ...

class RemoveSuppressionsResponse(_message.Message):
    __slots__ = ("removed",)
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    removed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, removed: _Optional[_Iterable[str]] = ...) -> None: ...

class GetSuppressionPolicyRequest(_message.Message):
    __slots__ = ("domain",)
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    domain: str
    def __init__(self, domain: _Optional[str] = ...) -> None: ...

class GetSuppressionPolicyResponse(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...

class SetSuppressionPolicyRequest(_message.Message):
    __slots__ = ("domain", "enabled")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    domain: str
    enabled: bool
    def __init__(self, domain: _Optional[str] = ..., enabled: _Optional[bool] = ...) -> None: ...

class SetSuppressionPolicyResponse(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...
