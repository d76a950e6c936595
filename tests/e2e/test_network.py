"""The network as on the internet: MX records of a name server, STARTTLS to the MX, TLS on our own listeners."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import anyio
import pytest
from grpclib.client import Channel

from kannon.pb.mailer.apiv1.mailerapiv1_pb2 import SendHTMLReq
from kannon.pb.mailer.types.mailer_types_pb2 import Recipient, Sender
from tests.support.certificates import make_authority
from tests.support.command import Command
from tests.support.dns_server import DnsServer, serving_dns
from tests.support.kannon_process import Client, Kannon
from tests.support.patience import PATIENCE_SECONDS, patience
from tests.support.smtp_peer import Peer, serving

DOMAIN = "example.com"


@pytest.fixture
async def dns() -> AsyncIterator[tuple[DnsServer, str]]:
    server = DnsServer(
        {
            ("reader.test", "MX"): ["20 mx2.test.", "10 mx1.test."],
            ("mx1.test", "A"): ["127.0.0.1"],
            ("mx2.test", "A"): ["127.0.0.2"],
            ("relay.test", "A"): ["127.0.0.1"],
        }
    )
    async with serving_dns(server) as address:
        yield server, address


def client_of(kannon: Kannon) -> dict[str, str]:
    return {"KANNON_SERVER": f"127.0.0.1:{kannon.ports['api']}", "KANNON_TOKEN": kannon.admin_token()}


async def test_mail_goes_to_the_mx_over_tls(tmp_path: Path, dns: tuple[DnsServer, str]) -> None:
    """One domain by its MX with opportunistic TLS, one through a verified relay, and one that does not exist."""
    authority = make_authority(tmp_path)
    server, nameserver = dns
    exchanger, relay = Peer(tls=authority.issue("mx1.test")), Peer(tls=authority.issue("relay.test"))
    async with serving(exchanger) as mx_port, serving(relay) as relay_port:
        routes = [{"domain": "relayed.test", "host": "relay.test", "port": relay_port, "tls": "verify"}]
        kannon = Kannon(
            tmp_path / "data",
            {
                "KANNON_DNS__NAMESERVERS": json.dumps([nameserver]),
                "KANNON_SENDER__HOSTNAME": "mail.kannon.test",
                "KANNON_SENDER__PORT": str(mx_port),
                "KANNON_SENDER__ALLOW_PRIVATE_MX": "true",
                "KANNON_SENDER__ROUTES": json.dumps(routes),
                "KANNON_SENDER__TLS_CA_FILE": authority.pem,
            },
        )
        try:
            await kannon.start().ready()
            client = kannon.client()
            await client.add_domain(DOMAIN)
            addresses = ["ann@reader.test", "bob@relayed.test", "carl@nowhere.test"]
            await client.send(
                SendHTMLReq(
                    sender=Sender(email=f"news@{DOMAIN}"),
                    subject="x",
                    html="<p>x</p>",
                    recipients=[Recipient(email=address) for address in addresses],
                )
            )
            assert await client.outcomes(DOMAIN, 3) == {
                "ann@reader.test": "delivered",
                "bob@relayed.test": "delivered",
                "carl@nowhere.test": "bounced",
            }
            for peer in (exchanger, relay):
                assert len(peer.mails) == 1
                assert peer.commands[0] == "EHLO mail.kannon.test"
                assert "STARTTLS" in peer.commands
                assert peer.commands.index("STARTTLS") < next(
                    n for n, command in enumerate(peer.commands) if command.startswith("MAIL")
                )
            assert ("reader.test", "MX") in server.asked
            # The MX record to publish names the host that answers.
            published = await Command(tmp_path, {**kannon.extra, **client_of(kannon)})("domains", "dns", DOMAIN)
            assert ["bounces", DOMAIN, "MX", "10 mail.kannon.test."] in published.rows, published.err
            async with await anyio.connect_tcp("127.0.0.1", kannon.ports["smtp"]) as inbound:
                assert (await inbound.receive()).startswith(b"220 mail.kannon.test ")
            assert await kannon.stop() == 0
        finally:
            kannon.kill()


async def test_api_and_smtp_listeners_speak_tls(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    authority.issue("localhost")
    (pair,) = tmp_path.glob("localhost-*.pem")
    files = {f"KANNON_{name}__TLS_{half}": str(pair) for name in ("API", "SMTP") for half in ("CERT", "KEY")}
    kannon = Kannon(tmp_path / "data", files)
    trust = ssl.create_default_context(cafile=authority.pem)
    trust.set_alpn_protocols(["h2"])
    try:
        await kannon.start().ready()
        client = Client(Channel("localhost", kannon.ports["api"], ssl=trust), kannon.admin_token())
        assert await client.add_domain(DOMAIN)
        client.close()
        with patience():
            async with aiosmtplib.SMTP(
                hostname="127.0.0.1", port=kannon.ports["smtp"], start_tls=False, timeout=PATIENCE_SECONDS
            ) as inbound:
                await inbound.starttls(
                    tls_context=ssl.create_default_context(cafile=authority.pem), server_hostname="localhost"
                )
                assert (await inbound.ehlo()).code == 250
        assert await kannon.stop() == 0
    finally:
        kannon.kill()
