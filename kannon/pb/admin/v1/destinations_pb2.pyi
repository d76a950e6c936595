from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Destination(_message.Message):
    __slots__ = ("site", "sender", "waiting", "in_flight", "connections", "connection_limit", "last_verdict", "last_failure", "next_probe_seconds", "tls_policy", "tls", "source", "warm_up")
    SITE_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LAST_VERDICT_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    NEXT_PROBE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TLS_POLICY_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    WARM_UP_FIELD_NUMBER: _ClassVar[int]
    site: str
    sender: str
    waiting: int
    in_flight: int
    connections: int
    connection_limit: int
    last_verdict: str
    last_failure: str
    next_probe_seconds: float
    tls_policy: str
    tls: str
    source: str
    warm_up: str
    def __init__(self, site: _Optional[str] = ..., sender: _Optional[str] = ..., waiting: _Optional[int] = ..., in_flight: _Optional[int] = ..., connections: _Optional[int] = ..., connection_limit: _Optional[int] = ..., last_verdict: _Optional[str] = ..., last_failure: _Optional[str] = ..., next_probe_seconds: _Optional[float] = ..., tls_policy: _Optional[str] = ..., tls: _Optional[str] = ..., source: _Optional[str] = ..., warm_up: _Optional[str] = ...) -> None: ...

class ListDestinationsRequest(_message.Message):
    __slots__ = ("host", "take")
    HOST_FIELD_NUMBER: _ClassVar[int]
    TAKE_FIELD_NUMBER: _ClassVar[int]
    host: str
    take: int
    def __init__(self, host: _Optional[str] = ..., take: _Optional[int] = ...) -> None: ...

class ListDestinationsResponse(_message.Message):
    __slots__ = ("destinations", "total", "senders")
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SENDERS_FIELD_NUMBER: _ClassVar[int]
    destinations: _containers.RepeatedCompositeFieldContainer[Destination]
    total: int
    senders: int
    def __init__(self, destinations: _Optional[_Iterable[_Union[Destination, _Mapping]]] = ..., total: _Optional[int] = ..., senders: _Optional[int] = ...) -> None: ...

class SenderDestinations(_message.Message):
    __slots__ = ("destinations", "total", "sender")
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    destinations: _containers.RepeatedCompositeFieldContainer[Destination]
    total: int
    sender: str
    def __init__(self, destinations: _Optional[_Iterable[_Union[Destination, _Mapping]]] = ..., total: _Optional[int] = ..., sender: _Optional[str] = ...) -> None: ...
