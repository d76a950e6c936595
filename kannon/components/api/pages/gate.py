"""What every request for a page passes: its session, its origin, and the headers of its answer.

In: a request. Out: the same request with `state.session`, or an answer: to log in first (GET), 401 or 403. A change
must come from a page of this server, and the viewer token makes none; which form it comes from is checked with the form
(forms.py). Every answer forbids frames, foreign content and inline script.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kannon.components.api.pages.session import Session, SessionStore
from kannon.errors import Unavailable

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # Not no-referrer: with it a browser names no origin in a form that it posts.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
SESSION_SECONDS = 12 * 3600
_OPEN = ("/login", "/assets")
_SAFE = ("GET", "HEAD")
_AGAIN = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>Kannon</title>'


class Gate:
    """`secure`: over TLS only."""

    def __init__(self, application: ASGIApp, sessions: SessionStore, *, secure: bool) -> None:
        self._application = application
        self._sessions = sessions
        self._cookie = cookie_name(secure=secure)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        send = _with_headers(send)
        try:
            session = await self._session(request)
            refused = self._refusal(request, session)
        except Unavailable:
            refused = _plain(503, "PostgreSQL is away; try again in a moment.")
        if refused is not None:
            await refused(scope, receive, send)
            return
        scope.setdefault("state", {})["session"] = session
        await self._application(scope, receive, send)

    async def _session(self, request: Request) -> Session | None:
        secret = request.cookies.get(self._cookie, "")
        if not secret or request.url.path.startswith("/assets/"):
            return None
        return await self._sessions.find(secret)

    def _refusal(self, request: Request, session: Session | None) -> Response | None:
        path, is_change = request.url.path, request.method not in _SAFE
        if is_change and not is_own_origin(request):
            return _plain(403, "This form comes from another site.")
        if any(path == each or path.startswith(f"{each}/") for each in _OPEN):
            return None
        if session is None:
            return self._to_login(request)
        if is_change and not session.may_change and path != "/logout":
            return _plain(403, "The viewer token changes nothing.")
        return None

    def _to_login(self, request: Request) -> Response:
        if request.method not in _SAFE:
            return _plain(401, "You are not logged in, or no longer.", [("back", "/login")])
        if (
            request.headers.get("sec-fetch-site") == "cross-site"
            and request.headers.get("sec-fetch-mode") == "navigate"
        ):
            # RFC 6265bis §5.2: a strict cookie does not come with a link from another site, but when this page asks.
            return HTMLResponse(_AGAIN)
        if request.headers.get("x-live"):
            return _plain(401, "You are not logged in, or no longer.")
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/login" if target == "/" else f"/login?next={quote(target, safe='')}", 303)


def cookie_name(*, secure: bool) -> str:
    """RFC 6265bis §4.1.3.2: the prefix keeps other hosts of the domain, and clear text, from setting it."""
    return "__Host-kannon" if secure else "kannon_session"


def is_own_origin(request: Request) -> bool:
    """By what browsers say of a request. A client that says nothing is no browser, and brings no cookie unasked."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    return origin.partition("://")[2] == request.headers.get("host", "")


def _plain(status: int, text: str, links: Sequence[tuple[str, str]] = ()) -> Response:
    """`text` is ours."""
    body = "".join(f'<p><a href="{url}">{name}</a></p>' for name, url in links)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Kannon</title>'
    return HTMLResponse(f"{head}<h1>{status}</h1><p>{text}</p>{body}", status)


def _with_headers(send: Send) -> Send:
    async def through(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return through


def peer(request: Request) -> str:
    client: Any = request.scope.get("client")
    return client[0] if client else ""
