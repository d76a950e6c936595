"""Pages of several batches: loaded together, built in one call, their templates compiled once."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kannon.components import build_worker as worker
from kannon.components.dispatcher import Builder, BuildOptions, inputs
from kannon.components.dispatcher.builder import BuildFailure
from kannon.db.batches import FoundBatches, find_batches
from kannon.db.dkim_keys import activate_dkim_key, insert_dkim_key
from kannon.db.pool import Database
from kannon.db.queue import claim_due
from kannon.mail.batch import Content, Delivery
from kannon.mail.build.dkim import ED25519_SHA256, generate_dkim_key
from kannon.mail.build.template import BuildSettings, CompiledTemplate
from kannon.mail.envelope import Envelope
from tests.support.mail import parse
from tests.support.pool import insert_batch, insert_domain

OPTIONS = BuildOptions("", autoescape=True, token_ttl=timedelta(days=90), bounce_ttl=timedelta(days=31))


def now() -> datetime:
    return datetime.now(UTC)


async def insert_tenant(db: Database, domain: str) -> None:
    await insert_domain(db, domain)
    private_pem, public_key = generate_dkim_key(ED25519_SHA256)
    key = await insert_dkim_key(db, domain, algorithm=ED25519_SHA256, private_pem=private_pem, public_key=public_key)
    assert key is not None
    await activate_dkim_key(db, domain, key.selector)


async def claim_singles(db: Database, domains: Collection[str]) -> list[Delivery]:
    """A batch of one mail for each domain, all with the same text."""
    for number, domain in enumerate(domains):
        await insert_tenant(db, domain)
        await insert_batch(db, [f"a{number}@example.org"], domain=domain, name=str(number), state="scheduled")
    return await claim_due(db, 100)


async def change(db: Database, statement: str, *values: object) -> None:
    async with db.acquire() as connection:
        await connection.execute(statement, *values)


async def envelopes(builder: Builder, page: list[Delivery]) -> list[Envelope]:
    built = await builder.build(page, now())
    assert [item for item in built if not isinstance(item, Envelope)] == []
    return [item for item in built if isinstance(item, Envelope)]


async def test_all_batches_of_a_page_are_loaded_with_one_statement(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await claim_singles(db, [f"tenant{n}.com" for n in range(12)])
    calls: list[Collection[str]] = []

    async def counted(db: Database, message_ids: Collection[str]) -> FoundBatches:
        calls.append(message_ids)
        return await find_batches(db, message_ids)

    monkeypatch.setattr(inputs, "find_batches", counted)
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        assert set(await builder.estimate_bytes([d.message_id for d in page])) == {d.message_id for d in page}
        built = await envelopes(builder, page)
    assert [len(ids) for ids in calls] == [12]
    assert [(e.delivery_id, e.message_id, e.domain) for e in built] == [(d.id, d.message_id, d.domain) for d in page]
    assert all(f"d={e.domain};".encode() in e.body for e in built)


async def test_a_page_loads_no_more_html_than_its_bound(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates beside one another may be large; the page's other batches are loaded when their turn comes."""
    page = await claim_singles(db, [f"tenant{n}.com" for n in range(6)])
    ids = [delivery.message_id for delivery in page]
    await change(db, "UPDATE templates SET html = repeat('x', 10000)")
    loaded: list[int] = []

    async def bounded(db: Database, message_ids: Collection[str]) -> FoundBatches:
        found = await find_batches(db, message_ids, most_bytes=25_000)
        loaded.append(len(found.loaded))
        return found

    monkeypatch.setattr(inputs, "find_batches", bounded)
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        sizes = await builder.estimate_bytes(ids)
        assert loaded == [2]
        assert set(sizes.values()) == {2 * 10_000 + inputs.OVERHEAD_BYTES}
        assert sizes.keys() == set(ids)
        assert len(await envelopes(builder, page)) == 6
    assert loaded == [2, 2, 2]
    found = await find_batches(db, ids, most_bytes=1)
    assert (len(found.loaded), len(found.others)) == (1, 5)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Content]:
    """What is compiled during the test, in this process."""
    found: list[Content] = []

    def counted(domain: str, content: Content, settings: BuildSettings) -> CompiledTemplate:
        found.append(content)
        return CompiledTemplate(domain, content, settings)

    monkeypatch.setattr(worker, "CompiledTemplate", counted)
    return found


async def test_batches_of_equal_content_share_a_compiled_template(db: Database, compiled: list[Content]) -> None:
    await insert_tenant(db, "example.com")
    for name in ("1", "2", "3"):
        await insert_batch(db, ["a@example.org"], name=name, state="scheduled")
        fields = f'{{"name": "Reader {name}"}}'
        await change(
            db, "UPDATE messages SET global_fields = $1::jsonb WHERE message_id = $2", fields, f"msg_{name}@example.com"
        )
    await change(db, "UPDATE messages SET subject = 'Another' WHERE message_id = 'msg_3@example.com'")
    page = sorted(await claim_due(db, 10), key=lambda delivery: delivery.message_id)
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        built = [parse(envelope.body) for envelope in await envelopes(builder, page)]
        await envelopes(builder, page)
    assert [content.subject for content in compiled] == ["Hello", "Another"]
    assert [mail["X-Pool-Message-Id"] for mail in built] == [f"msg_{name}@example.com" for name in "123"]
    assert [mail["Subject"] for mail in built] == ["Hello", "Hello", "Another"]
    for name, mail in zip("123", built, strict=True):
        part = mail.get_body(["html"])
        assert part is not None
        assert f"Hello Reader {name}" in part.get_content()


async def test_batches_with_attachments_keep_their_own(db: Database, compiled: list[Content]) -> None:
    await insert_tenant(db, "example.com")
    for name, content in (("1", b"one"), ("2", b""), ("3", None)):
        await insert_batch(db, ["a@example.org", "b@example.org"], name=name, state="scheduled")
        if content is not None:
            await change(
                db,
                "INSERT INTO attachments (message_id, position, filename, content_type, content_id, content)"
                " VALUES ($1, 1, 'f.bin', 'application/octet-stream', '', $2)",
                f"msg_{name}@example.com",
                content,
            )
    page = sorted(await claim_due(db, 10), key=lambda delivery: delivery.message_id)
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        mails = [parse(envelope.body) for envelope in await envelopes(builder, page)]
    found = [[part.get_content() for part in mail.iter_attachments()] for mail in mails]
    assert found == [[b"one"], [b"one"], [b""], [b""], [], []]
    assert len(compiled) == 3


async def test_batches_that_cannot_be_built_fail_alone(db: Database) -> None:
    page = await claim_singles(db, ["good.com", "bad.com", "nokey.com", "gone.com"])
    await change(db, "UPDATE messages SET sender_email = 'nobody' WHERE domain = 'bad.com'")
    await change(db, "UPDATE dkim_keys SET active = false WHERE domain = 'nokey.com'")
    page = [replace(d, message_id="msg_x@gone.com") if d.domain == "gone.com" else d for d in page]
    async with Builder(db, OPTIONS, workers=1, clock=now) as builder:
        built = dict(zip([d.domain for d in page], await builder.build(page, now()), strict=True))
    assert isinstance(built.pop("good.com"), Envelope)
    reasons = {domain: item.reason for domain, item in built.items() if isinstance(item, BuildFailure)}
    assert sorted(reasons) == ["bad.com", "gone.com", "nokey.com"]
    assert "the batch cannot be built" in reasons["bad.com"]
    assert reasons["nokey.com"] == "domain nokey.com has no active DKIM key"
    assert reasons["gone.com"] == "batch msg_x@gone.com or its template is gone"


async def test_a_batch_that_loses_its_attachments_is_not_sent_without_them(db: Database) -> None:
    page = await claim_singles(db, ["one.com", "two.com"])
    page.sort(key=lambda delivery: delivery.domain)
    await change(
        db,
        "INSERT INTO attachments (message_id, position, filename, content_type, content_id, content)"
        " VALUES ($1, 1, 'f.bin', 'application/octet-stream', '', 'x')",
        page[0].message_id,
    )
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        await builder.estimate_bytes([delivery.message_id for delivery in page])
        await change(db, "DELETE FROM attachments")
        lost, sent = await builder.build(page, now())
    assert isinstance(lost, BuildFailure)
    assert lost.reason == f"the attachments of batch {page[0].message_id} are gone"
    assert isinstance(sent, Envelope)


async def test_a_worker_that_lacks_a_template_gets_it(db: Database, compiled: list[Content]) -> None:
    page = await claim_singles(db, ["one.com", "two.com"])
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        await envelopes(builder, page[:1])
        worker._compiled.clear()  # as in another worker
        await envelopes(builder, page)
        await envelopes(builder, page)
    assert len(compiled) == 3


async def test_more_templates_than_a_worker_keeps(
    db: Database, compiled: list[Content], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await claim_singles(db, ["one.com", "two.com", "three.com"])
    monkeypatch.setattr(worker, "_compiled", type(worker._compiled)(1, getsizeof=lambda _: 1))
    async with Builder(db, OPTIONS, workers=0, clock=now) as builder:
        assert len(await envelopes(builder, page)) == 3
        assert len(await envelopes(builder, page)) == 3
