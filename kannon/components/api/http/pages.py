"""What the API says of itself: /healthz, /readyz, /openapi.json and /docs. All are open to anyone.

In: GET requests. Out: JSON, and a page without scripts that is made from the same document.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectrpc.code import Code

from kannon.components.api.http.errors import answer, answer_error
from kannon.components.api.http.reference import reference
from kannon.components.api.services.health import HZMethods
from kannon.pb.admin.apiv1.adminapiv1_pb2 import HZRequest
from kannon.pb.openapi import DOCUMENT

_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"
_POLICY = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
_CACHED = (b"cache-control", b"max-age=300")


@dataclass(frozen=True, slots=True)
class Fixed:
    """A document that does not change while the process runs."""

    body: bytes
    content_type: bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if await is_get(scope, send):
            await answer(send, 200, self.body, self.content_type, [_POLICY, _CACHED])


@dataclass(frozen=True, slots=True)
class Ready:
    """200 while all checks pass, else 503 with the names of those that fail."""

    health: HZMethods

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if await is_get(scope, send):
            failing = dict((await self.health.HZ(None, HZRequest())).result)
            body = json.dumps({"ready": not failing, "failing": failing}).encode()
            await answer(send, 503 if failing else 200, body, _JSON)


async def healthy(scope: Any, receive: Any, send: Any) -> None:
    if await is_get(scope, send):
        await answer(send, 200, b'{"healthy": true}', _JSON)


async def is_get(scope: Any, send: Any) -> bool:
    """Else the request is answered."""
    if scope["method"] in ("GET", "HEAD"):
        return True
    await answer_error(send, 405, Code.UNIMPLEMENTED, f"method: {scope['path']} takes GET", [(b"allow", b"GET, HEAD")])
    return False


def pages(health: HZMethods) -> Mapping[str, Any]:
    return {
        "/healthz": healthy,
        "/readyz": Ready(health),
        "/openapi.json": Fixed(DOCUMENT.encode(), _JSON),
        "/docs": Fixed(reference(json.loads(DOCUMENT)).encode(), _HTML),
    }
