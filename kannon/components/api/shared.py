"""What the connections of one server have in common."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cachetools import TTLCache
from grpclib.const import Handler

from kannon.components.api.connections import ConnectionTable

LARGE_AT_ONCE = 8
"""Large bodies; it keeps the memory of all of them below a few hundred MiB."""

NOTED_PEERS, NOTED_SECONDS = 1024, 60.0

HttpApplication = Callable[[Any, Any, Any, Any], Awaitable[None]]
"""An ASGI application whose first argument is the HttpConnection."""


@dataclass
class Shared:
    """`methods` are gRPC's; `application` answers the requests of every other kind."""

    methods: Mapping[str, Handler]
    application: HttpApplication
    max_message_bytes: int
    connections: ConnectionTable = field(default_factory=ConnectionTable)
    large_bodies: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))
    draining: bool = False
    noted: TTLCache[str, bool] = field(default_factory=lambda: TTLCache(NOTED_PEERS, NOTED_SECONDS))
    """Peers whose wrong protocol is in the log already."""
