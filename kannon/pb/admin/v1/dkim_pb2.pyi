import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DkimKey(_message.Message):
    __slots__ = ("selector", "algorithm", "state", "created_at", "retired_at", "needed_until", "deleted_at", "publish", "record_name", "record_value")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    RETIRED_AT_FIELD_NUMBER: _ClassVar[int]
    NEEDED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    DELETED_AT_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    RECORD_NAME_FIELD_NUMBER: _ClassVar[int]
    RECORD_VALUE_FIELD_NUMBER: _ClassVar[int]
    selector: str
    algorithm: str
    state: str
    created_at: _timestamp_pb2.Timestamp
    retired_at: _timestamp_pb2.Timestamp
    needed_until: _timestamp_pb2.Timestamp
    deleted_at: _timestamp_pb2.Timestamp
    publish: bool
    record_name: str
    record_value: str
    def __init__(self, selector: _Optional[str] = ..., algorithm: _Optional[str] = ..., state: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retired_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., needed_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., publish: _Optional[bool] = ..., record_name: _Optional[str] = ..., record_value: _Optional[str] = ...) -> None: ...

class ListDkimKeysRequest(_message.Message):
    __slots__ = ("domain",)
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    domain: str
    def __init__(self, domain: _Optional[str] = ...) -> None: ...

class ListDkimKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[DkimKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[DkimKey, _Mapping]]] = ...) -> None: ...

class CreateDkimKeyRequest(_message.Message):
    __slots__ = ("domain", "algorithm")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    domain: str
    algorithm: str
    def __init__(self, domain: _Optional[str] = ..., algorithm: _Optional[str] = ...) -> None: ...

class CreateDkimKeyResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: DkimKey
    def __init__(self, key: _Optional[_Union[DkimKey, _Mapping]] = ...) -> None: ...

class ActivateDkimKeyRequest(_message.Message):
    __slots__ = ("domain", "selector", "force")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    domain: str
    selector: str
    force: bool
    def __init__(self, domain: _Optional[str] = ..., selector: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class ActivateDkimKeyResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: DkimKey
    def __init__(self, key: _Optional[_Union[DkimKey, _Mapping]] = ...) -> None: ...

class RetireDkimKeyRequest(_message.Message):
    __slots__ = ("domain", "selector")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    domain: str
    selector: str
    def __init__(self, domain: _Optional[str] = ..., selector: _Optional[str] = ...) -> None: ...

class RetireDkimKeyResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: DkimKey
    def __init__(self, key: _Optional[_Union[DkimKey, _Mapping]] = ...) -> None: ...

class DeleteDkimKeyRequest(_message.Message):
    __slots__ = ("domain", "selector", "force")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    domain: str
    selector: str
    force: bool
    def __init__(self, domain: _Optional[str] = ..., selector: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class DeleteDkimKeyResponse(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: DkimKey
    def __init__(self, key: _Optional[_Union[DkimKey, _Mapping]] = ...) -> None: ...
