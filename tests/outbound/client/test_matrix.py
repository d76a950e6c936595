"""Ten stages × ten ways to behave, each against a scripted peer alone (what is the verdict, its code and stage, and is
it tried again?) and in front of a good one (is the next host asked?). No time-out is reached but that of the stage in
which a peer is silent or slow: it alone is short, for the cells that are about it. All others run at once."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from kannon.components.sender.outcomes import event_of
from kannon.config import Dns, Route, Sender
from kannon.mail.event import EventType
from kannon.mail.retry import RetryBudget
from kannon.mail.verdict import Deferred, Delivered, Refused, Stage, Verdict
from kannon.outbound import Deliverer, Throttled
from tests.support import smtp_peer
from tests.support.certificates import make_authority
from tests.support.delivering import short_stage
from tests.support.dns_server import DnsServer, Zone, serving_dns
from tests.support.envelopes import BODY, an_envelope
from tests.support.smtp_peer import Behaviour, Peer, Visit, free_port, serving, unanswered

SHORT_SECONDS = 1.0
SILENT = ("hangs", "a byte at a time")
LARGE = BODY + (b"x" * 76 + b"\r\n") * 100_000  # more than the socket buffers of both ends
BUDGET = RetryBudget(window=timedelta(hours=24), first=timedelta(minutes=5), max_delay=timedelta(hours=4))

STAGES = (
    Stage.CONNECT,
    Stage.GREETING,
    Stage.EHLO,
    Stage.STARTTLS,
    Stage.AUTH,
    Stage.MAIL,
    Stage.RCPT,
    Stage.DATA,
    Stage.BODY,
    Stage.DOT,
)


async def usual(visit: Visit) -> str | None:
    """As a good server: 2xx at the stages that expect it."""
    return None


BEHAVIOURS: dict[str, Behaviour] = {
    "2xx": usual,
    "4xx": "451 4.7.1 not now",
    "5xx": "554 5.7.1 not ever",
    "421": smtp_peer.closing("421 4.3.2 closing down"),
    "closes": smtp_peer.close,
    "resets": smtp_peer.reset,
    "garbage": smtp_peer.garbage,
    "hangs": smtp_peer.hang,
    "endless line": smtp_peer.endless,
    "a byte at a time": smtp_peer.drip,
}
CODES = {"4xx": 451, "5xx": 554, "421": 421}
CELLS = [(stage, behaviour) for stage in STAGES for behaviour in BEHAVIOURS]


@dataclass(frozen=True)
class Expected:
    kind: type[Delivered | Deferred | Refused]
    code: int | None
    asks_next: bool
    stage: Stage


def expected(stage: Stage, behaviour: str) -> Expected:
    """The verdict table of the design, cell by cell."""
    code = CODES.get(behaviour)
    if stage is Stage.CONNECT and behaviour not in ("resets", "hangs"):
        return expected(Stage.GREETING, behaviour)  # a server that sends something has accepted the connection
    if behaviour == "2xx" and stage not in (Stage.DATA, Stage.BODY):
        return Expected(Delivered, 250, asks_next=False, stage=stage)
    if behaviour == "2xx":
        return Expected(Deferred, 250, asks_next=True, stage=stage)  # to DATA, or before the dot, it means nothing
    if stage is Stage.STARTTLS and behaviour in ("4xx", "5xx"):
        return Expected(Delivered, 250, asks_next=False, stage=stage)  # opportunistic: in clear, on this connection
    if behaviour == "5xx" and stage in (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY, Stage.DOT):
        return Expected(Refused, code, asks_next=False, stage=stage)
    if stage is Stage.DOT and code is None:
        return Expected(Deferred, None, asks_next=False, stage=stage)  # it may have been taken
    return Expected(Deferred, code, asks_next=True, stage=stage)


@dataclass(frozen=True)
class Outcome:
    alone: Verdict | Throttled
    with_next: Verdict | Throttled
    next_got: int


@pytest.fixture(scope="module")
async def outcomes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[tuple[Stage, str], Outcome]]:
    tls = make_authority(tmp_path_factory.mktemp("ca")).issue("bad.test")
    port = free_port()
    zone: Zone = {}
    routes: list[Route] = []
    found: dict[tuple[Stage, str], Outcome] = {}
    async with AsyncExitStack() as stack:
        good: dict[tuple[Stage, str], Peer] = {}
        for number, (stage, behaviour) in enumerate(CELLS):
            await _enter_bad(stack, stage, behaviour, f"127.1.{number}.1", port, tls)
            good[stage, behaviour] = Peer(extensions=(*smtp_peer.PLAIN, "AUTH PLAIN"))
            await stack.enter_async_context(serving(good[stage, behaviour], f"127.1.{number}.2", port))
            _add_names(zone, number)
            if stage is Stage.AUTH:
                routes += _routes(number, port)
        nameserver = await stack.enter_async_context(serving_dns(DnsServer(zone)))
        config = Sender(hostname="me.test", port=port, allow_private_mx=True, routes=routes, concurrency=400)
        deliverer = await stack.enter_async_context(Deliverer(config, Dns(nameservers=[nameserver])))

        async def run(number: int, cell: tuple[Stage, str]) -> None:
            body = LARGE if cell[0] is Stage.BODY else BODY
            alone, with_next = await asyncio.gather(
                deliverer.deliver(an_envelope(f"x@alone{number}.test", body=body)),
                deliverer.deliver(an_envelope(f"x@both{number}.test", body=body)),
            )
            found[cell] = Outcome(alone, with_next, len(good[cell].mails))

        await asyncio.gather(*(run(n, cell) for n, cell in enumerate(CELLS) if cell[1] not in SILENT))
        for stage in STAGES:
            silent = [(n, cell) for n, cell in enumerate(CELLS) if cell[1] in SILENT and silent_at(*cell) is stage]
            with short_stage(stage, SHORT_SECONDS):
                await asyncio.gather(*(run(n, cell) for n, cell in silent))
        yield found


def silent_at(stage: Stage, behaviour: str) -> Stage:
    return Stage.GREETING if stage is Stage.CONNECT and behaviour != "hangs" else stage


async def _enter_bad(
    stack: AsyncExitStack, stage: Stage, behaviour: str, host: str, port: int, tls: ssl.SSLContext
) -> None:
    if stage is Stage.CONNECT and behaviour == "hangs":
        stack.enter_context(unanswered(host, port))
    elif stage is Stage.CONNECT and behaviour == "resets":
        pass  # as the system does for a closed port
    else:
        await stack.enter_async_context(serving(_bad_peer(stage, behaviour, tls), host, port))


def _bad_peer(stage: Stage, behaviour: str, tls: ssl.SSLContext) -> Peer:
    does = BEHAVIOURS[behaviour]
    if stage is Stage.BODY and behaviour == "hangs":
        does = smtp_peer.deaf
    if stage in (Stage.DATA, Stage.BODY) and behaviour == "2xx":
        does = "250 2.0.0 ok"
    if stage is Stage.CONNECT:  # all that can be said at once, and the end right behind it
        does = smtp_peer.closing(does) if isinstance(does, str) else does
        stage = Stage.GREETING
    peer = Peer({stage: does}, extensions=(*smtp_peer.PLAIN, "AUTH PLAIN"))
    peer.tls = tls if stage is Stage.STARTTLS else None
    return peer


def _add_names(zone: Zone, number: int) -> None:
    zone[f"alone{number}.test", "MX"] = [f"10 bad{number}.test."]
    zone[f"both{number}.test", "MX"] = [f"10 bad{number}.test.", f"20 good{number}.test."]
    zone[f"bad{number}.test", "A"] = [f"127.1.{number}.1"]
    zone[f"good{number}.test", "A"] = [f"127.1.{number}.2"]
    zone[f"relay{number}.test", "A"] = [f"127.1.{number}.1", f"127.1.{number}.2"]


def _routes(number: int, port: int) -> Iterator[Route]:
    for domain, host in ((f"alone{number}.test", f"bad{number}.test"), (f"both{number}.test", f"relay{number}.test")):
        yield Route.model_validate(
            {"domain": domain, "host": host, "port": port, "username": "u", "password": "p", "tls": "none"}
        )


@pytest.mark.parametrize(("stage", "behaviour"), CELLS, ids=[f"{s}-{b}" for s, b in CELLS])
async def test_cell(outcomes: dict[tuple[Stage, str], Outcome], stage: Stage, behaviour: str) -> None:
    want = expected(stage, behaviour)
    outcome = outcomes[stage, behaviour]
    verdict = outcome.alone
    assert isinstance(verdict, want.kind), verdict
    assert (verdict.reply.code if verdict.reply else None) == want.code, verdict
    if isinstance(verdict, Deferred | Refused):
        assert verdict.stage is want.stage, verdict
        assert verdict.host.startswith("bad")
        assert verdict.reply or (isinstance(verdict, Deferred) and verdict.reason)
    if stage is Stage.STARTTLS and behaviour == "2xx":
        assert verdict.tls.startswith("TLSv1.3")
    _check_retry(verdict)
    if want.asks_next:
        assert isinstance(outcome.with_next, Delivered), outcome.with_next
        assert outcome.next_got == 1
    else:
        assert isinstance(outcome.with_next, want.kind), outcome.with_next
        assert outcome.next_got == 0


def _check_retry(verdict: Verdict) -> None:
    """The dispatcher's decision: over, or retried after the first delay."""
    envelope, now = an_envelope(), datetime.now(UTC)
    event = event_of(envelope, verdict, now)
    ends = {Delivered: EventType.DELIVERED, Refused: EventType.BOUNCED}
    assert event.type is ends.get(type(verdict), EventType.ERROR)
    assert event.permanent is isinstance(verdict, Refused)
    if event.type is EventType.ERROR:
        following = BUDGET.next_attempt(
            attempts=event.attempt,
            due_at=envelope.due_at,
            now=now,
            chance=0.5,
            retry_after=event.retry_after_seconds,
        )
        assert following == now + BUDGET.first
