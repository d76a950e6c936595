"""The API's HTTP/2 server without any method, which needs no database."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from connectrpc.code import Code
from grpclib.const import Status

from kannon.components.api.http.errors import answer_error
from kannon.components.api.server import Server
from tests.support.h2_client import grpc_headers, h2_client


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Server, str, int]]:
    """The server, its host and its port."""
    server = Server({}, no_application, max_message_bytes=1000)
    [(host, port)] = await server.listen("127.0.0.1", 0, tls)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        try:
            yield server, host, port
        finally:
            await server.close()
            group.cancel_scope.cancel()


async def no_application(connection: object, scope: object, receive: object, send: Any) -> None:
    await answer_error(send, 404, Code.UNIMPLEMENTED, "nothing here")


async def call_is_answered(host: str, port: int) -> None:
    async with h2_client(host, port) as client:
        stream = await client.open(grpc_headers("/nothing/here"))
        assert (await client.answer(stream)).status == Status.UNIMPLEMENTED.value
