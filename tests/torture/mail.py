"""The mail of a campaign: waves of batches and single mails of several tenants, each accepted exactly once.

In: a layout, the ledger, destinations. Out: calls that are repeated under one idempotency key until the API answers, so
that a fault of the API itself neither loses nor doubles a send.
"""

import asyncio
import itertools
import time
from base64 import b64encode
from random import Random

from grpclib.client import Channel
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError

from kannon.pb.admin.apiv1.adminapiv1_grpc import ApiStub
from kannon.pb.admin.apiv1.adminapiv1_pb2 import CreateAPIKeyRequest, CreateDomainRequest
from kannon.pb.mailer.apiv1.mailerapiv1_grpc import MailerStub
from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.torture.layouts import TOKEN, Layout
from tests.torture.ledger import Ledger
from tests.torture.sink import GREY, HOSTILE, RESTED, Destinations

TENANTS = tuple(f"tenant{number}.example" for number in range(5))
CALL_SECONDS = 15.0
RETRY_SECONDS = 0.2
HOSTILE_SHARE = 0.05
GREY_SHARE = 0.05
REST_SECONDS = 4.0


class Mailings:
    def __init__(
        self, layout: Layout, ledger: Ledger, destinations: Destinations, random: Random, *, hostile: float
    ) -> None:
        self._layout = layout
        self._ledger = ledger
        self._good = destinations.good
        self._hostile = hostile
        self._random = random
        self._numbers = itertools.count(1)
        self._keys: dict[str, str] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._channel = Channel("127.0.0.1", layout.api_port)

    async def register(self) -> None:
        admin = {"x-kannon-admin-token": TOKEN}
        for domain in TENANTS:
            await ApiStub(self._channel).CreateDomain(CreateDomainRequest(domain=domain), metadata=admin)
            key = await ApiStub(self._channel).CreateAPIKey(
                CreateAPIKeyRequest(domain=domain, name="torture"), metadata=admin
            )
            self._keys[domain] = "Basic " + b64encode(f"{domain}:{key.key}".encode()).decode()

    def begin_wave(self, fault: str) -> None:
        """The mail that the fault meets. Returns at once."""
        batches, singles = (5, 150) if fault == "burst" else (3, 20)
        for _ in range(batches):
            self.begin(self._random.choice(TENANTS), self._addresses(self._random.randint(30, 90)))
        for _ in range(singles):
            self.begin(self._random.choice(TENANTS), self._addresses(1))
        if fault == "rest":
            self.begin(self._random.choice(TENANTS), [f"m{next(self._numbers)}@{RESTED}" for _ in range(100)])

    def begin(self, tenant: str, addresses: list[str]) -> None:
        hostile = [address for address in addresses if address.endswith(f"@{HOSTILE}")]
        self._ledger.submit(hostile, tenant, good=False)
        self._ledger.submit((address for address in addresses if address not in hostile), tenant, good=True)
        call = asyncio.create_task(self._send(tenant, addresses))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def accepted(self) -> None:
        """Waits until the API has answered each call."""
        while self._calls:
            await asyncio.gather(*self._calls)

    @property
    def idle(self) -> bool:
        """Whether the API has answered each call."""
        return not self._calls

    def close(self) -> None:
        for call in self._calls:
            call.cancel()
        self._channel.close()

    async def wake_rested(self) -> None:
        """A mail to the destination that rests next, so that its connection is open."""
        self.begin(TENANTS[0], [f"m{next(self._numbers)}@{RESTED}"])
        await self.accepted()
        await asyncio.sleep(REST_SECONDS)

    def _addresses(self, count: int) -> list[str]:
        return [f"m{next(self._numbers)}@{self._destination()}" for _ in range(count)]

    def _destination(self) -> str:
        chance = self._random.random()
        if chance < self._hostile:
            return HOSTILE
        return GREY if chance < self._hostile + GREY_SHARE else self._random.choice(self._good)

    async def _send(self, tenant: str, addresses: list[str]) -> None:
        request = SendHTMLReq(
            sender=Sender(email=f"news@{tenant}"),
            subject="Hello",
            html="<p>Hello, <a href='https://shop.example/'>shop</a></p>",
            recipients=[Recipient(email=address) for address in addresses],
        )
        metadata = {"authorization": self._keys[tenant], "idempotency-key": addresses[0]}
        while True:
            try:
                answer = await asyncio.wait_for(
                    MailerStub(self._channel).SendHTML(request, metadata=metadata), CALL_SECONDS
                )
            except (GRPCError, OSError, ProtocolError, StreamTerminatedError, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            assert answer.accepted_count == len(addresses), answer
            self._ledger.accept(addresses, time.monotonic())
            return
