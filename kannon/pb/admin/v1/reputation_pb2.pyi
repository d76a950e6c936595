import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
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

class GetReportsRequest(_message.Message):
    __slots__ = ("domain", "from_date", "to_date", "take")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    FROM_DATE_FIELD_NUMBER: _ClassVar[int]
    TO_DATE_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    domain: str
    from_date: _timestamp_pb2.Timestamp
    to_date: _timestamp_pb2.Timestamp
    take: int
    def __init__(self, domain: _Optional[str] = ..., from_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., to_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., take: _Optional[int] = ...) -> None: ...

class GetReportsResponse(_message.Message):
    __slots__ = ("dmarc", "tls", "reporters")
    DMARC_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    REPORTERS_FIELD_NUMBER: _ClassVar[int]
    dmarc: DmarcSummary
    tls: TlsSummary
    reporters: _containers.RepeatedCompositeFieldContainer[Reporter]
    def __init__(self, dmarc: _Optional[_Union[DmarcSummary, _Mapping]] = ..., tls: _Optional[_Union[TlsSummary, _Mapping]] = ..., reporters: _Optional[_Iterable[_Union[Reporter, _Mapping]]] = ...) -> None: ...

class DmarcSummary(_message.Message):
    __slots__ = ("mails", "aligned", "dkim", "spf", "quarantined", "rejected", "source_count", "sources")
    MAILS_FIELD_NUMBER: _ClassVar[int]
    ALIGNED_FIELD_NUMBER: _ClassVar[int]
    DKIM_FIELD_NUMBER: _ClassVar[int]
    SPF_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    SOURCE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    mails: int
    aligned: int
    dkim: int
    spf: int
    quarantined: int
    rejected: int
    source_count: int
    sources: _containers.RepeatedCompositeFieldContainer[DmarcSource]
    def __init__(self, mails: _Optional[int] = ..., aligned: _Optional[int] = ..., dkim: _Optional[int] = ..., spf: _Optional[int] = ..., quarantined: _Optional[int] = ..., rejected: _Optional[int] = ..., source_count: _Optional[int] = ..., sources: _Optional[_Iterable[_Union[DmarcSource, _Mapping]]] = ...) -> None: ...

class DmarcSource(_message.Message):
    __slots__ = ("address", "mails", "aligned", "dkim", "spf", "why")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MAILS_FIELD_NUMBER: _ClassVar[int]
    ALIGNED_FIELD_NUMBER: _ClassVar[int]
    DKIM_FIELD_NUMBER: _ClassVar[int]
    SPF_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    address: str
    mails: int
    aligned: int
    dkim: int
    spf: int
    why: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, address: _Optional[str] = ..., mails: _Optional[int] = ..., aligned: _Optional[int] = ..., dkim: _Optional[int] = ..., spf: _Optional[int] = ..., why: _Optional[_Iterable[str]] = ...) -> None: ...

class TlsSummary(_message.Message):
    __slots__ = ("sessions", "failed", "failures")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    sessions: int
    failed: int
    failures: _containers.RepeatedCompositeFieldContainer[TlsFailure]
    def __init__(self, sessions: _Optional[int] = ..., failed: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[TlsFailure, _Mapping]]] = ...) -> None: ...

class TlsFailure(_message.Message):
    __slots__ = ("type", "policy", "host", "sender", "reason", "sessions")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    type: str
    policy: str
    host: str
    sender: str
    reason: str
    sessions: int
    def __init__(self, type: _Optional[str] = ..., policy: _Optional[str] = ..., host: _Optional[str] = ..., sender: _Optional[str] = ..., reason: _Optional[str] = ..., sessions: _Optional[int] = ...) -> None: ...

class Reporter(_message.Message):
    __slots__ = ("kind", "name", "reports", "last_at")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    reports: int
    last_at: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., reports: _Optional[int] = ..., last_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
