"""`kannon doctor` finds each broken set-up and names the remedy. Real DNS packets, SMTP peers and servers."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kannon.cli.doctor import machine, network, servers
from kannon.cli.doctor.domains import examine_domain
from kannon.cli.doctor.finding import Finding, Level
from kannon.db.pool import Database
from kannon.dns_lookup import Lookup, make_lookup
from kannon.mail.dns.records import ServerNames, dkim_record
from kannon.mail.verdict import Stage
from tests.support.api import TOKEN, RunningApi, running_api
from tests.support.command import Command
from tests.support.dns_server import SERVFAIL, DnsServer, Zone, serving_dns, txt
from tests.support.smtp_peer import Peer, free_port, serving, unanswered

HOST = "mx.example.net"
DOMAIN = "example.com"
REVERSE = "1.2.0.192.in-addr.arpa"
KEY = dkim_record(DOMAIN, "kannon", "rsa-sha256", "MIGf")
GOOD_ZONE: Zone = {
    (HOST, "A"): ["192.0.2.1"],
    (REVERSE, "PTR"): [f"{HOST}."],
    (DOMAIN, "MX"): [f"10 {HOST}."],
    (DOMAIN, "TXT"): txt(f"v=spf1 a:{HOST} ~all"),
    (f"_dmarc.{DOMAIN}", "TXT"): txt("v=DMARC1; p=none"),
    (f"stats.{DOMAIN}", "A"): ["192.0.2.1"],
    (KEY.name, "TXT"): txt(KEY.value),
}


@pytest.fixture
def zone() -> Zone:
    return dict(GOOD_ZONE)


@pytest.fixture
async def nameserver(zone: Zone) -> AsyncIterator[str]:
    async with serving_dns(DnsServer(zone)) as address:
        yield address


@pytest.fixture
def look_up(nameserver: str) -> Lookup:
    return make_lookup([nameserver])


def only(findings: list[Finding]) -> Finding:
    """The one that is not good."""
    [finding] = [each for each in findings if each.level is not Level.GOOD]
    assert finding.todo
    return finding


# -- the machine


@pytest.mark.parametrize(("synchronized", "level"), [(True, "good"), (False, "warn"), (None, "unknown")])
def test_a_clock_without_ntp(synchronized: bool | None, level: str) -> None:
    assert machine.examine_clock(lambda: synchronized).level == level


def test_the_kernel_answers_whether_the_clock_is_synchronized() -> None:
    assert machine.is_clock_synchronized() in (True, False, None)


def test_the_disk_is_below_its_reserve(tmp_path: Path) -> None:
    assert {each.level for each in machine.examine_disk(tmp_path, "0B")} == {Level.GOOD}
    low = only(machine.examine_disk(tmp_path, "1000000GiB"))
    assert (low.check, low.level) == ("disk", Level.BAD)
    assert "disk.reserve" in low.todo


def test_a_data_dir_that_is_absent(tmp_path: Path) -> None:
    absent = only(machine.examine_disk(tmp_path / "absent", "5%"))
    assert absent.level is Level.BAD
    assert "No such file or directory" in absent.found


@pytest.mark.parametrize(("milliseconds", "level"), [(1.0, "good"), (30.0, "warn"), (200.0, "bad")])
def test_a_disk_that_syncs_slowly(milliseconds: float, level: str) -> None:
    assert machine.judge_sync(milliseconds).level == level


def test_too_few_open_files() -> None:
    few = machine.examine_open_files(1024)
    assert (few.level, "LimitNOFILE" in few.todo) == (Level.WARN, True)
    assert machine.examine_open_files(65536).level is Level.GOOD


@pytest.mark.parametrize(("days", "level"), [(-1, "bad"), (3, "warn"), (60, "good")])
def test_a_certificate_that_expires(days: int, level: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    [finding] = machine.examine_certificates({"api.tls_cert": now + timedelta(days=days)}, now)
    assert (finding.check, finding.level) == ("api.tls_cert", level)


# -- the servers


async def test_postgres_answers_and_its_clock_agrees(postgres_url: str) -> None:
    assert [each.check for each in await servers.examine_postgres(postgres_url)] == [
        "PostgreSQL",
        "PostgreSQL's clock",
    ]
    assert servers.judge_clocks(-90).found == "90 s behind this machine's"
    assert servers.judge_clocks(-90).level is Level.BAD


async def test_postgres_is_away() -> None:
    away = only(await servers.examine_postgres(f"postgres://nobody@127.0.0.1:{free_port()}/nothing"))
    assert (away.check, away.level) == ("PostgreSQL", Level.BAD)


async def test_nats_answers(nats_url: str) -> None:
    assert (await servers.examine_nats(nats_url)).check == "NATS"


async def test_nats_is_away() -> None:
    away = await servers.examine_nats(f"nats://127.0.0.1:{free_port()}")
    assert away.level is Level.BAD
    assert "nats.url" in away.todo


# -- the network


async def outward(zone: Zone, port: int, look_up: Lookup) -> Finding:
    zone["probe.test", "MX"] = ["20 second.probe.test.", "10 mx.probe.test."]
    zone["mx.probe.test", "A"] = ["127.0.0.1"]
    return await network.examine_outbound("probe.test", port, HOST, "", look_up)


async def test_port_25_outward_is_open(zone: Zone, look_up: Lookup) -> None:
    peer = Peer()
    async with serving(peer) as port:
        finding = await outward(zone, port, look_up)
    assert (finding.level, finding.found) == (Level.GOOD, "mx.probe.test answers 250")
    assert peer.commands == [f"EHLO {HOST}", "QUIT"]


async def test_port_25_outward_is_closed(zone: Zone, look_up: Lookup) -> None:
    finding = await outward(zone, free_port(), look_up)
    assert finding.level is Level.BAD
    assert "provider" in finding.todo


async def test_port_25_outward_is_filtered(zone: Zone, look_up: Lookup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CONNECT_SECONDS", 0.3)
    with unanswered("127.0.0.1", port := free_port()):
        assert (await outward(zone, port, look_up)).level is Level.BAD


async def test_a_server_that_refuses_this_machine(zone: Zone, look_up: Lookup) -> None:
    async with serving(Peer({Stage.GREETING: "554 5.7.1 blocked: see list.test"})) as port:
        finding = await outward(zone, port, look_up)
    assert finding.level is Level.BAD
    assert "554 5.7.1 blocked: see list.test" in finding.found


async def test_a_probe_without_mail_servers(look_up: Lookup) -> None:
    finding = await network.examine_outbound("nothing.test", 25, HOST, "", look_up)
    assert (finding.level, "doctor.probe" in finding.todo) == (Level.UNKNOWN, True)


async def test_a_smarthost_that_is_away() -> None:
    finding = await network.examine_route("127.0.0.1", free_port(), HOST, "")
    assert (finding.level, "sender.routes" in finding.todo) == (Level.BAD, True)


async def test_the_port_for_bounces(zone: Zone, look_up: Lookup) -> None:
    zone["in.test", "A"] = ["127.0.0.1"]
    closed = await network.examine_inbound("in.test", look_up, port=free_port())
    assert (closed.level, "smtp.listen" in closed.todo) == (Level.BAD, True)
    async with serving(Peer()) as port:
        other = await network.examine_inbound("in.test", look_up, port=port)
    assert other.level is Level.WARN
    assert "leads to a server called" in other.found
    lost = await network.examine_inbound("absent.test", look_up, port=free_port())
    assert (lost.level, "has no address" in lost.found) == (Level.BAD, True)


async def test_names_and_addresses_that_agree(look_up: Lookup) -> None:
    assert {each.level for each in await network.examine_names(HOST, [], look_up)} == {Level.GOOD}


@pytest.mark.parametrize(
    ("change", "hostname", "sources", "said"),
    [
        ({}, "localhost", [], "is no public name"),
        ({}, "absent.example.net", [], "has no address"),
        ({(REVERSE, "PTR"): ["vm-17.provider.test."]}, HOST, [], "is vm-17.provider.test, not"),
        ({(REVERSE, "PTR"): []}, HOST, [], "missing"),
        ({("9.2.0.192.in-addr.arpa", "PTR"): [f"{HOST}."]}, HOST, ["192.0.2.9"], "does not lead back"),
        ({(REVERSE, "PTR"): [SERVFAIL]}, HOST, [], "look-up of"),
    ],
)
async def test_names_that_disagree(
    zone: Zone, look_up: Lookup, change: Zone, hostname: str, sources: list[str], said: str
) -> None:
    zone.update(change)
    if change.get((REVERSE, "PTR")) == []:
        del zone[REVERSE, "PTR"]
    finding = only(await network.examine_names(hostname, sources, look_up))
    assert said in finding.found


async def test_blocklists(zone: Zone, look_up: Lookup) -> None:
    lists = ["clean.test", "listing.test", "refusing.test", "broken.test"]
    zone["1.2.0.192.listing.test", "A"] = ["127.0.0.2"]
    zone["1.2.0.192.listing.test", "TXT"] = txt("spam seen")
    zone["1.2.0.192.refusing.test", "A"] = ["127.255.255.254"]
    zone["1.2.0.192.broken.test", "A"] = [SERVFAIL]
    found = await network.examine_blocklists(["192.0.2.1"], lists, look_up)
    assert [each.level.value for each in found] == ["good", "bad", "unknown", "unknown"]
    assert found[1].found == "listed: spam seen"


async def test_an_ipv6_address_in_a_blocklist(zone: Zone, look_up: Lookup) -> None:
    zone["1." + "0." * 23 + "8.b.d.0.1.0.0.2.listing.test", "A"] = ["127.0.0.2"]
    [finding] = await network.examine_blocklists(["2001:db8::1"], ["listing.test"], look_up)
    assert finding.level is Level.BAD


# -- domains


async def of_domain(look_up: Lookup) -> list[Finding]:
    return await examine_domain(DOMAIN, [KEY], ServerNames(HOST, HOST), look_up)


async def test_a_domain_with_all_records_is_one_line(look_up: Lookup) -> None:
    assert [(each.check, each.level.value) for each in await of_domain(look_up)] == [(DOMAIN, "good")]


def _without(name: str, kind: str) -> Callable[[Zone], object]:
    return lambda zone: zone.pop((name, kind))


def _with(name: str, kind: str, *values: str) -> Callable[[Zone], object]:
    return lambda zone: zone.update({(name, kind): [value for text in values for value in txt(text)]})


@pytest.mark.parametrize(
    ("breaks", "check", "level"),
    [
        (_without(KEY.name, "TXT"), "DKIM", "bad"),
        (_with(KEY.name, "TXT", "v=DKIM1; k=rsa; p=OTHER"), "DKIM", "bad"),
        (_with(DOMAIN, "TXT", "v=spf1 -all"), "SPF", "warn"),
        (_without(f"_dmarc.{DOMAIN}", "TXT"), "DMARC", "bad"),
        (_without(DOMAIN, "MX"), "bounces", "bad"),
        (_without(f"stats.{DOMAIN}", "A"), "opens and clicks", "warn"),
        (_with(f"_mta-sts.{DOMAIN}", "TXT", "v=STSv1; id=1", "v=STSv1; id=2"), "MTA-STS", "warn"),
        (_with(f"_smtp._tls.{DOMAIN}", "TXT", "v=TLSRPTv1; rua=a", "v=TLSRPTv1; rua=b"), "TLS-RPT", "warn"),
    ],
)
async def test_a_domain_with_a_wrong_record(
    zone: Zone, look_up: Lookup, breaks: Callable[[Zone], object], check: str, level: str
) -> None:
    breaks(zone)
    finding = only(await of_domain(look_up))
    assert (finding.check, finding.level) == (f"{DOMAIN}: {check}", level)


# -- the command


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        await api.create_domain(DOMAIN)
        yield api


@pytest.fixture
def kannon(api: RunningApi, nameserver: str, tmp_path: Path) -> Command:
    settings = (
        f'data_dir = "{tmp_path}"\n[components]\nenabled = ["api", "sender"]\n[sender]\nhostname = "{HOST}"\n'
        f'port = {free_port()}\n[dns]\nnameservers = ["{nameserver}"]\n[doctor]\nprobe = "probe.test"\n'
    )
    (tmp_path / "kannon.toml").write_text(settings)
    return Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN})


async def test_the_command_prints_a_table_and_exits_1_when_something_is_bad(kannon: Command) -> None:
    said = await kannon("doctor")
    assert (said.code, said.err) == (1, "")
    levels = {row[0]: row[1] for row in said.rows}
    assert levels["kannon serve"] == levels["EHLO name"] == "good"
    assert levels[f"{DOMAIN}: DKIM"] == "bad"  # the published key is another one
    as_json = await kannon("doctor", "--json")
    assert {each["check"] for each in json.loads(as_json.out)} == levels.keys()


async def test_the_command_without_a_running_server(kannon: Command) -> None:
    kannon.env["KANNON_SERVER"] = f"127.0.0.1:{free_port()}"
    said = await kannon("doctor")
    assert said.code == 1
    levels = {row[0]: row[1] for row in said.rows}
    assert (levels["kannon serve"], levels["domains"]) == ("bad", "unknown")
