"""All pages by their paths. A GET shows; a POST changes, with a form of the same session, and leads back to a page.

A Refusal becomes a page that says why, with the HTTP status of its gRPC status.
"""

from collections.abc import Awaitable, Callable, Iterator

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from kannon.components.api.pages import (
    audit,
    batches,
    config,
    dead_letters,
    deliveries,
    destinations,
    domains,
    overview,
    search,
    suppressions,
)
from kannon.components.api.pages.forms import Form, read_form
from kannon.components.api.pages.gate import Gate
from kannon.components.api.pages.login import Login
from kannon.components.api.pages.methods import Methods
from kannon.components.api.pages.mount import PageParts
from kannon.components.api.pages.place import Place
from kannon.components.api.pages.view import HTTP_STATUSES, asset, render
from kannon.components.api.rpc import Refusal
from kannon.errors import Unavailable

Page = Callable[[Place], Awaitable[Response]]
Action = Callable[[Place, Form], Awaitable[Response]]
_A_YEAR = "public, max-age=31536000, immutable"
log = structlog.get_logger(__name__)

PAGES: dict[str, Page] = {
    **overview.PAGES,
    **search.PAGES,
    **deliveries.PAGES,
    **batches.PAGES,
    **domains.PAGES,
    **suppressions.PAGES,
    **destinations.PAGES,
    **dead_letters.PAGES,
    **audit.PAGES,
    **config.PAGES,
}
ACTIONS: dict[str, Action] = {
    **deliveries.ACTIONS,
    **batches.ACTIONS,
    **domains.ACTIONS,
    **suppressions.ACTIONS,
    **destinations.ACTIONS,
    **dead_letters.ACTIONS,
}


def make_application(parts: PageParts) -> ASGIApp:
    methods = Methods(parts.rpcs)
    login = Login(parts)
    routes = [
        Route("/assets/{version}/{name}", show_asset),
        Route("/login", login.show),
        Route("/login", login.log_in, methods=["POST"]),
        Route("/login/{secret}", login.use_link),
        Route("/logout", login.log_out, methods=["POST"]),
        *_routes(methods),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Gate, parts.sessions, secure=parts.secure)],
        exception_handlers={Refusal: _refused, Unavailable: _away, 404: _missing, 405: _missing, 500: _failed},
    )


def _routes(methods: Methods) -> Iterator[Route]:
    def showing(page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            return await page(Place(request, methods))

        return show

    def changing(action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def change(request: Request) -> Response:
            return await action(Place(request, methods), await read_form(request, request.state.session))

        return change

    for path, page in PAGES.items():
        yield Route(path, showing(page))
    for path, action in ACTIONS.items():
        yield Route(path, changing(action), methods=["POST"])


async def show_asset(request: Request) -> Response:
    found = asset(request.path_params["name"])
    if found is None:
        return Response("no such file", 404, media_type="text/plain")
    return Response(found.content, media_type=found.content_type, headers={"cache-control": _A_YEAR})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - what the table above says
    return _problem(request, HTTP_STATUSES.get(error.status, 500), error.text)


async def _away(request: Request, error: Exception) -> Response:
    return _problem(request, 503, "a service this page needs is away; try again")


async def _missing(request: Request, error: Exception) -> Response:
    return _problem(request, getattr(error, "status_code", 404), "there is no such page")


async def _failed(request: Request, error: Exception) -> Response:
    log.error("page failed", path=request.url.path, exc_info=error)
    return _problem(request, 500, "internal error")


def _problem(request: Request, status: int, text: str) -> Response:
    if getattr(request.state, "session", None) is None:
        return PlainTextResponse(text, status)
    return render(request, "problem.html", status, text=text, status=status)
