"""A browser without a window: it keeps cookies, follows no redirect, and fills in forms as they stand in a page."""

import re
from html import unescape
from typing import Any

import httpx

from tests.support.api import TOKEN


class PageClient:
    """Of a running API. `html` is the page that was loaded last."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.base = f"{scheme}://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=self.base, timeout=30)
        self.html = ""

    async def __aenter__(self) -> "PageClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def get(self, path: str, **more: Any) -> httpx.Response:
        response = await self.http.get(path, **more)
        self.html = response.text
        return response

    async def post(self, path: str, values: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """With the form token of the page that was loaded last."""
        token = re.search(r'name="form_token" value="([^"]+)"', self.html)
        fields = ({"form_token": token.group(1)} if token else {}) | (values or {})
        return await self.http.post(path, data=fields, **more)

    async def log_in(self, token: str = TOKEN) -> "PageClient":
        response = await self.http.post("/login", data={"token": token})
        assert response.status_code == 303, response.text
        return self

    @property
    def text(self) -> str:
        """What a reader sees of it, about."""
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", self.html)))
