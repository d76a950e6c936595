"""REQUIRETLS and TLS-Required (RFC 8689): which servers get a mail that asks for either."""

from contextlib import AsyncExitStack

import pytest

from kannon.mail.verdict import Deferred, Delivered, Verdict
from kannon.outbound.client.message import waives_tls
from tests.outbound.test_mta_sts import MX, World, certificate, sts_world
from tests.support.certificates import Authority, make_authority
from tests.support.delivering import deliver_patiently, delivering
from tests.support.envelopes import BODY, an_envelope
from tests.support.policy_host import a_policy
from tests.support.smtp_peer import PLAIN, Peer, serving

OFFERED = (*PLAIN, "REQUIRETLS")
REQUIRED = an_envelope(require_tls=True)
WAIVED = an_envelope(body=b"TLS-Required: No\r\n" + BODY)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca"))


async def deliver(world: World, *, required: bool = True) -> Verdict:
    async with world.deliverer() as deliverer:
        return await deliver_patiently(deliverer, REQUIRED if required else WAIVED)


def deferred_for(verdict: Verdict) -> str:
    assert isinstance(verdict, Deferred), verdict
    assert verdict.enhanced == "4.7.30"
    return verdict.reason


@pytest.mark.parametrize("mode", ["enforce", "testing"])
async def test_a_server_that_is_verified_and_offers_it_gets_the_mail(authority: Authority, mode: str) -> None:
    peer = Peer(tls=certificate(authority, "right"), extensions=OFFERED)
    async with sts_world(authority, peer) as world:
        world.publish("1", a_policy(mode, MX))
        verdict = await deliver(world)
    assert isinstance(verdict, Delivered), verdict
    assert verdict.tls.endswith(" mta-sts")
    assert any(line.startswith("MAIL FROM:") and line.endswith(" REQUIRETLS") for line in peer.commands)


@pytest.mark.parametrize("flaw", ["wrong name", "expired", "self-signed"])
async def test_testing_mode_is_no_excuse(authority: Authority, flaw: str) -> None:
    peer = Peer(tls=certificate(authority, flaw), extensions=OFFERED)
    async with sts_world(authority, peer) as world:
        world.publish("1", a_policy("testing", MX))
        assert deferred_for(await deliver(world)).startswith("TLS: ")
    assert peer.mails == []


async def test_a_domain_without_dnssec_and_policy_gets_none(authority: Authority) -> None:
    peer = Peer(tls=certificate(authority, "right"), extensions=OFFERED)
    async with sts_world(authority, peer) as world:
        assert "protected by neither DNSSEC nor MTA-STS" in deferred_for(await deliver(world))
    assert peer.connections == 0


async def test_another_host_may_offer_it(authority: Authority) -> None:
    first = Peer(tls=certificate(authority, "right"))
    async with sts_world(authority, first) as world, AsyncExitStack() as stack:
        world.publish("1", a_policy("enforce", "*.dest.test"))
        assert deferred_for(await deliver(world)) == "the server does not offer REQUIRETLS"
        second = Peer(tls=authority.issue("mx2.dest.test"), extensions=OFFERED)
        await stack.enter_async_context(serving(second, "127.0.0.2", world.sender.port))
        world.dns.zone["dest.test", "MX"] = [f"10 {MX}.", "20 mx2.dest.test."]
        world.dns.zone["mx2.dest.test", "A"] = ["127.0.0.2"]
        verdict = await deliver(world)
        assert isinstance(verdict, Delivered), verdict
        assert verdict.host == "mx2.dest.test"
    assert first.mails == []


@pytest.mark.parametrize("mode", ["verify", "required", "opportunistic"])
async def test_a_route_has_to_verify(authority: Authority, mode: str) -> None:
    peer = Peer(tls=authority.issue("relay.test"), extensions=OFFERED)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(peer))
        routes = [{"domain": "*", "host": "relay.test", "port": port, "tls": mode}]
        zone = {("relay.test", "A"): ["127.0.0.1"]}
        deliverer = await stack.enter_async_context(delivering(zone, routes=routes, tls_ca_file=authority.pem))
        verdict = await deliver_patiently(deliverer, REQUIRED)
    if mode == "verify":
        assert isinstance(verdict, Delivered), verdict
    else:
        assert f"tls is {mode}" in deferred_for(verdict)


async def test_tls_required_no_overrides_what_the_domain_publishes(authority: Authority) -> None:
    async with sts_world(authority, Peer(tls=certificate(authority, "self-signed"), extensions=OFFERED)) as world:
        world.publish("1", a_policy("enforce", MX))
        verdict = await deliver(world, required=False)
        assert isinstance(verdict, Delivered), verdict
        assert verdict.tls.endswith(" unverified")
        async with world.deliverer() as deliverer:
            # RFC 8689 §3: with REQUIRETLS the field is ignored.
            both = an_envelope(body=WAIVED.body, require_tls=True)
            deferred_for(await deliver_patiently(deliverer, both))


@pytest.mark.parametrize(
    ("head", "waived"),
    [
        (b"TLS-Required: No\r\n", True),
        (b"Subject: x\r\ntls-required:\tNO \r\n", True),
        (b"TLS-Required:\r\n No\r\n", True),
        (b"TLS-Required: Yes\r\n", False),
        (b"TLS-Required: No, really\r\n", False),
        (b"X-TLS-Required: No\r\n", False),
        (b"Subject: x\r\n TLS-Required: No\r\n", False),
        (b"Subject: x\r\n\r\nTLS-Required: No\r\n", False),
    ],
)
def test_the_header_field(head: bytes, waived: bool) -> None:
    assert waives_tls(head + b"\r\nbody\r\n") is waived
