"""A browser that is logged in, and the token that its forms carry (CSRF)."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Protocol

from kannon.components.api.callers import VIEWER


@dataclass(frozen=True, slots=True)
class Session:
    """`secret` is the value of the cookie, `name` that of the token behind it."""

    secret: str
    name: str

    @property
    def may_change(self) -> bool:
        return self.name != VIEWER

    @property
    def form_token(self) -> str:
        """Only a page of this session shows it; from it the cookie cannot be told."""
        return hmac.new(self.secret.encode(), b"form", hashlib.sha256).hexdigest()

    def owns(self, form_token: str) -> bool:
        return hmac.compare_digest(self.form_token.encode(), form_token.encode())


class SessionStore(Protocol):
    """Raises Unavailable."""

    async def log_in(self, token: str, peer: str) -> Session | None: ...
    async def use_link(self, secret: str, peer: str) -> Session | None: ...
    async def find(self, secret: str) -> Session | None: ...
    async def end(self, session: Session) -> None: ...
