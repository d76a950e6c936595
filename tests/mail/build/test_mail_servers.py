"""Real mails through real mail software: a hop through Postfix, and the rules of rspamd."""

import re

from kannon.mail.batch import Attachment, Batch, Delivery
from kannon.mail.envelope import Envelope
from kannon.mail.tracking import IDENTIFIED
from kannon.mail.verdict import Delivered
from tests.bench.bench_build import FIELDS, page
from tests.support.delivering import delivering
from tests.support.eventually import eventually
from tests.support.interop import postfix
from tests.support.mail import batch, build, delivery, texts, verifies
from tests.support.rspamd import rspamd

FILES = (
    Attachment("Über uns.pdf", b"%PDF" * 1000),
    Attachment("logo.png", b"\x89PNG\r\n\x1a\n" * 20, content_id="logo"),
)


def to(address: str = "b@dest.test") -> Delivery:
    return delivery(address, fields=FIELDS, policy=IDENTIFIED)


def pages() -> list[Batch]:
    return [
        page(),
        page(FILES),
        batch("<p>Grüße,\n.\n..\nFrom me\n  {{ name }}  \n\n" + "x" * 3000, subject="ünï " * 50, alias="Müller, Anna"),
        batch("x" * 300_000),
        batch(""),
    ]


def envelopes() -> list[Envelope]:
    return [build(of, to()) for of in pages()] + [build(page(), to("jürgen@dest.test"))]


async def test_a_hop_through_postfix_leaves_the_signature_whole() -> None:
    async with postfix() as server:
        routes = [{"domain": "*", "host": "127.0.0.1", "port": server.port}]
        async with delivering({}, routes=routes) as deliverer:
            sent = envelopes()
            for envelope in sent:
                verdict = await deliverer.deliver(envelope)
                assert isinstance(verdict, Delivered), verdict
        await eventually(lambda: len(server.mails()) == len(sent))
        received = [re.sub(rb"\r?\n", b"\r\n", mail) for mail in server.mails()]
    assert all(b"\r\nReceived: " in mail for mail in received)
    assert all(verifies(mail) for mail in received)
    assert sorted(texts(mail) for mail in received) == sorted(texts(envelope.body) for envelope in sent)


async def test_rspamd_finds_nothing_missing_or_malformed() -> None:
    suspicious = re.compile(r"MISSING_|INVALID_|MIME_|BROKEN_|FORGED_|R_BAD|CTYPE|.*_INVALID")
    harmless = {"MIME_GOOD", "MIME_TRACE"}
    async with rspamd() as scanner:
        for envelope in envelopes()[:3]:
            symbols = await scanner.symbols(envelope.body)
            assert "MIME_GOOD" in symbols
            assert {symbol for symbol in symbols if suspicious.match(symbol)} <= harmless
        # And these rules do find what is wrong.
        symbols = await scanner.symbols(b"From: x\r\nSubject: y\r\n\r\nz\r\n")
        assert {"MISSING_DATE", "MISSING_MID", "MISSING_TO", "FROM_INVALID"} <= symbols
