"""Against other servers: smtp-sink with its fault switches, and Postfix, Exim and OpenSMTPD."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from kannon.mail.verdict import Deferred, Delivered, Refused, Stage
from kannon.outbound import Deliverer
from tests.support.certificates import Authority, make_authority
from tests.support.delivering import delivering
from tests.support.dns_server import Zone
from tests.support.envelopes import BODY, an_envelope
from tests.support.eventually import eventually
from tests.support.interop import Postfix, postfix, smtp_sink
from tests.support.mail_servers import MailServer, mail_server


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


# smtp-sink's names for the stages: CONNECT is the greeting, "." the final dot.
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
async def test_smtp_sink_accepts_no_connection(switch: str) -> None:
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
async def test_smtp_sink_hangs_up_after_the_mail(command: str) -> None:
    async with to_sink("-q", command) as deliverer:
        for _ in range(3):
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)


async def test_smtp_sink_is_slow() -> None:
    async with to_sink("-w", "1") as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)


async def test_postfix() -> None:
    """Over TLS, with dots; its own texts for refused and deferred mail."""
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


# -- certificates good and bad, on all three

SPECIMEN = BODY + b".\r\n..\r\n.x\r\n\tGr\xc3\xbc\xc3\x9fe  \r\n" + b"x" * 900 + b"\r\n\r\n.\r\n"
FLAWS = ["good", "self-signed", "expired", "wrong name"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


def a_certificate(authority: Authority, flaw: str) -> Path:
    host = "wrong.test" if flaw == "wrong name" else "mx.dest.test"
    return authority.issue_file(host, expired=flaw == "expired", self_signed=flaw == "self-signed")


@asynccontextmanager
async def to(server: MailServer | Postfix, authority: Authority, mode: str) -> AsyncIterator[Deliverer]:
    """Over a route to mx.dest.test, which is `server`."""
    zone: Zone = {("mx.dest.test", "A"): ["127.0.0.1"]}
    routes = [{"domain": "*", "host": "mx.dest.test", "port": server.port, "tls": mode}]
    async with delivering(zone, routes=routes, tls_ca_file=authority.pem, timeout_scale=1) as deliverer:
        yield deliverer


async def took_it(deliverer: Deliverer, server: MailServer | Postfix) -> Delivered:
    """The verdict, once the mail has been found in the server's Maildir, its octets as they were."""
    verdict = await deliverer.deliver(an_envelope(body=SPECIMEN))
    assert isinstance(verdict, Delivered), verdict
    await eventually(lambda: len(server.mails()) == 1)
    [mail] = server.mails()
    head, _, text = SPECIMEN.replace(b"\r\n", b"\n").partition(b"\n\n")
    before, _, kept = mail.partition(b"\n\n")
    assert kept == text
    assert head in before  # a server puts fields of its own before it, and some behind
    return verdict


@pytest.mark.parametrize("name", ["exim", "opensmtpd"])
async def test_without_starttls(authority: Authority, name: str) -> None:
    async with mail_server(name) as server:
        async with to(server, authority, "required") as deliverer:
            refused = await deliverer.deliver(an_envelope())
            assert isinstance(refused, Deferred)
            assert refused.reason == "STARTTLS is not offered"
        async with to(server, authority, "opportunistic") as deliverer:
            assert (await took_it(deliverer, server)).tls == ""
            unknown = await deliverer.deliver(an_envelope("nobody@dest.test"))
            assert isinstance(unknown, Refused)
            assert (unknown.reply.code // 100, unknown.stage) == (5, Stage.RCPT)
            large = await deliverer.deliver(an_envelope(body=BODY + b"x\r\n" * 500_000))
            assert isinstance(large, Refused)
            assert large.stage is (Stage.MAIL if name == "exim" else Stage.DOT)  # Exim checks SIZE=, the others count


@pytest.mark.parametrize("name", ["exim", "postfix"])
@pytest.mark.parametrize("flaw", FLAWS)
async def test_with_starttls(authority: Authority, name: str, flaw: str) -> None:
    certificate = a_certificate(authority, flaw)
    async with AsyncExitStack() as stack:
        server: MailServer | Postfix
        if name == "postfix":
            server = await stack.enter_async_context(postfix(certificate))
        else:
            server = await stack.enter_async_context(mail_server(name, certificate))
        async with to(server, authority, "opportunistic") as deliverer:
            tls = (await took_it(deliverer, server)).tls
            assert tls.startswith("TLSv1.3")
            assert tls.endswith(" unverified")
        async with to(server, authority, "verify") as deliverer:
            verdict = await deliverer.deliver(an_envelope())
        if flaw == "good":
            assert isinstance(verdict, Delivered)
            assert verdict.tls.endswith(" verified")
        else:
            assert isinstance(verdict, Deferred)
            assert verdict.stage is Stage.STARTTLS
            assert verdict.reason.startswith("TLS: ")


async def test_a_server_that_offers_tls_and_may_not_be_able_to(authority: Authority) -> None:
    """OpenSMTPD before 7.3, as in Debian 12, fails every handshake with OpenSSL 3: the mail goes in clear text within
    the same attempt. A newer one gets it encrypted. The server's Received field says which."""
    async with (
        mail_server("opensmtpd", a_certificate(authority, "good")) as server,
        to(server, authority, "opportunistic") as deliverer,
    ):
        verdict = await took_it(deliverer, server)
        assert (b"with ESMTPS" in server.mails()[0]) is bool(verdict.tls)


async def test_a_server_with_tls_1_0_only(authority: Authority) -> None:
    ciphers = "NORMAL:-VERS-ALL:+VERS-TLS1.0"
    async with mail_server("exim", a_certificate(authority, "good"), ciphers=ciphers) as server:
        async with to(server, authority, "required") as deliverer:
            verdict = await deliverer.deliver(an_envelope())
            assert isinstance(verdict, Deferred)
            assert (verdict.stage, verdict.reply) == (Stage.STARTTLS, None)
            assert not server.mails()
        async with to(server, authority, "opportunistic") as deliverer:
            assert (await took_it(deliverer, server)).tls == ""
