import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from kannon.pb.stats.types import stats_pb2 as _stats_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatsReq(_message.Message):
    __slots__ = ("domain", "from_date", "to_date", "skip", "take", "tag", "message_id", "email", "types", "page_token")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    FROM_DATE_FIELD_NUMBER: _ClassVar[int]
    TO_DATE_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    domain: str
    from_date: _timestamp_pb2.Timestamp
    to_date: _timestamp_pb2.Timestamp
    skip: int
    take: int
    tag: str
    message_id: str
    email: str
    types: _containers.RepeatedScalarFieldContainer[str]
    page_token: str
    def __init__(self, domain: _Optional[str] = ..., from_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., to_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., skip: _Optional[int] = ..., take: _Optional[int] = ..., tag: _Optional[str] = ..., message_id: _Optional[str] = ..., email: _Optional[str] = ..., types: _Optional[_Iterable[str]] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetStatsRes(_message.Message):
    __slots__ = ("total", "stats", "next_page_token")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    total: int
    stats: _containers.RepeatedCompositeFieldContainer[_stats_pb2.Stats]
    next_page_token: str
    def __init__(self, total: _Optional[int] = ..., stats: _Optional[_Iterable[_Union[_stats_pb2.Stats, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetStatsAggregatedReq(_message.Message):
    __slots__ = ("domain", "from_date", "to_date", "tag")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    FROM_DATE_FIELD_NUMBER: _ClassVar[int]
    TO_DATE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    domain: str
    from_date: _timestamp_pb2.Timestamp
    to_date: _timestamp_pb2.Timestamp
    tag: str
    def __init__(self, domain: _Optional[str] = ..., from_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., to_date: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tag: _Optional[str] = ...) -> None: ...

class GetStatsAggregatedRes(_message.Message):
    __slots__ = ("stats",)
    STATS_FIELD_NUMBER: _ClassVar[int]
    stats: _containers.RepeatedCompositeFieldContainer[_stats_pb2.StatsAggregated]
    def __init__(self, stats: _Optional[_Iterable[_Union[_stats_pb2.StatsAggregated, _Mapping]]] = ...) -> None: ...
