import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kannon.pb.mailer.apiv1 import mailerapiv1_pb2 as _mailerapiv1_pb2
from kannon.pb.mailer.types import mailer_types_pb2 as _mailer_types_pb2
from kannon.pb.tracking.types import tracking_pb2 as _tracking_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SendRequest(_message.Message):
    __slots__ = ("sender", "subject", "html", "template_id", "text", "recipients", "headers", "attachments", "global_fields", "tracking", "one_click_unsubscribe", "scheduled_time", "tag", "metadata", "validate_only", "require_tls", "data", "engine")
    class GlobalFieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SENDER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    HTML_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_FIELDS_FIELD_NUMBER: _ClassVar[int]
    TRACKING_FIELD_NUMBER: _ClassVar[int]
    ONE_CLICK_UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_TLS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    sender: _mailer_types_pb2.Sender
    subject: str
    html: str
    template_id: str
    text: str
    recipients: _containers.RepeatedCompositeFieldContainer[_mailer_types_pb2.Recipient]
    headers: _mailer_types_pb2.Headers
    attachments: _containers.RepeatedCompositeFieldContainer[_mailerapiv1_pb2.Attachment]
    global_fields: _containers.ScalarMap[str, str]
    tracking: _tracking_pb2.TrackingPolicy
    one_click_unsubscribe: _mailer_types_pb2.OneClickUnsubscribe
    scheduled_time: _timestamp_pb2.Timestamp
    tag: str
    metadata: _containers.ScalarMap[str, str]
    validate_only: bool
    require_tls: bool
    data: _struct_pb2.Struct
    engine: str
    def __init__(self, sender: _Optional[_Union[_mailer_types_pb2.Sender, _Mapping]] = ..., subject: _Optional[str] = ..., html: _Optional[str] = ..., template_id: _Optional[str] = ..., text: _Optional[str] = ..., recipients: _Optional[_Iterable[_Union[_mailer_types_pb2.Recipient, _Mapping]]] = ..., headers: _Optional[_Union[_mailer_types_pb2.Headers, _Mapping]] = ..., attachments: _Optional[_Iterable[_Union[_mailerapiv1_pb2.Attachment, _Mapping]]] = ..., global_fields: _Optional[_Mapping[str, str]] = ..., tracking: _Optional[_Union[_tracking_pb2.TrackingPolicy, _Mapping]] = ..., one_click_unsubscribe: _Optional[_Union[_mailer_types_pb2.OneClickUnsubscribe, _Mapping]] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tag: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., validate_only: _Optional[bool] = ..., require_tls: _Optional[bool] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., engine: _Optional[str] = ...) -> None: ...

class SendRawRequest(_message.Message):
    __slots__ = ("message", "recipients", "tracking", "scheduled_time", "tag", "metadata", "validate_only", "smtputf8", "require_tls")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    TRACKING_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    SMTPUTF8_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_TLS_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    recipients: _containers.RepeatedScalarFieldContainer[str]
    tracking: _tracking_pb2.TrackingPolicy
    scheduled_time: _timestamp_pb2.Timestamp
    tag: str
    metadata: _containers.ScalarMap[str, str]
    validate_only: bool
    smtputf8: bool
    require_tls: bool
    def __init__(self, message: _Optional[bytes] = ..., recipients: _Optional[_Iterable[str]] = ..., tracking: _Optional[_Union[_tracking_pb2.TrackingPolicy, _Mapping]] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tag: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., validate_only: _Optional[bool] = ..., smtputf8: _Optional[bool] = ..., require_tls: _Optional[bool] = ...) -> None: ...

class RescheduleRequest(_message.Message):
    __slots__ = ("message_id", "scheduled_time")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    scheduled_time: _timestamp_pb2.Timestamp
    def __init__(self, message_id: _Optional[str] = ..., scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RescheduleResponse(_message.Message):
    __slots__ = ("scheduled_time", "moved_count", "left_count")
    SCHEDULED_TIME_FIELD_NUMBER: _ClassVar[int]
    MOVED_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEFT_COUNT_FIELD_NUMBER: _ClassVar[int]
    scheduled_time: _timestamp_pb2.Timestamp
    moved_count: int
    left_count: int
    def __init__(self, scheduled_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., moved_count: _Optional[int] = ..., left_count: _Optional[int] = ...) -> None: ...
