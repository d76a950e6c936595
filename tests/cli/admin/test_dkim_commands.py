"""`kannon domains dkim` against a running API and a real DNS server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kannon.db.pool import Database
from tests.support.api import TOKEN, RunningApi, running_api
from tests.support.command import Command
from tests.support.dns_server import DnsServer, Zone, serving_dns, txt

RSA, ED = "rsa-sha256", "ed25519-sha256"
DOMAIN = "example.com"
SECOND = f"kannon2._domainkey.{DOMAIN}"


@pytest.fixture
def zone() -> Zone:
    return {}


@pytest.fixture
async def nameserver(zone: Zone) -> AsyncIterator[str]:
    async with serving_dns(DnsServer(zone)) as address:
        yield address


@pytest.fixture
async def api(db: Database, nameserver: str) -> AsyncIterator[RunningApi]:
    async with running_api(db, nameservers=[nameserver]) as api:
        await api.create_domain(DOMAIN)
        yield api


@pytest.fixture
def kannon(api: RunningApi, nameserver: str, tmp_path: Path) -> Command:
    settings = f'[sender]\nhostname = "mx.example.net"\n[dns]\nnameservers = ["{nameserver}"]\n'
    (tmp_path / "kannon.toml").write_text(settings)
    return Command(tmp_path, {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN})


async def listed(kannon: Command) -> list[tuple[str, str, str, str]]:
    """Selector, algorithm, state, and the first word of the DNS column."""
    shown = await kannon("domains", "dkim", "list", DOMAIN)
    assert "DNS" not in shown.out  # the command does not ask the DNS
    return [(row[0], row[1], row[2], row[4].split(" 20")[0]) for row in shown.rows]


async def to_publish(kannon: Command) -> dict[str, str]:
    """The DKIM records that `kannon domains dns` asks for."""
    rows = (await kannon("domains", "dns", DOMAIN)).rows
    return {row[1]: row[3] for row in rows if row[0] == "DKIM"}


async def test_a_rotation_publishes_activates_and_retires_keys(kannon: Command, zone: Zone, db: Database) -> None:
    made = await kannon("domains", "dkim", "rotate", "Example.COM")
    assert (made.code, made.err) == (0, "")
    said, record = made.out.splitlines()
    assert said == "kannon2 is created. Publish this record, then run the same command again:"
    name, kind, value = record.split("\t")
    assert (name, kind, value[:18]) == (SECOND, "TXT", "v=DKIM1; k=rsa; p=")
    assert await listed(kannon) == [("kannon", RSA, "active", "yes"), ("kannon2", RSA, "next", "yes")]
    assert list(await to_publish(kannon)) == [f"kannon._domainkey.{DOMAIN}", SECOND]

    refused = await kannon("domains", "dkim", "rotate", DOMAIN)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == f"kannon: {SECOND} TXT: missing; expected: {value}\n"
    assert [state for _, _, state, _ in await listed(kannon)] == ["active", "next"]

    zone[SECOND, "TXT"] = txt(value)
    done = await kannon("domains", "dkim", "rotate", DOMAIN)
    assert (done.code, done.err) == (0, "")
    signs, former = done.out.splitlines()
    assert signs == "kannon2 is active; the builders use it within a minute"
    assert former.startswith("kannon is retired; publish: until 20")
    assert await listed(kannon) == [("kannon", RSA, "retired", "until"), ("kannon2", RSA, "active", "yes")]
    assert list(await to_publish(kannon)) == [f"kannon._domainkey.{DOMAIN}", SECOND]

    early = await kannon("domains", "dkim", "delete", DOMAIN, "kannon")
    assert (early.code, early.out) == (1, "")
    assert early.err.startswith('kannon: selector: "kannon" is needed until 20')
    async with db.acquire() as connection:
        yesterday = datetime.now(UTC) - timedelta(hours=25)
        await connection.execute("UPDATE dkim_keys SET retired_at = $1 WHERE selector = 'kannon'", yesterday)
    assert (await listed(kannon))[0][2:] == ("retired", "no longer needed")
    assert await to_publish(kannon) == {SECOND: value}
    gone = await kannon("domains", "dkim", "delete", DOMAIN, "kannon")
    assert (gone.code, gone.out) == (0, f"kannon is deleted; remove kannon._domainkey.{DOMAIN} from the DNS\n")
    assert (await listed(kannon))[0][2:] == ("deleted", "no")


async def test_force_activates_a_key_at_once(kannon: Command) -> None:
    done = await kannon("domains", "dkim", "rotate", DOMAIN, "--force")
    assert (done.code, done.out.split(";")[0]) == (0, "kannon2 is active")
    back = await kannon("domains", "dkim", "activate", DOMAIN, "kannon")
    assert (back.code, back.err.split(";")[0]) == (1, f"kannon: kannon._domainkey.{DOMAIN} TXT: missing")
    assert (await kannon("domains", "dkim", "activate", DOMAIN, "kannon", "--force")).code == 0
    assert (await kannon("domains", "dkim", "delete", DOMAIN, "kannon2", "--force")).code == 0
    assert await listed(kannon) == [("kannon", RSA, "active", "yes"), ("kannon2", RSA, "deleted", "no")]


async def test_a_domain_can_add_and_remove_an_ed25519_signature(kannon: Command, zone: Zone) -> None:
    nothing = await kannon("domains", "dkim", "disable-ed25519", DOMAIN)
    assert (nothing.code, nothing.out) == (0, "the domain has no ed25519-sha256 signature\n")
    made = (await kannon("domains", "dkim", "enable-ed25519", DOMAIN, "--json")).json
    assert (made["selector"], made["state"], made["record_value"][:22]) == ("kannon2", "next", "v=DKIM1; k=ed25519; p=")
    assert (await kannon("domains", "dkim", "enable-ed25519", DOMAIN)).code == 1
    zone[SECOND, "TXT"] = txt(made["record_value"])
    assert (await kannon("domains", "dkim", "enable-ed25519", DOMAIN)).code == 0
    again = await kannon("domains", "dkim", "enable-ed25519", DOMAIN)
    assert (again.code, again.out) == (0, "kannon2 is active already\n")
    # Each algorithm rotates on its own.
    await kannon("domains", "dkim", "rotate", DOMAIN, "--algorithm", ED)
    await kannon("domains", "dkim", "rotate", DOMAIN)
    assert await listed(kannon) == [
        ("kannon", RSA, "active", "yes"),
        ("kannon2", ED, "active", "yes"),
        ("kannon3", ED, "next", "yes"),
        ("kannon4", RSA, "next", "yes"),
    ]
    ended = await kannon("domains", "dkim", "disable-ed25519", DOMAIN)
    assert ended.code == 0
    retired, deleted = ended.out.splitlines()
    assert retired.startswith("kannon2 is retired; publish: until 20")
    assert deleted == "kannon3 is deleted; publish: no"


async def test_dns_verify_checks_every_key(kannon: Command, zone: Zone) -> None:
    await kannon("domains", "dkim", "rotate", DOMAIN)
    records = await to_publish(kannon)
    zone.update({(name, "TXT"): txt(value) for name, value in records.items()})
    zone[SECOND, "TXT"] = txt("v=DKIM1; p=")
    rows = (await kannon("domains", "dns", DOMAIN, "--verify")).rows
    assert [row[4] for row in rows if row[0] == "DKIM"] == ["good", "is a revoked key: p= is empty"]


async def test_wrong_input_ends_with_an_error(kannon: Command) -> None:
    for arguments, code, said in [
        (["rotate", "no.example"], 1, 'kannon: domain: no domain "no.example"\n'),
        (["list", "a b"], 1, "kannon: domain: "),
        (["activate", DOMAIN, "nobody"], 1, f'kannon: selector: no DKIM key "nobody" of domain "{DOMAIN}"\n'),
        (["delete", DOMAIN, "kannon", "--force"], 1, 'kannon: selector: "kannon" signs mail; activate another key'),
        (["rotate", DOMAIN, "--algorithm", "rsa-sha1"], 2, ""),
        (["activate", DOMAIN], 2, ""),
        (["frobnicate"], 2, ""),
    ]:
        answer = await kannon("domains", "dkim", *arguments)
        assert (answer.code, answer.out) == (code, ""), arguments
        assert answer.err.startswith(said)
        assert "Traceback" not in answer.err
