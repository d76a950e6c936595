"""DKIM keys through the API: made, published in a real DNS, activated, retired, deleted."""

import base64
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from grpclib.const import Status

from kannon import dns_lookup
from kannon.db.dkim_keys import list_active_dkim_keys
from kannon.db.pool import Database
from kannon.mail.dns.dkim_keys import KEY_CACHE_TIME
from kannon.pb.admin.apiv1.adminapiv1_pb2 import GetDomainReq
from kannon.pb.admin.v1 import dkim_pb2 as pb
from kannon.pb.admin.v1.dkim_grpc import DkimStub
from tests.support.api import ADMIN, NoBus, RunningApi, refusal, running_api
from tests.support.dns_server import DROP, SERVFAIL, DnsServer, Zone, serving_dns, txt
from tests.support.patience import PATIENCE_SECONDS, patience
from tests.support.pool import insert_batch

DOMAIN = "example.com"
ED = "ed25519-sha256"
SECOND = "kannon2._domainkey.example.com"


@pytest.fixture
def zone() -> Zone:
    return {}


@pytest.fixture
async def server(zone: Zone) -> AsyncIterator[tuple[DnsServer, str]]:
    server = DnsServer(zone)
    async with serving_dns(server) as address:
        yield server, address


@pytest.fixture
async def api(db: Database, server: tuple[DnsServer, str]) -> AsyncIterator[RunningApi]:
    async with running_api(db, nameservers=[server[1]]) as api:
        await api.create_domain(DOMAIN)
        yield api


@pytest.fixture
def stub(api: RunningApi) -> DkimStub:
    return DkimStub(api.channel)


async def keys(stub: DkimStub, domain: str = DOMAIN) -> list[pb.DkimKey]:
    return list((await stub.ListDkimKeys(pb.ListDkimKeysRequest(domain=domain), metadata=ADMIN)).keys)


async def states(stub: DkimStub) -> list[tuple[str, str]]:
    return [(key.selector, key.state) for key in await keys(stub)]


async def create(stub: DkimStub, algorithm: str = "") -> pb.DkimKey:
    request = pb.CreateDkimKeyRequest(domain=DOMAIN, algorithm=algorithm)
    return (await stub.CreateDkimKey(request, metadata=ADMIN)).key


async def activate(stub: DkimStub, selector: str, *, force: bool = False) -> pb.DkimKey:
    request = pb.ActivateDkimKeyRequest(domain=DOMAIN, selector=selector, force=force)
    return (await stub.ActivateDkimKey(request, metadata=ADMIN)).key


async def retire(stub: DkimStub, selector: str) -> pb.DkimKey:
    request = pb.RetireDkimKeyRequest(domain=DOMAIN, selector=selector)
    return (await stub.RetireDkimKey(request, metadata=ADMIN)).key


async def delete(stub: DkimStub, selector: str, *, force: bool = False) -> pb.DkimKey:
    request = pb.DeleteDkimKeyRequest(domain=DOMAIN, selector=selector, force=force)
    return (await stub.DeleteDkimKey(request, metadata=ADMIN)).key


async def signing(db: Database) -> list[tuple[str, str]]:
    """What the dispatcher loads."""
    return [(key.selector, key.algorithm) for key in (await list_active_dkim_keys(db, [DOMAIN]))[DOMAIN]]


async def retired_ago(db: Database, selector: str, ago: timedelta) -> None:
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE dkim_keys SET retired_at = $2 WHERE selector = $1", selector, datetime.now(UTC) - ago
        )


async def test_a_new_domain_has_one_key_and_publishes_it(stub: DkimStub, db: Database) -> None:
    [key] = await keys(stub)
    assert (key.selector, key.algorithm, key.state, key.publish) == ("kannon", "rsa-sha256", "active", True)
    assert key.record_name == "kannon._domainkey.example.com"
    prefix, _, public = key.record_value.rpartition("=M")  # base64 of every SubjectPublicKeyInfo begins with M
    assert prefix == "v=DKIM1; k=rsa; p"
    assert load_der_public_key(base64.b64decode("M" + public))
    assert abs(key.created_at.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert not any(map(key.HasField, ("retired_at", "needed_until", "deleted_at")))
    assert await signing(db) == [("kannon", "rsa-sha256")]


async def test_a_rotation_from_the_first_step_to_the_last(
    api: RunningApi, stub: DkimStub, db: Database, server: tuple[DnsServer, str], zone: Zone
) -> None:
    made = await create(stub)
    assert (made.selector, made.state, made.publish, made.record_name) == ("kannon2", "next", True, SECOND)
    assert await signing(db) == [("kannon", "rsa-sha256")]
    assert server[0].asked == []  # or name servers would remember that there is no such record

    zone[SECOND, "TXT"] = txt(made.record_value)
    done = await activate(stub, "kannon2")
    assert (done.state, server[0].asked) == ("active", [(SECOND, "TXT")])
    assert await signing(db) == [("kannon2", "rsa-sha256")]
    domain = (await api.admin.GetDomain(GetDomainReq(domain=DOMAIN), metadata=ADMIN)).domain
    assert (domain.dkim_selector, domain.dkim_pub_key) == ("kannon2", made.record_value.split("p=")[1])

    former, _ = await keys(stub)
    assert (former.state, former.publish) == ("retired", True)
    window = former.needed_until.ToDatetime(UTC) - former.retired_at.ToDatetime(UTC)
    assert window == timedelta(hours=24) + KEY_CACHE_TIME
    status, text = await refusal(delete(stub, "kannon"))
    assert status is Status.FAILED_PRECONDITION
    assert text.startswith('selector: "kannon" is needed until 20')

    await retired_ago(db, "kannon", timedelta(hours=25))
    assert not (await keys(stub))[0].publish
    gone = await delete(stub, "kannon")
    assert (gone.state, gone.publish, gone.HasField("deleted_at")) == ("deleted", False, True)
    assert await delete(stub, "kannon") == gone  # a second time changes nothing
    async with db.acquire() as connection:
        assert await connection.fetchval("SELECT private_pem FROM dkim_keys WHERE selector = 'kannon'") == ""
    # Its selector is not used again, whatever becomes of later ones.
    assert (await create(stub)).selector == "kannon3"
    await delete(stub, "kannon3")
    assert (await create(stub)).selector == "kannon4"
    assert await states(stub) == [
        ("kannon", "deleted"),
        ("kannon2", "active"),
        ("kannon3", "deleted"),
        ("kannon4", "next"),
    ]


def wrong_records(value: str) -> list[tuple[list[str], str]]:
    """What the DNS may show in place of `value`, and what is said of it."""
    key = value.split("p=")[1]
    return [
        ([], "missing"),
        (txt("v=spf1 -all"), "is no DKIM key"),
        (txt("v=DKIM1; k=rsa; p="), "is a revoked key: p= is empty"),
        (txt("v=DKIM1; k=rsa; p=AAAA"), "publishes another key"),
        (txt(value[:255]), "ends after 237 characters of the key: a TXT string holds 255, split it"),
        (txt(value) + txt("v=DKIM1; p=AAAA"), "more than one record: verifiers pick any"),
        (txt(f"v=DKIM1; k=ed25519; p={key}"), "says k=ed25519, the key is k=rsa"),
        (txt(f"v=DKIM1; h=sha1; p={key}"), "does not allow sha256: h=sha1"),
        (txt(f"v=DKIM1; t=y; p={key}"), "is in test mode (t=y): verifiers take the mail as unsigned"),
    ]


async def test_a_key_that_the_dns_does_not_show_is_not_activated(stub: DkimStub, db: Database, zone: Zone) -> None:
    made = await create(stub)
    for answer, problem in wrong_records(made.record_value):
        if answer:
            zone[SECOND, "TXT"] = answer
        assert await refusal(activate(stub, "kannon2")) == (
            Status.FAILED_PRECONDITION,
            f"{SECOND} TXT: {problem}; expected: {made.record_value}",
        )
    zone[SECOND, "TXT"] = [SERVFAIL]
    status, text = await refusal(activate(stub, "kannon2"))
    assert status is Status.FAILED_PRECONDITION
    assert text.startswith(f"DNS look-up of {SECOND}. TXT failed: ")
    assert await states(stub) == [("kannon", "active"), ("kannon2", "next")]
    assert await signing(db) == [("kannon", "rsa-sha256")]
    assert (await activate(stub, "kannon2", force=True)).state == "active"
    assert await signing(db) == [("kannon2", "rsa-sha256")]


async def test_an_alias_to_the_record_will_do(stub: DkimStub, zone: Zone) -> None:
    made = await create(stub)
    zone[SECOND, "CNAME"] = ["kannon2.keys.example.net."]
    zone["kannon2.keys.example.net", "TXT"] = txt(made.record_value)
    assert (await activate(stub, "kannon2")).state == "active"


async def test_nobody_waits_while_a_name_server_does_not_answer(
    stub: DkimStub, zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_lookup, "LIFETIME_SECONDS", 2 * PATIENCE_SECONDS)
    made = await create(stub)
    zone[SECOND, "TXT"] = [DROP]
    async with anyio.create_task_group() as group:
        group.start_soon(refusal, activate(stub, "kannon2"))
        await anyio.lowlevel.checkpoint()
        with patience():
            assert (await create(stub, ED)).selector == "kannon3"
            assert (await activate(stub, "kannon2", force=True)).record_value == made.record_value
        group.cancel_scope.cancel()


async def test_back_to_the_former_key(stub: DkimStub, db: Database, zone: Zone) -> None:
    await create(stub)
    await activate(stub, "kannon2", force=True)
    assert (await refusal(activate(stub, "kannon")))[0] is Status.FAILED_PRECONDITION
    former = (await keys(stub))[0]
    zone[former.record_name, "TXT"] = txt(former.record_value)
    back = await activate(stub, "kannon")
    assert (back.state, back.HasField("retired_at")) == ("active", False)
    assert await states(stub) == [("kannon", "active"), ("kannon2", "retired")]
    assert await signing(db) == [("kannon", "rsa-sha256")]


async def test_a_second_signature_and_its_end(stub: DkimStub, db: Database, zone: Zone) -> None:
    made = await create(stub, ED)
    assert made.record_value.startswith("v=DKIM1; k=ed25519; p=")
    assert len(base64.b64decode(made.record_value.split("p=")[1])) == 32
    assert await signing(db) == [("kannon", "rsa-sha256")]
    zone[SECOND, "TXT"] = txt(made.record_value)
    await activate(stub, "kannon2")
    assert await signing(db) == [("kannon", "rsa-sha256"), ("kannon2", ED)]

    assert await refusal(delete(stub, "kannon2", force=True)) == (
        Status.FAILED_PRECONDITION,
        'selector: "kannon2" signs mail; retire it first',
    )
    ended = await retire(stub, "kannon2")
    assert (ended.state, ended.publish) == ("retired", True)
    assert await retire(stub, "kannon2") == ended
    assert await signing(db) == [("kannon", "rsa-sha256")]


async def test_dispatchers_are_notified_when_other_keys_sign(db: Database) -> None:
    bus = NoBus()
    async with running_api(db, bus=bus) as api:
        await api.create_domain(DOMAIN)
        stub = DkimStub(api.channel)
        changes = [
            (create(stub), 0),
            (activate(stub, "kannon2", force=True), 1),
            (activate(stub, "kannon2", force=True), 1),
            (create(stub, ED), 1),
            (activate(stub, "kannon3", force=True), 2),
            (retire(stub, "kannon3"), 3),
            (delete(stub, "kannon", force=True), 3),
        ]
        for change, notifications in changes:
            await change
            assert bus.key_changes == notifications


async def test_no_domain_is_without_an_rsa_signature(stub: DkimStub) -> None:
    assert await refusal(retire(stub, "kannon")) == (
        Status.FAILED_PRECONDITION,
        "selector: every mail needs an RSA signature; activate another RSA key instead",
    )
    for force in (False, True):
        assert await refusal(delete(stub, "kannon", force=force)) == (
            Status.FAILED_PRECONDITION,
            'selector: "kannon" signs mail; activate another key first',
        )
    assert await states(stub) == [("kannon", "active")]


async def test_a_key_stays_while_a_delivery_that_it_signed_has_no_outcome(stub: DkimStub, db: Database) -> None:
    [early, late] = await insert_batch(db, ["a@example.net", "b@example.net"], state="sending")
    await insert_batch(db, ["c@example.net"], name="2", state="scheduled")  # will be signed by the key of then
    await insert_batch(db, ["d@example.org"], domain="other.example", state="sending")
    await create(stub)
    await activate(stub, "kannon2", force=True)
    await retired_ago(db, "kannon", timedelta(hours=50))
    async with db.acquire() as connection:
        claimed = "UPDATE sending_pool_emails SET claimed_at = now() - $2::interval WHERE id = $1"
        await connection.execute(claimed, early, timedelta(hours=50) - KEY_CACHE_TIME / 2)
        await connection.execute(claimed, late, timedelta(hours=49))
    assert (await keys(stub))[0].publish
    assert await refusal(delete(stub, "kannon")) == (
        Status.FAILED_PRECONDITION,
        'selector: "kannon" is needed: deliveries that it signed have no outcome yet',
    )
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM sending_pool_emails WHERE id = $1", early)
    assert not (await keys(stub))[0].publish
    assert (await delete(stub, "kannon")).state == "deleted"


async def test_force_deletes_a_key_whose_mail_is_on_its_way(stub: DkimStub) -> None:
    await create(stub)
    await activate(stub, "kannon2", force=True)
    assert (await delete(stub, "kannon", force=True)).state == "deleted"
    assert await refusal(activate(stub, "kannon", force=True)) == (
        Status.FAILED_PRECONDITION,
        'selector: "kannon" cannot become active, it is deleted',
    )


async def test_the_window_is_that_of_the_configuration(db: Database) -> None:
    async with running_api(db, retry_window=timedelta(hours=1)) as api:
        await api.create_domain(DOMAIN)
        stub = DkimStub(api.channel)
        await create(stub)
        await activate(stub, "kannon2", force=True)
        await retired_ago(db, "kannon", timedelta(minutes=61))
        assert (await refusal(delete(stub, "kannon")))[0] is Status.FAILED_PRECONDITION
        await retired_ago(db, "kannon", timedelta(minutes=63))
        assert (await delete(stub, "kannon")).state == "deleted"


async def test_of_two_at_once_one_wins(stub: DkimStub, db: Database) -> None:
    answers: list[tuple[Status, str]] = []

    async def ask(selector: str) -> None:
        answers.append(await refusal(activate(stub, selector, force=True) if selector else create(stub)))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(ask, "")
    taken = 'algorithm: the next rsa-sha256 key exists already: selector "kannon2"'
    assert Counter(answers) == {(Status.OK, ""): 1, (Status.ALREADY_EXISTS, taken): 7}
    answers.clear()
    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(ask, "kannon" if number % 2 else "kannon2")
    assert answers == [(Status.OK, "")] * 10
    assert sorted(state for _, state in await states(stub)) == ["active", "retired"]
    assert len(await signing(db)) == 1


async def test_domains_do_not_meddle(api: RunningApi, stub: DkimStub) -> None:
    await api.create_domain("other.example")
    await create(stub)
    await activate(stub, "kannon2", force=True)
    assert [(key.selector, key.state) for key in await keys(stub, "other.example")] == [("kannon", "active")]
    request = pb.ActivateDkimKeyRequest(domain="other.example", selector="kannon2", force=True)
    assert await refusal(stub.ActivateDkimKey(request, metadata=ADMIN)) == (
        Status.NOT_FOUND,
        'selector: no DKIM key "kannon2" of domain "other.example"',
    )


@pytest.mark.parametrize(
    ("selector", "status", "text"),
    [
        ("", Status.INVALID_ARGUMENT, "selector: must not be empty"),
        ("x" * 64, Status.INVALID_ARGUMENT, "selector: must not exceed 63 characters"),
        ("a\x00", Status.INVALID_ARGUMENT, "selector: must not contain control characters"),
        ("a\r\nb", Status.INVALID_ARGUMENT, "selector: must not contain control characters"),
        ("kannon2", Status.NOT_FOUND, 'selector: no DKIM key "kannon2" of domain "example.com"'),
        ("KANNON", Status.NOT_FOUND, 'selector: no DKIM key "KANNON" of domain "example.com"'),
        (" kannon", Status.NOT_FOUND, 'selector: no DKIM key " kannon" of domain "example.com"'),
        ("' OR true --", Status.NOT_FOUND, 'selector: no DKIM key "\' OR true --" of domain "example.com"'),
        ("*._domainkey", Status.NOT_FOUND, 'selector: no DKIM key "*._domainkey" of domain "example.com"'),
        ("é" * 63, Status.NOT_FOUND, f'selector: no DKIM key "{"é" * 63}" of domain "example.com"'),
    ],
)
async def test_a_selector_that_will_not_do(stub: DkimStub, selector: str, status: Status, text: str) -> None:
    for call in (activate(stub, selector), retire(stub, selector), delete(stub, selector, force=True)):
        assert await refusal(call) == (status, text)
    assert await states(stub) == [("kannon", "active")]


@pytest.mark.parametrize("algorithm", ["rsa", "RSA-SHA256", "rsa-sha1", "ed25519", "\x00", "x" * 100_000])
async def test_an_algorithm_that_is_none(stub: DkimStub, algorithm: str) -> None:
    assert await refusal(create(stub, algorithm)) == (
        Status.INVALID_ARGUMENT,
        "algorithm: is none of rsa-sha256, ed25519-sha256",
    )


async def test_a_domain_that_will_not_do(stub: DkimStub) -> None:
    for domain, status, text in [
        ("no.example", Status.NOT_FOUND, 'domain: no domain "no.example"'),
        ("", Status.INVALID_ARGUMENT, "domain: "),
        ("a b", Status.INVALID_ARGUMENT, "domain: "),
        ("x\x00.example", Status.INVALID_ARGUMENT, "domain: "),
    ]:
        for call in (
            stub.ListDkimKeys(pb.ListDkimKeysRequest(domain=domain), metadata=ADMIN),
            stub.CreateDkimKey(pb.CreateDkimKeyRequest(domain=domain), metadata=ADMIN),
            stub.ActivateDkimKey(pb.ActivateDkimKeyRequest(domain=domain, selector="kannon"), metadata=ADMIN),
            stub.RetireDkimKey(pb.RetireDkimKeyRequest(domain=domain, selector="kannon"), metadata=ADMIN),
            stub.DeleteDkimKey(pb.DeleteDkimKeyRequest(domain=domain, selector="kannon"), metadata=ADMIN),
        ):
            answer = await refusal(call)
            assert (answer[0], answer[1][: len(text)]) == (status, text)


async def test_the_longest_domain_has_no_name_left_for_its_key(api: RunningApi, stub: DkimStub) -> None:
    domain = ".".join(["x" * 60] * 4) + ".test"
    await api.create_domain(domain)
    await stub.CreateDkimKey(pb.CreateDkimKeyRequest(domain=domain), metadata=ADMIN)
    request = pb.ActivateDkimKeyRequest(domain=domain, selector="kannon2")
    status, text = await refusal(stub.ActivateDkimKey(request, metadata=ADMIN))
    assert (status, text.startswith("DNS look-up of kannon2._domainkey.")) == (Status.FAILED_PRECONDITION, True)


async def test_the_admin_token_is_needed(stub: DkimStub) -> None:
    status, _ = await refusal(stub.ListDkimKeys(pb.ListDkimKeysRequest(domain=DOMAIN), metadata={}))
    assert status is Status.UNAUTHENTICATED
