"""kannon.admin.v1.Pages: the link of `kannon open`, which logs a browser in."""

from typing import Protocol

from kannon.components.api.callers import Admin
from kannon.pb.admin.v1 import pages_pb2 as pb


class Links(Protocol):
    async def create_link(self) -> str: ...


class PageMethods:
    def __init__(self, links: Links) -> None:
        self._links = links

    async def CreateLoginLink(self, caller: Admin, request: pb.CreateLoginLinkRequest) -> pb.CreateLoginLinkResponse:
        return pb.CreateLoginLinkResponse(path=f"/login/{await self._links.create_link()}")
