"""Cross-origin requests: refused by browsers unless `api.cors_origins` names the page's origin.

In: requests with an Origin. Out: answers to preflights, and the headers that let the named origins read an answer
(Fetch standard, "CORS protocol").
"""

from collections.abc import Sequence
from typing import Any

_SECONDS = b"7200"  # for which a browser remembers the answer to a preflight
_EXPOSED = b"grpc-status, grpc-message, grpc-status-details-bin, retry-after"


class Cors:
    """`origins`: `https://app.example.com`, or `*` for any."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    async def answers(self, scope: Any, send: Any) -> bool:
        """Whether the request was a preflight of a named origin; then it is answered."""
        headers = dict(scope["headers"])
        if scope["method"] != "OPTIONS" or b"access-control-request-method" not in headers:
            return False
        origin = self._allowed(scope)
        if origin is None:
            return False
        allowed = [
            *origin,
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", headers.get(b"access-control-request-headers", b"*")),
            (b"access-control-max-age", _SECONDS),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": allowed})
        await send({"type": "http.response.body", "body": b""})
        return True

    def send_through(self, scope: Any, send: Any) -> Any:
        if not self._origins:
            return send
        origin = self._allowed(scope)

        async def through(event: Any) -> None:
            if event["type"] == "http.response.start":
                added = [(b"vary", b"origin")]
                if origin is not None:
                    added = [*origin, (b"access-control-expose-headers", _EXPOSED)]
                event = {**event, "headers": [*event["headers"], *added]}
            await send(event)

        return through

    def _allowed(self, scope: Any) -> list[tuple[bytes, bytes]] | None:
        origin = dict(scope["headers"]).get(b"origin")
        if origin is None or not self._origins & {origin, b"*"}:
            return None
        return [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
