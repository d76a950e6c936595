from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DnsRecord(_message.Message):
    __slots__ = ("purpose", "name", "kind", "value", "good", "problem", "hint")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    GOOD_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    name: str
    kind: str
    value: str
    good: bool
    problem: str
    hint: str
    def __init__(self, purpose: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., value: _Optional[str] = ..., good: _Optional[bool] = ..., problem: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class CheckRecordsRequest(_message.Message):
    __slots__ = ("domain",)
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    domain: str
    def __init__(self, domain: _Optional[str] = ...) -> None: ...

class CheckRecordsResponse(_message.Message):
    __slots__ = ("records", "warnings")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[DnsRecord]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, records: _Optional[_Iterable[_Union[DnsRecord, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...
