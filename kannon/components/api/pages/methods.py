"""The methods of the API, as a page calls them: in this process, with the checks and the audit log of every call."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from google.protobuf.message import Message
from grpclib.const import Status

from kannon.components.api.callers import VIEWER, Admin, Way
from kannon.components.api.changes import READS
from kannon.components.api.pages.remembered import Remembered
from kannon.components.api.pages.session import Session
from kannon.components.api.rpc import Refusal, Rpc


class _Given:
    def __init__(self, request: Message) -> None:
        self._request = request

    async def read(self) -> Message:
        return self._request


class Methods:
    """By Service.Method."""

    def __init__(self, rpcs: Iterable[Rpc[Any]]) -> None:
        self._rpcs = {rpc.name: rpc for rpc in rpcs}
        self._remembered: dict[str, Remembered[Any]] = {}

    def remembered(self, name: str, request: Message) -> Remembered[Any]:
        """A reading method that is called in the background; always with the same request."""
        if name not in self._remembered:
            self._remembered[name] = Remembered(partial(self.call, Session("", VIEWER), "", name, request))
        return self._remembered[name]

    async def call(self, session: Session, peer: str, name: str, request: Message) -> Any:
        """Its response. Raises Refusal."""
        if name not in READS and not session.may_change:
            raise Refusal(Status.PERMISSION_DENIED, "the viewer token changes nothing")
        rpc = self._rpcs[name]
        with rpc.measured() as outcome:
            try:
                response = await rpc.answer(Admin("", peer, session.name, Way.PAGE), _Given(request))
            except Refusal as refused:
                outcome.status = refused.status
                raise
            outcome.status = Status.OK
        return response
