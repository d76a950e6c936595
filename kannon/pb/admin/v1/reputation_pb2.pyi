from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Guard(_message.Message):
    __slots__ = ("enabled", "after_outcomes", "dead_percent", "after_delivered", "complaint_percent")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    AFTER_OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    DEAD_PERCENT_FIELD_NUMBER: _ClassVar[int]
    AFTER_DELIVERED_FIELD_NUMBER: _ClassVar[int]
    COMPLAINT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    after_outcomes: int
    dead_percent: float
    after_delivered: int
    complaint_percent: float
    def __init__(self, enabled: _Optional[bool] = ..., after_outcomes: _Optional[int] = ..., dead_percent: _Optional[float] = ..., after_delivered: _Optional[int] = ..., complaint_percent: _Optional[float] = ...) -> None: ...

class GuardOverrides(_message.Message):
    __slots__ = ("enabled", "dead_percent", "complaint_percent")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    DEAD_PERCENT_FIELD_NUMBER: _ClassVar[int]
    COMPLAINT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    dead_percent: float
    complaint_percent: float
    def __init__(self, enabled: _Optional[bool] = ..., dead_percent: _Optional[float] = ..., complaint_percent: _Optional[float] = ...) -> None: ...

class GetGuardRequest(_message.Message):
    __slots__ = ("domain",)
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    domain: str
    def __init__(self, domain: _Optional[str] = ...) -> None: ...

class GetGuardResponse(_message.Message):
    __slots__ = ("guard", "overrides")
    GUARD_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    guard: Guard
    overrides: GuardOverrides
    def __init__(self, guard: _Optional[_Union[Guard, _Mapping]] = ..., overrides: _Optional[_Union[GuardOverrides, _Mapping]] = ...) -> None: ...

class SetGuardRequest(_message.Message):
    __slots__ = ("domain", "overrides")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    domain: str
    overrides: GuardOverrides
    def __init__(self, domain: _Optional[str] = ..., overrides: _Optional[_Union[GuardOverrides, _Mapping]] = ...) -> None: ...

class SetGuardResponse(_message.Message):
    __slots__ = ("guard", "overrides")
    GUARD_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    guard: Guard
    overrides: GuardOverrides
    def __init__(self, guard: _Optional[_Union[Guard, _Mapping]] = ..., overrides: _Optional[_Union[GuardOverrides, _Mapping]] = ...) -> None: ...
