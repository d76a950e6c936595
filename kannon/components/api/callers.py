"""Who a call comes from, once its credentials are checked: an operator, or an API key.

Out: what the services ask of a caller, and the names by which the audit log knows it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from kannon.mail.send_request import Tenant

ADMIN = "admin token"
VIEWER = "viewer token"


class Way(StrEnum):
    """The way in of a call."""

    API = "api"
    """gRPC, Connect or JSON; the `kannon` command too."""
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Admin:
    """An operator. `attribution` is the name that the caller gives itself: logged, never checked. `name` is ADMIN, or
    VIEWER, which only reading methods get."""

    attribution: str
    peer: str = ""
    name: str = ADMIN
    way: Way = Way.API

    @property
    def domain(self) -> str:
        """Empty: an operator sees every domain."""
        return ""

    async def check(self) -> None:
        """A key may end during a long call; the administrator's token does not."""


@dataclass(frozen=True, slots=True)
class KeyCaller:
    """An API key in a call that its scope allows, for its `domain` alone. `attribution` names it in the log."""

    domain: str
    attribution: str
    check: Callable[[], Awaitable[None]]
    """Raises Unauthenticated or PermissionDenied where the key has ended or changed since."""
    peer: str = ""

    @property
    def name(self) -> str:
        return self.attribution

    @property
    def way(self) -> Way:
        return Way.API


Caller = Admin | KeyCaller


@dataclass(frozen=True, slots=True)
class TenantCaller:
    """A tenant's call to the Mailer. An empty `idempotency_key` is none."""

    tenant: Tenant
    idempotency_key: str
    name: str = ""
    peer: str = ""

    @property
    def attribution(self) -> str:
        return ""

    @property
    def way(self) -> Way:
        return Way.API
