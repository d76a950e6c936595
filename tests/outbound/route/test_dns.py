"""DNS answers and the verdicts they lead to, against a small name server with real packets."""

import asyncio
import socket
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import Any

import pytest

from kannon.config import Dns, Route
from kannon.mail.verdict import Deferred, Delivered, Refused, Stage, Verdict
from kannon.outbound import Throttled
from kannon.outbound.route import resolver, routing
from kannon.outbound.route.addresses import LOOP, PRIVATE, is_own, refusal
from kannon.outbound.route.resolver import MAX_CNAMES, Resolver, Status
from kannon.outbound.route.routing import best_route
from tests.support.delivering import delivering
from tests.support.dns_server import (
    DROP,
    GARBAGE,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    TRUNCATED,
    YXDOMAIN,
    DnsServer,
    Zone,
    serving_dns,
)
from tests.support.envelopes import an_envelope
from tests.support.patience import patience
from tests.support.smtp_peer import Peer, free_port, serving


async def verdict_for(zone: Zone, *, follow: bool = True, **options: Any) -> tuple[Verdict | Throttled, Peer]:
    """A mail to dest.test, with a good peer at 127.0.0.1 and ::1."""
    peer = Peer()
    dns = DnsServer(zone, follow=follow)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(peer))
        await stack.enter_async_context(serving(peer, "::1", port))
        deliverer = await stack.enter_async_context(delivering(zone, dns=dns, port=port, **options))
        return await deliverer.deliver(an_envelope()), peer


HERE = {("mx.test", "A"): ["127.0.0.1"]}

DELIVERED: dict[str, Zone] = {
    "mx": {("dest.test", "MX"): ["10 mx.test."], **HERE},
    "mx in another letter case": {("dest.test", "MX"): ["10 MX.Test."], **HERE},
    "no mx but an address": {("dest.test", "A"): ["127.0.0.1"]},
    "no mx but an IPv6 address": {("dest.test", "AAAA"): ["::1"]},
    "mx host with an IPv6 address only": {("dest.test", "MX"): ["10 mx.test."], ("mx.test", "AAAA"): ["::1"]},
    "null mx beside a real one": {("dest.test", "MX"): ["0 .", "10 mx.test."], **HERE},
    "preferred host without address": {("dest.test", "MX"): ["5 gone.test.", "10 mx.test."], **HERE},
    "preferred host's addresses broken": {
        ("dest.test", "MX"): ["5 bad.test.", "10 mx.test."],
        ("bad.test", "A"): [SERVFAIL],
        ("bad.test", "AAAA"): [SERVFAIL],
        **HERE,
    },
    "alias": {("dest.test", "CNAME"): ["real.test."], ("real.test", "MX"): ["10 mx.test."], **HERE},
    "mx host is an alias": {
        ("dest.test", "MX"): ["10 alias.test."],
        ("alias.test", "CNAME"): ["mx.test."],
        **HERE,
    },
    "alias without mx": {("dest.test", "CNAME"): ["real.test."], ("real.test", "A"): ["127.0.0.1"]},
    "truncated over udp": {("dest.test", "MX"): [TRUNCATED, "10 mx.test."], **HERE},
    "eight aliases": {
        ("dest.test", "CNAME"): ["a1.test."],
        **{(f"a{n}.test", "CNAME"): [f"a{n + 1}.test."] for n in range(1, MAX_CNAMES)},
        (f"a{MAX_CNAMES}.test", "MX"): ["10 mx.test."],
        **HERE,
    },
}


@pytest.mark.parametrize("follow", [True, False], ids=["server follows aliases", "client follows aliases"])
@pytest.mark.parametrize("zone", DELIVERED.values(), ids=DELIVERED.keys())
async def test_delivered(zone: Zone, follow: bool) -> None:
    verdict, peer = await verdict_for(zone, follow=follow)
    assert isinstance(verdict, Delivered), verdict
    assert len(peer.mails) == 1


REFUSED_CASES: dict[str, tuple[Zone, int, str]] = {
    "no such domain": ({}, 550, "5.1.2"),
    "no such domain, said bluntly": ({("dest.test", "MX"): [NXDOMAIN]}, 550, "5.1.2"),
    "null mx": ({("dest.test", "MX"): ["0 ."], ("dest.test", "A"): ["127.0.0.1"]}, 556, "5.1.10"),
    "a name without mx or address": ({("dest.test", "TXT"): ['"hello"']}, 550, "5.4.4"),
    "mx is ourselves": ({("dest.test", "MX"): ["10 me.test.", "20 mx.test."], **HERE}, 554, "5.4.6"),
}


@pytest.mark.parametrize(("zone", "code", "enhanced"), REFUSED_CASES.values(), ids=REFUSED_CASES.keys())
async def test_refused_at_once(zone: Zone, code: int, enhanced: str) -> None:
    verdict, peer = await verdict_for(zone)
    assert isinstance(verdict, Refused), verdict
    assert (verdict.reply.code, verdict.reply.enhanced, verdict.stage) == (code, enhanced, Stage.DNS)
    assert peer.connections == 0


DEFERRED: dict[str, Zone] = {
    "servfail": {("dest.test", "MX"): [SERVFAIL]},
    "refused": {("dest.test", "MX"): [REFUSED]},
    "silence": {("dest.test", "MX"): [DROP]},
    "garbage": {("dest.test", "MX"): [GARBAGE]},
    "yxdomain": {("dest.test", "MX"): [YXDOMAIN]},
    "no mx and a broken address": {("dest.test", "TXT"): ['"x"'], ("dest.test", "A"): [SERVFAIL]},
    "mx host without address": {("dest.test", "MX"): ["10 gone.test."]},
    "alias loop": {("dest.test", "CNAME"): ["b.test."], ("b.test", "CNAME"): ["dest.test."]},
    "nine aliases": {
        ("dest.test", "CNAME"): ["a1.test."],
        **{(f"a{n}.test", "CNAME"): [f"a{n + 1}.test."] for n in range(1, MAX_CNAMES + 1)},
        (f"a{MAX_CNAMES + 1}.test", "MX"): ["10 mx.test."],
        **HERE,
    },
}


@pytest.mark.parametrize("follow", [True, False], ids=["server follows aliases", "client follows aliases"])
@pytest.mark.parametrize("zone", DEFERRED.values(), ids=DEFERRED.keys())
async def test_deferred_never_permanent(zone: Zone, follow: bool) -> None:
    verdict, peer = await verdict_for(zone, follow=follow, dns_scale=0.1)
    assert isinstance(verdict, Deferred), verdict
    assert (verdict.stage, verdict.reply) == (Stage.DNS, None)
    assert verdict.reason
    assert peer.connections == 0


async def test_ourselves_among_the_exchangers_cuts_the_list_there() -> None:
    zone: Zone = {("dest.test", "MX"): ["10 mx.test.", "20 me.test.", "30 worse.test."], **HERE}
    verdict, _ = await verdict_for(zone)
    assert isinstance(verdict, Delivered)
    assert verdict.host == "mx.test"


def own_address() -> str:
    """Of this machine towards the world, where it has one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


INSIDE = {
    "127.0.0.1": "5.4.6",
    "127.9.9.9": "5.4.6",
    "0.0.0.0": "5.4.6",
    "::1": "5.4.6",
    "::ffff:127.0.0.1": "5.4.6",
    own_address(): "5.4.6",
    "10.1.2.3": "5.4.4",
    "169.254.169.254": "5.4.4",
    "::ffff:10.1.2.3": "5.4.4",
    "fd00:ec2::254": "5.4.4",
}


@pytest.mark.parametrize(("address", "enhanced"), INSIDE.items())
@pytest.mark.parametrize("by_mx", [True, False], ids=["mx", "no mx"])
async def test_private_exchangers_are_not_dialled(address: str, enhanced: str, by_mx: bool) -> None:
    kind = "AAAA" if ":" in address else "A"
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."]} if by_mx else {}
    zone["mx.test" if by_mx else "dest.test", kind] = [address]
    verdict, peer = await verdict_for(zone, allow_private_mx=False)
    assert isinstance(verdict, Refused), verdict
    assert (verdict.reply.enhanced, verdict.stage) == (enhanced, Stage.DNS)
    assert peer.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3"], ids=["ourselves", "private"])
@pytest.mark.parametrize("trouble", [SERVFAIL, DROP, GARBAGE])
async def test_trouble_with_one_exchanger_is_not_made_permanent_by_another(address: str, trouble: str) -> None:
    zone: Zone = {("dest.test", "MX"): ["10 bad.test.", "20 inside.test."], ("inside.test", "A"): [address]}
    zone |= {("bad.test", kind): [trouble] for kind in ("A", "AAAA")}
    verdict, peer = await verdict_for(zone, allow_private_mx=False, dns_scale=0.1)
    assert isinstance(verdict, Deferred), verdict
    assert (verdict.stage, verdict.reply) == (Stage.DNS, None)
    assert peer.connections == 0


async def test_a_name_that_changes_after_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes to the address that was checked; the next look-up is checked again. 127.6.0.1 stands for a
    public address, because the tests connect to none."""
    monkeypatch.setattr(routing, "refusal", lambda address: None if address == "127.6.0.1" else refusal(address))
    monkeypatch.setattr(resolver, "MIN_TTL_SECONDS", 0.0)
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."], ("mx.test", "A"): ["127.6.0.1"]}

    class Rebinding(DnsServer):
        def answer(self, wire: bytes, *, tcp: bool) -> bytes | None:
            said = super().answer(wire, tcp=tcp)
            if ("mx.test", "A") in self.asked:
                self.zone["mx.test", "A"] = ["127.0.0.1"]
            return said

    public, inside = Peer(), Peer()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(public, "127.6.0.1"))
        await stack.enter_async_context(serving(inside, "127.0.0.1", port))
        limits = [{"mx": "mx.test", "mails_per_connection": 1}]
        options: dict[str, Any] = {"port": port, "allow_private_mx": False, "limits": limits}
        deliverer = await stack.enter_async_context(delivering(zone, dns=Rebinding(zone, ttl=0), **options))
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
        again = await deliverer.deliver(an_envelope())
    assert isinstance(again, Refused), again
    assert again.reply.enhanced == "5.4.6"
    assert (len(public.mails), inside.connections) == (1, 0)


async def test_a_name_server_that_is_silent_about_aaaa_delays_no_host_with_an_ipv4_address() -> None:
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."], ("mx.test", "AAAA"): [DROP], **HERE}
    with patience():
        verdict, _ = await verdict_for(zone, dns_scale=20)  # to wait for it would be longer than patience
    assert isinstance(verdict, Delivered)


async def test_exchangers_are_asked_in_order_of_preference() -> None:
    zone: Zone = {("dest.test", "MX"): ["30 c.test.", "10 a.test.", "20 b.test."]}
    zone |= {(f"{name}.test", "A"): [f"127.3.2.{n}"] for n, name in enumerate("abc", 1)}
    peers = [Peer({Stage.GREETING: "421 4.3.2 not now"}), Peer({Stage.GREETING: "421 4.3.2 not now"}), Peer()]
    async with AsyncExitStack() as stack:
        port = 0
        for number, peer in enumerate(peers, 1):
            port = await stack.enter_async_context(serving(peer, f"127.3.2.{number}", port))
        deliverer = await stack.enter_async_context(delivering(zone, port=port))
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Delivered)
    assert verdict.host == "c.test"
    assert [peer.connections for peer in peers] == [1, 1, 1]


async def test_thirty_dead_exchangers_cost_five_tries() -> None:
    zone: Zone = {("dest.test", "MX"): [f"{n} mx{n}.test." for n in range(1, 31)]}
    zone |= {(f"mx{n}.test", "A"): [f"127.3.3.{n}"] for n in range(1, 31)}
    dns = DnsServer(zone)
    beyond = [Peer() for _ in range(6, 31)]  # they would accept the mail, and are not tried
    async with AsyncExitStack() as stack:
        port = free_port()
        for number, peer in enumerate(beyond, 6):
            await stack.enter_async_context(serving(peer, f"127.3.3.{number}", port))
        deliverer = await stack.enter_async_context(delivering(zone, dns=dns, port=port))
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert (verdict.stage, verdict.reply) == (Stage.CONNECT, None)
    assert not any(peer.connections for peer in beyond)
    assert {name for name, _ in dns.asked} == {"dest.test", "_mta-sts.dest.test", *(f"mx{n}.test" for n in range(1, 6))}


async def test_a_trailing_dot_is_no_part_of_a_routes_host() -> None:
    peer = Peer()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(peer))
        routes = [{"domain": "dest.test.", "host": "Relay.Test.", "port": port}]
        zone: Zone = {("relay.test", "A"): ["127.0.0.1"]}
        deliverer = await stack.enter_async_context(delivering(zone, routes=routes))
        verdict = await deliverer.deliver(an_envelope())
        assert isinstance(verdict, Delivered), verdict
        assert verdict.host == "relay.test"


async def test_a_route_may_lead_to_a_private_address() -> None:
    peer = Peer()
    async with serving(peer) as port:
        route = {"domain": "*", "host": "127.0.0.1", "port": port}
        async with delivering({}, allow_private_mx=False, routes=[route]) as deliverer:
            assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert len(peer.mails) == 1


async def test_a_route_to_a_private_host_opens_no_way_for_other_domains() -> None:
    """A domain whose MX is the route's host does not share the route's open connection."""
    peer = Peer()
    zone: Zone = {("dest.test", "MX"): ["10 inside.test."], ("inside.test", "A"): ["127.0.0.1"]}
    async with serving(peer) as port:
        route = {"domain": "ours.test", "host": "inside.test", "port": port}
        async with delivering(zone, allow_private_mx=False, routes=[route], port=port) as deliverer:
            assert isinstance(await deliverer.deliver(an_envelope("x@ours.test")), Delivered)
            assert isinstance(await deliverer.deliver(an_envelope("x@dest.test")), Refused)
    assert len(peer.mails) == 1


async def test_a_routes_host_may_be_known_to_this_system_only() -> None:
    peer = Peer()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(peer))
        routes = [{"domain": "*", "host": "localhost", "port": port}]
        deliverer = await stack.enter_async_context(delivering({}, routes=routes))
        assert isinstance(await deliverer.deliver(an_envelope()), Delivered)


async def test_at_most_five_addresses_a_try() -> None:
    addresses = [f"127.3.0.{n}" for n in range(1, 9)]
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."], ("mx.test", "A"): addresses}
    peer = Peer()
    # The sixth would take it.
    async with serving(peer, addresses[5]) as port, delivering(zone, port=port) as deliverer:
        verdict = await deliverer.deliver(an_envelope())
    assert isinstance(verdict, Deferred)
    assert verdict.stage is Stage.CONNECT


async def test_hosts_of_equal_preference_share_the_load() -> None:
    zone: Zone = {("dest.test", "MX"): ["10 a.test.", "10 b.test."]}
    zone |= {("a.test", "A"): ["127.3.1.1"], ("b.test", "A"): ["127.3.1.2"]}
    one, two = Peer(), Peer()
    async with serving(one, "127.3.1.1") as port, serving(two, "127.3.1.2", port):
        limit = {"mx": "test", "mails_per_connection": 1}  # each mail draws anew
        async with delivering(zone, port=port, limits=[limit]) as deliverer:
            for _ in range(40):
                assert isinstance(await deliverer.deliver(an_envelope()), Delivered)
    assert len(one.mails) > 5
    assert len(two.mails) > 5


async def test_simultaneous_callers_share_one_query_and_the_answer_is_cached() -> None:
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."], **HERE}
    server = DnsServer(zone)
    peer = Peer()
    async with serving(peer) as port, delivering(zone, dns=server, port=port) as deliverer:
        verdicts = await asyncio.gather(*(deliverer.deliver(an_envelope()) for _ in range(10)))
        assert all(isinstance(each, Delivered) for each in verdicts)
        await deliverer.deliver(an_envelope("someone.else@dest.test"))
    assert server.asked.count(("dest.test", "MX")) == 1


async def test_answers_live_as_long_as_their_ttl() -> None:
    zone: Zone = {("dest.test", "MX"): ["10 mx.test."], **HERE}
    async with serving_dns(DnsServer(zone, ttl=300)) as nameserver, asyncio.TaskGroup() as tasks:
        names = Resolver(Dns(nameservers=[nameserver]), lambda job: void(tasks.create_task(job)))
        loop_time = asyncio.get_running_loop().time
        positive = await names.lookup("dest.test", "MX")
        assert positive.status is Status.FOUND
        assert positive.expires - loop_time() == pytest.approx(300, abs=5)
        negative = await names.lookup("nowhere.test", "MX")
        assert negative.status is Status.NO_NAME
        assert negative.expires - loop_time() == pytest.approx(60, abs=5)  # at most, for any SOA
        assert names.known("dest.test", "MX") is positive


def void(_: object) -> None:
    """For callbacks without a result."""


async def test_names_are_absolute_and_never_searched() -> None:
    server = DnsServer({})
    async with delivering({}, dns=server) as deliverer:
        await deliverer.deliver(an_envelope("x@nowhere.test"))
    assert set(server.asked) == {("nowhere.test", "MX"), ("_mta-sts.nowhere.test", "TXT")}


async def test_a_recipient_without_a_domain_name_is_refused() -> None:
    async with delivering({}) as deliverer:
        for address in ("x@[127.0.0.1]", "x@nodots", "x@a..test", "x@dest.test.", "nobody", "x@bad domain.test"):
            verdict = await deliverer.deliver(an_envelope(address))
            assert isinstance(verdict, Refused), address


async def test_international_domains_are_looked_up_as_a_labels() -> None:
    zone: Zone = {("xn--bcher-kva.test", "MX"): ["10 mx.test."], **HERE}
    peer = Peer()
    async with serving(peer) as port, delivering(zone, port=port) as deliverer:
        assert isinstance(await deliverer.deliver(an_envelope("x@bücher.test")), Delivered)
    assert peer.recipients == ["RCPT TO:<x@xn--bcher-kva.test>"]


@pytest.mark.parametrize(
    ("address", "reply"),
    [
        ("127.0.0.1", LOOP),
        ("127.9.9.9", LOOP),
        ("::1", LOOP),
        ("0.0.0.0", LOOP),
        ("::ffff:127.0.0.1", LOOP),
        ("10.0.0.1", PRIVATE),
        ("192.168.1.1", PRIVATE),
        ("172.16.0.1", PRIVATE),
        ("100.64.0.1", PRIVATE),
        ("169.254.169.254", PRIVATE),
        ("fe80::1", PRIVATE),
        ("fc00::1", PRIVATE),
        ("224.0.0.1", PRIVATE),
        ("ff02::1", PRIVATE),
        ("::ffff:10.0.0.1", PRIVATE),
        ("64:ff9b::a00:1", PRIVATE),
        ("2002:a00:1::", PRIVATE),
        ("64:ff9b:1::a00:1", PRIVATE),
        ("::ffff:0:10.0.0.1", PRIVATE),
        ("::10.0.0.1", PRIVATE),
        ("fec0::1", PRIVATE),
        ("64:ff9b::808:808", None),
        ("8.8.8.8", None),
        ("2001:4860:4860::8888", None),
    ],
)
def test_which_addresses_are_public(address: str, reply: object) -> None:
    assert refusal(address) is reply


def test_own_addresses_are_known_as_such() -> None:
    assert is_own("127.0.0.1")
    assert not is_own("8.8.8.8")
    assert ip_address("8.8.8.8").is_global


def test_the_most_specific_route_wins() -> None:
    routes = [Route(domain=d, host=h) for d, h in [("*", "any"), ("*.a.test", "sub"), ("*.b.a.test", "deeper")]]
    routes += [Route(domain="x.b.a.test", host="exact"), Route(domain=".c.test", host="dotted")]
    chosen = {
        "x.b.a.test": "exact",
        "y.b.a.test": "deeper",
        "y.a.test": "sub",
        "a.test": "any",
        "z.c.test": "dotted",
        "c.test": "any",
        "elsewhere.test": "any",
    }
    for domain, host in chosen.items():
        route = best_route(domain, routes)
        assert route is not None
        assert route.host == host, domain
    assert best_route("elsewhere.test", routes[1:]) is None
