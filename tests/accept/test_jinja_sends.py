"""Sends of engine jinja, from the call to the built mail: nested data, and recipients that are rejected alone."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from kannon.accept.limiter import SendLimiter
from kannon.accept.service import AcceptService
from kannon.components.dispatcher import Builder, BuildOptions
from kannon.db.dkim_keys import activate_dkim_key, insert_dkim_key
from kannon.db.pool import Database
from kannon.db.queue import claim_due, claim_to_validate, settle_validated
from kannon.db.templates import find_template, insert_template, update_template
from kannon.errors import InvalidArgument
from kannon.mail import ids
from kannon.mail.batch import Engine, Recipient
from kannon.mail.build.dkim import ED25519_SHA256, generate_dkim_key
from kannon.mail.envelope import Envelope
from kannon.mail.send_request import Limits, RejectedRecipient, RejectReason, Tenant
from kannon.mail.tracking import IDENTIFIED, OFF
from kannon.wire.sends import SendResCodec
from tests.support.api import NoBus
from tests.support.mail import parse, texts
from tests.support.pool import insert_domain
from tests.support.sends import send_request

DOMAIN = "example.com"
TENANT = Tenant(DOMAIN, IDENTIFIED)
HTML = "<p>{{ name }}</p>{% for line in order.lines %}<p>{{ line.price|money(currency) }}</p>{% endfor %}"
OPTIONS = BuildOptions("", autoescape=True, token_ttl=timedelta(days=90), bounce_ttl=timedelta(days=31))


@pytest.fixture
async def service(db: Database) -> AsyncIterator[AcceptService]:
    await insert_domain(db, DOMAIN)
    service = AcceptService(db, Limits(1 << 20, 1000), NoBus(), SendResCodec(), SendLimiter())
    async with anyio.create_task_group() as group:
        group.start_soon(service.run)
        yield service
        group.cancel_scope.cancel()


def to(local: str, /, **values: Any) -> Recipient:
    return Recipient(f"{local}@example.net", {"name": local, "order": {"lines": [{"price": 2}]}, **values}, OFF)


def nested(levels: int) -> object:
    return [nested(levels - 1)] if levels else "x"


async def built(db: Database) -> list[bytes]:
    """The mails of all accepted deliveries."""
    private_pem, public_key = generate_dkim_key(ED25519_SHA256)
    key = await insert_dkim_key(db, DOMAIN, algorithm=ED25519_SHA256, private_pem=private_pem, public_key=public_key)
    assert key is not None
    await activate_dkim_key(db, DOMAIN, key.selector)
    await settle_validated(db, valid=[row.id for row in await claim_to_validate(db, 10)], rejected=[])
    now = datetime.now(UTC)
    async with Builder(db, OPTIONS, workers=0, clock=lambda: now) as builder:
        mails = await builder.build(await claim_due(db, 10), now)
    return [mail.body for mail in mails if isinstance(mail, Envelope)]


async def test_each_recipient_has_its_own_data_and_is_rejected_alone(service: AcceptService, db: Database) -> None:
    people = [
        to("ann"),
        to("missing", order={}),
        to("failing", order={"lines": [{"price": "abc"}]}),
        to("header", name="a\r\nBcc: x@example.net"),
        to("nul", order={"lines": [{"price": 1, "\0": 1}]}),
        to("infinite", total=math.inf),
        to("deep", total=nested(20)),
        to("empty", order={"lines": []}, total=nested(19)),
    ]
    request = send_request(
        people, html=HTML, subject="Order of {{ name|upper }}", engine=Engine.JINJA, global_fields={"currency": "EUR"}
    )
    result = await service.accept(TENANT, request)
    assert result.rejected == [
        RejectedRecipient("missing@example.net", RejectReason.MISSING_FIELD, "order.lines"),
        RejectedRecipient("failing@example.net", RejectReason.TEMPLATE_FAILED, 'html: money: "abc" is not a number'),
        RejectedRecipient("header@example.net", RejectReason.INVALID_FIELD, "subject"),
        RejectedRecipient("nul@example.net", RejectReason.INVALID_FIELD),
        RejectedRecipient("infinite@example.net", RejectReason.INVALID_FIELD),
        RejectedRecipient("deep@example.net", RejectReason.INVALID_FIELD),
    ]
    mails = await built(db)
    assert [(parse(mail)["Subject"], texts(mail)[1].strip()) for mail in mails] == [
        ("Order of ANN", "<p>ann</p><p>2.00 EUR</p>"),
        ("Order of EMPTY", "<p>empty</p>"),
    ]


async def test_a_stored_template_has_its_engine_for_text_and_subject_too(service: AcceptService, db: Database) -> None:
    template_id = ids.template_id(DOMAIN, bytes(ids.DRAW_BYTES))
    await insert_template(db, template_id, DOMAIN, title="", html=HTML, engine=Engine.JINJA)
    request = send_request(
        [to("ann")],
        html="",
        template_id=template_id,
        text="{% if order %}{{ name }} & co{% endif %}",
        subject="{{ order.lines|length }}",
        global_fields={"currency": "EUR"},
    )
    await service.accept(TENANT, request)
    (mail,) = await built(db)
    assert (parse(mail)["Subject"], texts(mail)[0].strip()) == ("1", "ann & co")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"html": "x\n{{ a|b }}", "engine": Engine.JINJA}, r'html: there is no filter "b" \(line 2, column 6\)'),
        ({"text": "{% if a %}", "engine": Engine.JINJA}, r"text: endif is missing \(line 1, column 11\)"),
        ({"subject": "{{ a b }}", "engine": Engine.JINJA}, r"subject: .*\(line 1, column 6\)"),
        ({"global_fields": {"a": [1]}}, "data: needs a template of engine jinja"),
        ({"global_fields": {"a": ["\0"]}, "engine": Engine.JINJA}, "data: must have no NUL"),
    ],
)
async def test_a_broken_send_is_refused(service: AcceptService, content: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        await service.accept(TENANT, send_request(**content))


async def store_template(db: Database, title: str, html: str, number: int) -> str:
    template_id = ids.template_id(DOMAIN, bytes([number]) * ids.DRAW_BYTES)
    await insert_template(db, template_id, DOMAIN, title=title, html=html, engine=Engine.JINJA)
    return template_id


async def test_a_batch_keeps_the_partials_that_it_was_accepted_with(service: AcceptService, db: Database) -> None:
    footer = await store_template(db, "footer", "<p>first {{ name }}</p>", 1)
    await store_template(db, "layout", "<b>{% block content %}{% endblock %}</b>{% include 'footer' %}", 2)
    page = await store_template(db, "page", "{% extends 'layout' %}{% block content %}x{% endblock %}", 3)
    await update_template(db, page, title="page", html=(await find_template(db, page)).html)  # type: ignore[union-attr]
    by_id = await service.accept(TENANT, send_request([to("ann")], html="", template_id=page, text="{{ name }}"))
    await service.accept(TENANT, send_request([to("bob")], html="{% include 'footer' %}", engine=Engine.JINJA))
    await service.accept(
        TENANT,
        send_request([to("eve")], html="", template_id=footer, subject="{% include 'footer' %}", text="{{ name }}"),
    )
    await update_template(db, footer, title="footer", html="<p>second</p>")
    assert by_id.template_id != page
    found = sorted((parse(mail)["Subject"], texts(mail)[1].strip()) for mail in await built(db))
    assert found == [
        ("<p>first eve</p>", "<p>first eve</p>"),
        ("s", "<b>x</b><p>first ann</p>"),
        ("s", "<p>first bob</p>"),
    ]


async def test_two_partials_of_one_title_are_refused(service: AcceptService, db: Database) -> None:
    await store_template(db, "footer", "a", 1)
    await store_template(db, "footer", "b", 2)
    with pytest.raises(InvalidArgument, match="html: several templates have one of the titles footer"):
        await service.accept(TENANT, send_request(html="{% include 'footer' %}", engine=Engine.JINJA))
