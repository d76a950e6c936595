"""The way in: the admin or the viewer token at /login, or the link of `kannon open`; and the way out.

In: a token or a link. Out: the cookie of a new session. Failed logins of one peer are slowed down.
"""

import anyio
import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from kannon.components.api.pages.forms import read_form
from kannon.components.api.pages.gate import SESSION_SECONDS, cookie_name, peer
from kannon.components.api.pages.mount import ROOTS, PageParts
from kannon.components.api.pages.session import Session
from kannon.components.api.pages.view import render

_MAX_FORM = 4096
_MAX_NEXT = 2000
log = structlog.get_logger(__name__)


class Login:
    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._cookie = cookie_name(secure=parts.secure)

    async def show(self, request: Request) -> Response:
        target = own_path(request.query_params.get("next", ""))
        if request.state.session is not None:
            return RedirectResponse(target, 303)
        return render(request, "login.html", target=target, problem="")

    async def log_in(self, request: Request) -> Response:
        form = await read_form(request, None, most=_MAX_FORM)
        target = own_path(form.get("next", ""))
        session = await self._parts.sessions.log_in(form.text("token"), peer(request))
        if session is None:
            await self._slow_down(request)
            problem = "This is neither the admin token nor the viewer token."
            return render(request, "login.html", 403, target=target, problem=problem)
        return await self._welcome(request, session, RedirectResponse(target, 303))

    async def use_link(self, request: Request) -> Response:
        session = await self._parts.sessions.use_link(request.path_params["secret"], peer(request))
        if session is None:
            await self._slow_down(request)
            problem = "This link has been used, or is older than a minute. Run kannon open again, or give the token."
            return render(request, "login.html", 403, target="/", problem=problem)
        # Not a redirect: a link that was opened from another site would take its strict cookie nowhere.
        return await self._welcome(request, session, render(request, "welcome.html"))

    async def log_out(self, request: Request) -> Response:
        await read_form(request, request.state.session)
        await self._parts.sessions.end(request.state.session)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(self._cookie, secure=self._parts.secure, httponly=True, samesite="strict")
        return response

    async def _welcome(self, request: Request, session: Session, response: Response) -> Response:
        before: Session | None = request.state.session
        if before is not None:
            await self._parts.sessions.end(before)
        response.set_cookie(
            self._cookie,
            session.secret,
            max_age=SESSION_SECONDS,
            secure=self._parts.secure,
            httponly=True,
            samesite="strict",
        )
        return response

    async def _slow_down(self, request: Request) -> None:
        log.warning("wrong login to the pages", peer=peer(request))
        await anyio.sleep(self._parts.failed_login(peer(request)))


def own_path(text: str) -> str:
    """A path of these pages; anything else becomes the first one."""
    path = text.partition("?")[0]
    is_ours = "/" + path.split("/")[1] in ROOTS if path.startswith("/") else False
    if len(text) > _MAX_NEXT or not is_ours or path.startswith("//") or not text.isprintable() or "\\" in text:
        return "/"
    return "/" if path.startswith(("/login", "/logout", "/assets")) else text
