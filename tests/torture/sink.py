"""The destinations of a campaign: good ones, one that postpones each mail once, and hostile ones.

In: the ledger, a source of randomness. Out: routes for `sender.routes`. Each destination is a scripted SMTP server on
an address of its own, in the driver's process, so that its 250s and the ledger have one clock.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

from kannon.mail.verdict import Stage
from tests.support.smtp_peer import (
    Behaviour,
    Peer,
    Script,
    Visit,
    close,
    closing,
    drip,
    free_port,
    garbage,
    hang,
    reset,
    serving,
)
from tests.torture.ledger import Ledger

GOOD = 5
RESTED = "rested.test"
GREY = "grey.test"
HOSTILE = "hostile.test"
DOT_SECONDS = 0.03  # a transaction takes a while, so that a fault meets some
AT_ANY_STAGE: tuple[Behaviour, ...] = (close, reset, garbage, hang, drip, closing("421 4.3.2 not now"), "451 4.3.0 no")
AT_DOT: tuple[Behaviour, ...] = (*AT_ANY_STAGE, "550 5.7.1 no")
STAGES = (Stage.GREETING, Stage.EHLO, Stage.MAIL, Stage.RCPT, Stage.DATA)
TROUBLE = 0.15  # how often each stage of a hostile destination misbehaves


class Destinations:
    """`routes` is the value of sender.routes."""

    def __init__(self, ledger: Ledger, random: Random) -> None:
        self._ledger = ledger
        self._random = random
        self._seen: set[str] = set()
        self._trouble = TROUBLE
        self.good = tuple(f"good{number}.test" for number in range(GOOD))
        self.routes: list[dict[str, Any]] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        scripts: dict[str, Script] = {domain: {Stage.DOT: self._accept} for domain in (*self.good, RESTED)}
        scripts[GREY] = {Stage.RCPT: self._postpone_once, Stage.DOT: self._accept}
        scripts[HOSTILE] = {stage: self._maybe(AT_ANY_STAGE) for stage in STAGES} | {Stage.DOT: self._accept_or_not}
        port = free_port()
        async with AsyncExitStack() as stack:
            for number, (domain, script) in enumerate(scripts.items()):
                host = f"127.6.0.{number + 1}"
                await stack.enter_async_context(serving(Peer(script), host, port))
                self.routes.append({"domain": domain, "host": host, "port": port, "tls": "none"})
            yield

    def recover(self) -> None:
        """The hostile destination behaves from now on."""
        self._trouble = 0.0

    async def _accept(self, visit: Visit) -> str:
        dot = self._ledger.dot(visit.recipient_address, time.monotonic())
        await asyncio.sleep(DOT_SECONDS)
        if visit.recipient_address in self._ledger.mails:
            self._ledger.give(visit.recipient_address, dot, time.monotonic())
        return "250 2.0.0 queued"

    async def _postpone_once(self, visit: Visit) -> str | None:
        if visit.recipient_address in self._seen:
            return None
        self._seen.add(visit.recipient_address)
        return "451 4.7.1 greylisted"

    def _maybe(self, behaviours: tuple[Behaviour, ...]) -> Callable[[Visit], Any]:
        async def behave(visit: Visit) -> str | None:
            if self._random.random() >= self._trouble:
                return None
            return await _behave(self._random.choice(behaviours), visit)

        return behave

    async def _accept_or_not(self, visit: Visit) -> str | None:
        """Misbehaves before the 250, or right after it, or not at all."""
        chance = self._random.random()
        if chance < self._trouble:
            self._ledger.dot(visit.recipient_address, time.monotonic())
            return await _behave(self._random.choice(AT_DOT), visit)
        reply = await self._accept(visit)
        return reply if chance >= 2 * self._trouble else await _behave(closing(reply), visit)


async def _behave(behaviour: Behaviour, visit: Visit) -> str | None:
    return await behaviour(visit) if callable(behaviour) else behaviour
