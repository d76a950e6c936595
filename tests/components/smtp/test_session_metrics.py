"""Each inbound session is counted once, when it ends, by its result; so is a connection without a session."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from kannon.components.smtp import Limits
from kannon.metrics.names import SessionResult
from tests.support.inbound import FAILURE, Peer, Running, bounce_to, running
from tests.support.patience import patience
from tests.support.recorded_metrics import RecordedMetrics


async def idle(server: Running, peer: Peer) -> None:
    await peer.say("NOOP")


async def rejected(server: Running, peer: Peer) -> None:
    await peer.say("MAIL FROM:<>")
    await peer.say("RCPT TO:<someone@tenant.example>")


async def deferred(server: Running, peer: Peer) -> None:
    server.book.down = True
    await rejected(server, peer)
    server.book.down = False
    await rejected(server, peer)


async def stored(server: Running, peer: Peer) -> None:
    await rejected(server, peer)
    await peer.say("RSET")
    await peer.send_mail([bounce_to()], FAILURE)
    await rejected(server, peer)


@pytest.mark.parametrize(
    ("dialogue", "result"),
    [
        (idle, SessionResult.IDLE),
        (rejected, SessionResult.REJECTED),
        (deferred, SessionResult.DEFERRED),
        (stored, SessionResult.STORED),
    ],
)
async def test_a_session_has_one_result(
    tmp_path: Path, dialogue: Callable[[Running, Peer], Awaitable[None]], result: SessionResult
) -> None:
    metrics = RecordedMetrics()
    async with running(tmp_path, metrics=metrics) as server:
        async with server.connect() as peer:
            assert server.component.inbound_sessions() == 1
            await dialogue(server, peer)
            assert metrics.sessions == []
        with patience():
            while server.component.inbound_sessions():
                await anyio.sleep(0.01)
    assert metrics.sessions == [result]


async def test_a_connection_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    metrics = RecordedMetrics()
    limits = replace(Limits(), max_connections=1)
    async with running(tmp_path, limits=limits, metrics=metrics) as server, server.connect() as peer:
        await peer.say("MAIL FROM:<>")
        await peer.say(f"RCPT TO:<{bounce_to()}>")
        async with server.connect(greet=False) as late:
            assert (await late.reply()).startswith("421")
        assert metrics.sessions == [SessionResult.REFUSED]
