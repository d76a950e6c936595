"""Which application answers a path: a call, a page of the API itself, or an application mounted below a prefix.

In: a request. Out: its answer, within the limits that hold for every request: the connection knows that it serves one,
a request of ambiguous length ends its connection, origins are checked (CORS), bodies are bounded.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from kannon.components.api.http.body import Body
from kannon.components.api.http.connect import Calls
from kannon.components.api.http.connection import HttpConnection
from kannon.components.api.http.cors import Cors
from kannon.components.api.http.errors import answer_error
from kannon.http_server import close_after_ambiguous

HTTP_STATUSES = {Code.RESOURCE_EXHAUSTED: 413, Code.DEADLINE_EXCEEDED: 408}
Application = Callable[[Any, Any, Any], Awaitable[None]]
log = structlog.get_logger(__name__)


class Router:
    """`exact` by path, `mounts` by the first segment of the path."""

    def __init__(
        self,
        calls: Calls,
        exact: Mapping[str, Application],
        mounts: Mapping[str, Application],
        cors_origins: Sequence[str] = (),
    ) -> None:
        self._calls = calls
        self._exact = exact
        self._mounts = mounts
        self._cors = Cors(cors_origins)

    async def __call__(self, connection: HttpConnection, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":  # a WebSocket
            await receive()
            await send({"type": "websocket.close"})
            return
        call = connection.begin_call()
        try:
            await close_after_ambiguous(self._answer(connection))(scope, receive, send)
        except Exception:
            log.exception("HTTP request failed", path=scope["path"])
            raise
        finally:
            connection.end_call(call)

    def _answer(self, connection: HttpConnection) -> Application:
        async def run(scope: Any, receive: Any, send: Any) -> None:
            if await self._cors.answers(scope, send):
                return
            send = self._cors.send_through(scope, send)
            path = scope["path"]
            if path in self._calls.rpcs:
                await self._calls(connection, scope, receive, send)
            elif application := self._exact.get(path):
                await application(scope, receive, send)
            elif application := self._mounts.get("/" + path.split("/")[1]):
                await _bounded(application, connection, scope, receive, send)
            else:
                send = Body(receive, {}, connection.shared, enveloped=False).send_through(send)
                text = f"there is nothing at {path[:200]}; see /docs"
                await answer_error(send, 404, Code.UNIMPLEMENTED, text, asked=scope["headers"])

        return run


async def _bounded(application: Application, connection: HttpConnection, scope: Any, receive: Any, send: Any) -> None:
    """With the limits of every other body."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    body = Body(receive, headers, connection.shared, enveloped=False)
    try:
        await application(scope, body.receive, body.send_through(send))
    except ConnectError as error:
        status = HTTP_STATUSES.get(error.code, 400)
        await answer_error(send, status, error.code, error.message)
    finally:
        body.close()
