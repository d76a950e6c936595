"""The ASGI application of bump.

`GET /o/<token>`: 200 and a transparent GIF. `GET /c/<token>`: 307 to the target. HEAD gets the same answer without an
event; other methods are 405. `POST /u/<token>`: the recipient unsubscribes; `GET` shows a page with a form that posts.
A token with a wrong signature, of another channel or expired is 404, without an event. A valid token of an open or
click gets its answer even when its event is lost; an unsubscribe is answered once its event is stored. `GET /healthz`:
200. `GET /.well-known/acme-challenge/<token>`: what an ACME server wants to see.
"""

import base64
import html
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Protocol
from urllib.parse import quote

from kannon.components.bump.bots import ScanBursts, is_bot
from kannon.components.bump.challenges import PATH, Challenges
from kannon.components.bump.keys import VerificationKeys
from kannon.components.bump.outbox import Outbox
from kannon.errors import Unavailable
from kannon.mail.build.urls import web_target
from kannon.mail.event import Event, EventType
from kannon.mail.token import parse_token
from kannon.mail.token_claims import Channel, Claims
from kannon.mail.tracking import TrackingMode
from kannon.metrics.null_metrics import NULL_METRICS

Network = IPv4Network | IPv6Network
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
"""GIF89a, 1×1, its one pixel transparent; 43 octets."""
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"
_MAX_USER_AGENT = 512
_NO_STORE = (b"cache-control", b"no-store")
_EVENT_TYPES = {Channel.OPEN: EventType.OPENED, Channel.CLICK: EventType.CLICKED}
_MAX_FORM = 64 << 10
_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>Unsubscribe</title></head>
<body style="font: 1.1em/1.5 sans-serif; max-width: 36em; margin: 4em auto; padding: 0 1em">{content}</body></html>
"""
_ASK = (
    "<p>Should <b>{email}</b> get no more mail like this from <b>{domain}</b>?</p>"
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    '<button style="font: inherit; padding: .4em 1em">Unsubscribe</button></form>'
)
_DONE = "<p><b>{email}</b> is unsubscribed. <b>{domain}</b> sends no more mail like this to it.</p>"
_TRY_LATER = "<p>This did not work just now. Please try again in a minute.</p>"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""


_NOT_FOUND = _Answer(404, [(b"content-type", b"text/plain"), _NO_STORE], b"not found\n")
_NOT_ALLOWED = _Answer(405, [(b"allow", b"GET, HEAD")])
_UNAVAILABLE = _Answer(503, [(b"retry-after", b"5"), _NO_STORE])
_HEALTHY = _Answer(200, [(b"content-type", b"text/plain"), _NO_STORE], b"ok\n")
_FORM_NOT_ALLOWED = _Answer(405, [(b"allow", b"GET, HEAD, POST")])
_PIXEL = _Answer(200, [(b"content-type", b"image/gif"), _NO_STORE], PIXEL)


class Metrics(Protocol):
    def answered(self, status: int) -> None: ...


class BumpApp:
    """`base_path`: the path of bump.base_url, which some proxies keep in requests. The routes work without it too."""

    def __init__(
        self,
        keys: VerificationKeys,
        outbox: Outbox,
        *,
        trusted: Sequence[Network],
        base_path: str,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        metrics: Metrics = NULL_METRICS,
        challenges: Challenges | None = None,
    ) -> None:
        self._challenges = challenges
        self._keys = keys
        self._outbox = outbox
        self._trusted = trusted
        self._base_path = base_path
        self._clock = clock
        self._new_id = new_id
        self._metrics = metrics
        self._bursts = ScanBursts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            answer = await self._answer(scope, receive)
            self._metrics.answered(answer.status)
            length = (b"content-length", str(len(answer.body)).encode("ascii"))
            await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        path = scope["raw_path"].decode("ascii", "replace").removeprefix(self._base_path)
        if path.startswith(PATH) and self._challenges is not None:
            return await _answer_challenge(self._challenges, path.removeprefix(PATH))
        route, token = path[:3], path[3:]
        if path != "/healthz" and route not in ("/o/", "/c/", "/u/"):
            return _NOT_FOUND
        if route == "/u/":
            return await self._answer_unsubscribe(token, scope, receive)
        if scope["method"] not in ("GET", "HEAD"):
            return _NOT_ALLOWED
        if path == "/healthz":
            return _HEALTHY
        try:
            claims = await self._read(token, Channel(route[1]))
        except Unavailable:
            return _UNAVAILABLE  # a redirect by a token that is not verified could lead anywhere
        if claims is None or (claims.channel is Channel.CLICK and web_target(claims.url) != claims.url):
            return _NOT_FOUND
        await self._record(claims, scope)
        if claims.channel is Channel.OPEN:
            return _PIXEL
        location = quote(claims.url, safe=_URL_CHARACTERS).encode("ascii")
        return _Answer(307, [(b"location", location), _NO_STORE])

    async def _answer_unsubscribe(self, token: str, scope: Scope, receive: Receive) -> _Answer:
        """RFC 8058 §3.2: a POST unsubscribes, without cookies or other credentials, and is not redirected. What it
        posts does not matter: the token says all. §3.1: a GET, which link scanners send too, changes nothing."""
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return _FORM_NOT_ALLOWED
        try:
            claims = await self._read(token, Channel.UNSUBSCRIBE)
        except Unavailable:
            return _page(503, _TRY_LATER)
        if claims is None:
            return _NOT_FOUND
        if method != "POST":
            return _page(200, _ASK, claims)
        await _read_form(receive)
        # Order of effects: the event is stored, then the answer says so.
        return _page(200, _DONE, claims) if await self._record_unsubscribe(claims) else _page(503, _TRY_LATER)

    async def _record_unsubscribe(self, claims: Claims) -> bool:
        """One event a minute: a repeated POST is the same one, and a later one takes effect again if the address was
        removed from the suppressions meanwhile."""
        now = self._clock()
        return await self._outbox.put(
            Event(
                event_id=f"{claims.delivery_id}.{int(now.timestamp()) // 60}.{EventType.UNSUBSCRIBED}",
                type=EventType.UNSUBSCRIBED,
                domain=claims.domain,
                message_id=claims.message_id,
                email=claims.email,
                at=now,
                tracking_mode=claims.mode,
                delivery_id=claims.delivery_id,
            )
        )

    async def _read(self, token: str, channel: Channel) -> Claims | None:
        sealed = parse_token(token)
        key = await self._keys.find(sealed.kid) if sealed is not None else None
        return key.verify(sealed, channel, self._clock()) if sealed is not None and key is not None else None

    async def _record(self, claims: Claims, scope: Scope) -> None:
        now = self._clock()
        headers = dict(scope["headers"])
        ip = client_ip(scope["client"][0] if scope["client"] else "", scope["headers"], self._trusted)
        mail = (claims.message_id, ip if claims.mode is TrackingMode.ANONYMOUS else claims.email)
        if scope["method"] == "HEAD":
            self._bursts.record_head(mail, now)
            return
        user_agent = headers.get(b"user-agent", b"").decode("utf-8", "replace").replace("\0", "")[:_MAX_USER_AGENT]
        bot = is_bot(user_agent, ip, headers)
        if claims.channel is Channel.CLICK:
            bot |= self._bursts.is_burst(mail, claims.url, now)
        full = claims.mode is TrackingMode.FULL
        await self._outbox.put(
            Event(
                event_id=self._new_id(),
                type=_EVENT_TYPES[claims.channel],
                domain=claims.domain,
                message_id=claims.message_id,
                email=claims.email,
                at=now,
                tracking_mode=claims.mode,
                delivery_id=claims.delivery_id,
                user_agent=user_agent if full else "",
                ip=ip if full else "",
                url=claims.url,
                suspected_machine=bot,
            )
        )


async def _read_form(receive: Receive) -> None:
    """To its end, so that the connection can be used again; of a longer one only the beginning."""
    size, more = 0, True
    while more and size < _MAX_FORM:
        message = await receive()
        if message["type"] != "http.request":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)


def _page(status: int, content: str, claims: Claims | None = None) -> _Answer:
    """No script, nothing from elsewhere, in no frame: a click on it is the recipient's own."""
    if claims is not None:
        content = content.format(email=html.escape(claims.email), domain=html.escape(claims.domain))
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", _POLICY),
        (b"referrer-policy", b"no-referrer"),
        _NO_STORE,
    ]
    if status == 503:
        headers.append((b"retry-after", b"60"))
    return _Answer(status, headers, _PAGE.format(content=content).encode())


def client_ip(peer: str, headers: Sequence[tuple[bytes, bytes]], trusted: Sequence[Network]) -> str:
    """The peer's address; behind trusted proxies, the last address of X-Forwarded-For that is not a proxy's.

    Addresses before that one come from the client, which may forge them.
    """
    hops = [hop for name, value in headers if name == b"x-forwarded-for" for hop in value.decode("latin-1").split(",")]
    if not trusted:
        return peer
    found = _plain_ip(peer)
    while hops and _is_trusted(found, trusted) and (hop := _plain_ip(hops.pop())):
        found = hop
    return found or peer


def _is_trusted(ip: str, trusted: Sequence[Network]) -> bool:
    return bool(ip) and any(ip_address(ip) in network for network in trusted)


def _plain_ip(text: str) -> str:
    """Without port, brackets, zone and IPv4-in-IPv6; empty for text that is no address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(ip, "ipv4_mapped", None) or ip)


async def _answer_challenge(challenges: Challenges, token: str) -> _Answer:
    """RFC 8555 §8.3."""
    try:
        answer = await challenges.find(token)
    except Unavailable:
        return _UNAVAILABLE
    if answer is None:
        return _NOT_FOUND
    return _Answer(200, [(b"content-type", b"application/octet-stream"), _NO_STORE], answer.encode("ascii", "replace"))
