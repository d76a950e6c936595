"""Against servers by other hands: smtp-sink with its fault switches, and a real Postfix."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from kannon.mail.verdict import Deferred, Delivered, Refused, Stage
from kannon.smtp import Deliverer
from tests.support.delivering import delivering
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.strangers import postfix, smtp_sink


@asynccontextmanager
async def to_sink(*switches: str) -> AsyncIterator[Deliverer]:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(smtp_sink(*switches))
        routes = [{"domain": "*", "host": "127.0.0.1", "port": port}]
        yield await stack.enter_async_context(delivering({}, routes=routes, timeout_scale=0.05))


@pytest.mark.parametrize("switches", [[], ["-p"], ["-8"], ["-E"], ["-e"], ["-4"]])
async def test_smtp_sink_with_less_and_less_to_offer(switches: list[str]) -> None:
    async with to_sink(*switches) as deliverer:
        for _ in range(3):
            verdict = await deliverer.deliver(an_envelope())
            assert isinstance(verdict, Delivered), verdict


# smtp-sink names what it fails: CONNECT is the greeting, "." the final dot.
COMMANDS = {"MAIL": Stage.MAIL, "RCPT": Stage.RCPT, "DATA": Stage.DATA, ".": Stage.DOT}


@pytest.mark.parametrize(("command", "stage"), COMMANDS.items())
async def test_smtp_sink_refuses(command: str, stage: Stage) -> None:
    async with to_sink("-f", command) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Refused)
    assert (verdict.reply.code, verdict.stage) == (500, stage)


@pytest.mark.parametrize(("command", "stage"), COMMANDS.items())
async def test_smtp_sink_defers(command: str, stage: Stage) -> None:
    async with to_sink("-r", command) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert verdict.reply is not None
    assert (verdict.reply.code, verdict.stage) == (450, stage)


@pytest.mark.parametrize("switch", ["-f", "-r"])
async def test_smtp_sink_lets_nobody_in(switch: str) -> None:
    async with to_sink(switch, "CONNECT") as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert verdict.stage is Stage.GREETING
    assert verdict.reply is not None


@pytest.mark.parametrize(("command", "stage"), [("CONNECT", Stage.GREETING), ("EHLO", Stage.EHLO), *COMMANDS.items()])
async def test_smtp_sink_hangs_up(command: str, stage: Stage) -> None:
    async with to_sink("-q", command) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred), verdict
    assert (verdict.reply, verdict.stage) == (None, stage)


@pytest.mark.parametrize("command", ["QUIT", "RSET"])
async def test_smtp_sink_hangs_up_where_it_does_not_matter(command: str) -> None:
    async with to_sink("-q", command) as deliverer:
        for _ in range(3):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)


async def test_smtp_sink_takes_its_time() -> None:
    async with to_sink("-w", "1") as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)


async def test_postfix() -> None:
    """Over TLS, dots and all; refused and deferred in its own words."""
    body = BODY + b".\r\n..\r\n.x\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(postfix())
        routes = [{"domain": "*", "host": "127.0.0.1", "port": server.port, "tls": "required"}]
        deliverer = await stack.enter_async_context(delivering({}, routes=routes, timeout_scale=1))
        for number in range(5):
            verdict = await deliverer.deliver(an_envelope(body=body + b"%d\r\n" % number))
            assert isinstance(verdict, Delivered), verdict
            assert verdict.reply.text.startswith("Ok: queued as")
            assert verdict.tls.startswith("TLSv1.3")
        assert deliverer.destinations()[0].connections == 1

        unknown = await deliverer.deliver(an_envelope("nobody@dest.test"))
        assert isinstance(unknown, Refused)
        assert (unknown.reply.code, unknown.reply.enhanced, unknown.stage) == (550, "5.1.1", Stage.RCPT)
        assert "User unknown" in unknown.reply.text

        large = await deliverer.deliver(an_envelope(body=BODY + b"x\r\n" * 500_000))
        assert isinstance(large, Refused)
        assert (large.reply.code, large.reply.enhanced, large.stage) == (552, "5.3.4", Stage.MAIL)

        assert isinstance(await deliverer.deliver(an_envelope("jürgen@dest.test")), Delivered)
        await eventually(lambda: len(server.mails()) == 6)
        for number in range(5):
            wanted = (body + b"%d\r\n" % number).split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n")
            assert any(mail.endswith(wanted) for mail in server.mails())
