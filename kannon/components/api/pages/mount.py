"""Which paths belong to the pages, and the application behind them, which is made when the first one is asked for.

A server without a browser in front of it spends no memory on Starlette, Jinja2 and the templates.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kannon.components.api.pages.session import SessionStore
from kannon.components.api.rpc import Rpc

ROOTS = (
    "/",
    "/assets",
    "/audit",
    "/batches",
    "/config",
    "/dead-letters",
    "/deliveries",
    "/destinations",
    "/domains",
    "/login",
    "/logout",
    "/search",
    "/suppressions",
)
"""The first segments of all paths."""

Application = Callable[[Any, Any, Any], Awaitable[None]]
FailedLogin = Callable[[str], float]
"""Takes a peer's address; the seconds by which its answer is delayed."""


@dataclass(frozen=True, slots=True)
class PageParts:
    """What the pages need. `secure`: the API speaks TLS. `rpcs` are the methods as an administrator calls them."""

    rpcs: Sequence[Rpc[Any]]
    sessions: SessionStore
    failed_login: FailedLogin
    secure: bool


class LazyPages:
    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._application: Application | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._application is None:
            from kannon.components.api.pages.application import make_application

            self._application = make_application(self._parts)
        await self._application(scope, receive, send)


def mounts(parts: PageParts) -> dict[str, Application]:
    pages = LazyPages(parts)
    return dict.fromkeys(ROOTS, pages)
