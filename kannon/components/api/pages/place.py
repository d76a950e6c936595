"""What a page has at hand: its request, its session, and the methods of the API in that session's name."""

from typing import Any

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kannon.components.api.pages.gate import peer
from kannon.components.api.pages.methods import Methods
from kannon.components.api.pages.remembered import Remembered
from kannon.components.api.pages.session import Session
from kannon.components.api.pages.view import render, session_of, url

PAGE = 50
"""Rows of a list."""


class Place:
    def __init__(self, request: Request, methods: Methods) -> None:
        self._request = request
        self._methods = methods

    @property
    def session(self) -> Session:
        return session_of(self._request)

    async def call(self, name: str, request: Message) -> Any:
        """`name` is Service.Method. Raises Refusal."""
        return await self._methods.call(self.session, peer(self._request), name, request)

    def remembered(self, name: str, request: Message) -> Remembered[Any]:
        """The answer of a reading method that takes long."""
        return self._methods.remembered(name, request)

    def query(self, name: str) -> str:
        return self._request.query_params.get(name, "").strip()

    def number(self, name: str) -> int:
        """Of the query; 0 where there is none."""
        text = self.query(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0

    def part(self, name: str) -> str:
        """Of the path."""
        return str(self._request.path_params[name])

    def show(self, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
        return render(self._request, template, status, **values)

    def go(self, path: str, /, **query: object) -> Response:
        """RFC 9110 §15.4.4: after a change, so that a reload repeats nothing."""
        return RedirectResponse(url(path, **query), 303)
